"""What the API server does with objects, without HTTP: the seam between the REST surface, the controllers and the tests.

Every method speaks plain documents. What goes in is copied, what comes out belongs to the caller. Refusals are ApiErrors.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.disk import Disk
from simulator.documents import Document, Name, clone, merge_patch, without
from simulator.errors import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    cannot_decode,
    conflict,
    expired,
    forbidden,
    invalid,
    not_found,
    too_large_version,
    unmet_precondition,
)
from simulator.etcd import Compacted, Etcd, Snapshot
from simulator.kinds import Kind, Kinds, default_kinds
from simulator.metadata import SERVER_SET, Undecodable, change_problems, generate_name
from simulator.objects import Subresource, check_object, complete_object, decode_object, meaning
from simulator.selectors import selector
from simulator.watch import Selection, Watch, WatchEvent

Unknown = list[str] | None
"""Where a write puts the paths of the fields that it dropped."""

PROTECTED_NAMESPACES = frozenset(("default", "kube-system", "kube-public"))


def utc_now() -> datetime:
    """Return the time of this machine, the clock of a cluster unless it is given another."""
    return datetime.now(UTC)  # noqa: TID251 (the composition root of the simulator is a cluster, which may be given another)


@dataclass(frozen=True, slots=True)
class Page:
    """A list, or a page of one: `start` is the name after which the next page begins."""

    items: list[Document]
    revision: int
    start: Name | None = None
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a delete has done: the object as it was last, and whether it is gone or waits for its finalizers."""

    object: Document
    gone: bool


class Store:
    """The objects of one cluster behind the rules of its API server."""

    def __init__(
        self, kinds: Kinds | None = None, *, now: Callable[[], datetime] = utc_now,
        history: int = 10_000, revision: int = 0, disk: Disk | None = None,
    ) -> None:  # fmt: skip
        """`history` is how many changes of each kind can be replayed; `revision` is where the versions start.

        With a disk the objects outlive the process, and what it holds already comes first.
        """
        self.kinds = kinds or default_kinds()
        self.now = now
        self._etcd = Etcd(history=history, revision=revision, disk=disk)

    @property
    def revision(self) -> int:
        """The newest resource version."""
        return self._etcd.revision

    def timestamp(self) -> str:
        """Return now, in the form of a Kubernetes timestamp."""
        return self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    # Reading

    def get(self, kind: Kind | str, name: str, namespace: str = "") -> Document:
        """Return one object. Raise ApiError (404)."""
        kind = self._kind(kind)
        return _own(self._stored(kind, namespace, name))

    def find(self, kind: Kind | str, name: str, namespace: str = "") -> Document | None:
        """Return one object, or None."""
        found = self._etcd.get(self._kind(kind).resource, (namespace, name))
        return None if found is None else _own(found)

    def list(self, kind: Kind | str, namespace: str = "", *, labels: str = "", fields: str = "") -> list[Document]:
        """Return the objects of a kind in one namespace or all of them, by namespace and name."""
        return self.page(kind, namespace, labels=labels, fields=fields).items

    def page(
        self, kind: Kind | str, namespace: str = "", *, labels: str = "", fields: str = "",
        limit: int = 0, after: Name | None = None, revision: int | None = None,
    ) -> Page:  # fmt: skip
        """Return a list as it is now or was at a revision, in pages of `limit`. Raise ApiError (400, 410, 504)."""
        kind = self._kind(kind)
        selection = Selection(kind.resource, namespace, selector(kind, labels, fields))
        if revision is not None and revision > self.revision:
            raise too_large_version(revision, self.revision)
        try:
            objects = self._etcd.objects(kind.resource, revision)
        except Compacted as gone:
            raise expired(str(gone)) from gone
        found = [(name, item) for name, item in objects if (after is None or name > after) and selection.contains(item)]
        shown = found[:limit] if limit > 0 else found
        more = len(found) - len(shown)
        items = [_own(item) for _, item in shown]
        return Page(items, self.revision if revision is None else revision, shown[-1][0] if more else None, more)

    def watch(
        self, kind: Kind | str, namespace: str = "", *, labels: str = "", fields: str = "", since: int | None = None
    ) -> Watch:
        """Follow the changes after version `since`; without one, what exists as ADDED and then the changes.

        Raise ApiError (400, 410).
        """
        kind = self._kind(kind)
        selection = Selection(kind.resource, namespace, selector(kind, labels, fields))
        if since is not None:
            return Watch(self._etcd, selection, since)
        existing = [item for _, item in self._etcd.objects(kind.resource) if selection.contains(item)]
        return Watch(self._etcd, selection, self.revision, [WatchEvent("ADDED", _own(item)) for item in existing])

    # Writing

    def create(
        self, kind: Kind | str, document: Document, namespace: str = "", *,
        strict: bool = False, unknown: Unknown = None,
    ) -> Document:  # fmt: skip
        """Create an object and return it as stored. Raise ApiError (400, 403, 404, 409, 422).

        Unknown fields are dropped and their paths added to `unknown`; with `strict` they are refused.
        """
        kind = self._kind(kind)
        decoded, dropped = _decode(kind, document, strict=strict)
        metadata = decoded["metadata"]
        if "resourceVersion" in metadata:
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        namespace = self._home(kind, metadata, namespace)
        self._check_home(kind, namespace, metadata.get("name", ""))
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = self._free_name(kind, namespace, metadata["generateName"])
        metadata = without(metadata, SERVER_SET) | {"uid": str(uuid.uuid4()), "creationTimestamp": self.timestamp()}
        if kind.counts_generations:
            metadata["generation"] = 1
        name = str(metadata.get("name", ""))
        created = complete_object(kind, decoded | {"metadata": metadata}, None)
        check_object(kind, name, created)
        if self._etcd.get(kind.resource, (namespace, name)) is not None:
            raise already_exists(kind, name)
        _report(dropped, unknown)
        return self._put(kind, created)

    def replace(
        self, kind: Kind | str, name: str, document: Document, namespace: str = "", *,
        subresource: Subresource = "", strict: bool = False, unknown: Unknown = None,
    ) -> Document:  # fmt: skip
        """Put a document in the place of the stored one. Raise ApiError (400, 404, 409, 422).

        The document names the version it was made from: a custom resource must, a built-in one may.
        """
        kind = self._kind(kind)
        decoded, dropped = _decode(kind, document, strict=strict)
        metadata = decoded["metadata"]
        self._check_place(kind, metadata, namespace, name)
        old = self._stored(kind, namespace, name)
        if kind.custom and "resourceVersion" not in metadata:
            unset = Cause("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
            raise invalid(kind.plural, kind.group, name, [unset])
        given, stored = metadata.get("uid"), old["metadata"]["uid"]
        if given not in (None, stored):
            raise unmet_precondition(kind, name, f"the UID in the precondition ({given}) does not match ({stored})")
        _report(dropped, unknown)
        return self._update(kind, old, decoded, subresource)

    def patch(
        self, kind: Kind | str, name: str, patch: Any, namespace: str = "", *,
        subresource: Subresource = "", strict: bool = False, unknown: Unknown = None,
    ) -> Document:  # fmt: skip
        """Apply a JSON merge patch; one that changes nothing leaves the version as it is. Raise as `replace` does."""
        kind = self._kind(kind)
        old = self._stored(kind, namespace, name)
        patched = merge_patch(old, patch)
        try:
            decoded, dropped = decode_object(kind, patched, strict=strict)
        except Undecodable as error:
            text = json.dumps(json.dumps(patched, separators=(",", ":")))
            raise invalid("", "", "", [Cause("patch", f"Invalid value: {text}: {error}")]) from error
        self._check_place(kind, decoded["metadata"], namespace, name)
        _report(dropped, unknown)
        return self._update(kind, old, decoded, subresource)

    def delete(
        self, kind: Kind | str, name: str, namespace: str = "", *, uid: str | None = None, resource_version: str | None = None
    ) -> Deletion:
        """Delete an object, or mark it if it has finalizers. Raise ApiError (403, 404, 409 on an unmet precondition)."""
        kind = self._kind(kind)
        old = self._stored(kind, namespace, name)
        _check_preconditions(kind, old["metadata"], uid, resource_version)
        if kind.resource == "namespaces":
            return self._empty_namespace(kind, old)
        return self._mark(kind, old) if old["metadata"].get("finalizers") else self._remove(kind, old)

    # What a cluster can go through

    def compact(self) -> None:
        """Let every resource version before the newest one expire for new watches."""
        self._etcd.compact()

    def snapshot(self) -> Snapshot:
        """Take a copy of everything, with the revision; cheap."""
        return self._etcd.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot and its revision; open watches end with ApiError (410)."""
        self._etcd.restore(snapshot)

    # Inside

    def _kind(self, kind: Kind | str) -> Kind:
        return self.kinds.named(kind) if isinstance(kind, str) else kind

    def _stored(self, kind: Kind, namespace: str, name: str) -> Document:
        found = self._etcd.get(kind.resource, (namespace, name))
        if found is None:
            raise not_found(kind, name)
        return found

    def _put(self, kind: Kind, document: Document) -> Document:
        stored = self._etcd.put(kind.resource, _name(document), clone(document))
        return _own(stored)

    def _home(self, kind: Kind, metadata: Document, namespace: str) -> str:
        if not kind.namespaced:
            metadata.pop("namespace", None)
            return ""
        if namespace and metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        return str(metadata.get("namespace", ""))

    def _check_home(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.namespaced:
            return
        home = self._stored(self._kind("namespaces"), "", namespace)
        if "deletionTimestamp" in home["metadata"]:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = Cause("metadata.namespace", f"namespace {namespace} is being terminated", "NamespaceTerminating")
            raise forbidden(kind, name, why, [cause])

    def _check_place(self, kind: Kind, metadata: Document, namespace: str, name: str) -> None:
        self._home(kind, metadata, namespace)
        if metadata.setdefault("name", name) != name:
            given = metadata["name"]
            raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")

    def _free_name(self, kind: Kind, namespace: str, prefix: str) -> str:
        while True:
            name = generate_name(prefix)
            if self._etcd.get(kind.resource, (namespace, name)) is None:
                return name

    def _update(self, kind: Kind, old: Document, new: Document, subresource: Subresource) -> Document:
        before, given = old["metadata"], new["metadata"]
        name = str(before["name"])
        if given.get("resourceVersion", before["resourceVersion"]) != before["resourceVersion"]:
            raise conflict(kind, name)
        kept = {key: before[key] for key in (*SERVER_SET, "resourceVersion") if key in before}
        updated = complete_object(kind, new | {"metadata": without(given, SERVER_SET) | kept}, old, subresource)
        check_object(kind, name, updated, change_problems(before, given))
        if updated == old:
            return _own(old)
        if "deletionTimestamp" in before and not updated["metadata"].get("finalizers") and kind.resource != "namespaces":
            # The last finalizer is gone: the server does not store this update, it deletes the object as it was before.
            self._remove(kind, old)
            return _own(updated)
        if kind.counts_generations and meaning(kind, updated) != meaning(kind, old):
            updated["metadata"]["generation"] = before.get("generation", 0) + 1
        return self._put(kind, updated)

    def _mark(self, kind: Kind, old: Document) -> Deletion:
        if "deletionTimestamp" in old["metadata"]:
            return Deletion(_own(old), gone=False)
        metadata = {**old["metadata"], "deletionTimestamp": self.timestamp(), "deletionGracePeriodSeconds": 0}
        if kind.counts_generations:
            metadata["generation"] = metadata.get("generation", 0) + 1
        return Deletion(self._put(kind, {**old, "metadata": metadata}), gone=False)

    def _remove(self, kind: Kind, old: Document) -> Deletion:
        self._etcd.delete(kind.resource, _name(old))
        if kind.namespaced:
            self._finish_namespace(old["metadata"]["namespace"])
        return Deletion(_own(old), gone=True)

    def _empty_namespace(self, kind: Kind, old: Document) -> Deletion:
        """Do what the namespace controller of a real cluster does: first the content goes, then the namespace."""
        name = str(old["metadata"]["name"])
        if name in PROTECTED_NAMESPACES:
            raise forbidden(kind, name, "this namespace may not be deleted")
        if "deletionTimestamp" in old["metadata"]:
            return Deletion(_own(old), gone=False)
        metadata = {**old["metadata"], "deletionTimestamp": self.timestamp()}
        marked = self._put(kind, {**old, "metadata": metadata, "status": {"phase": "Terminating"}})
        for resource, (namespace, item) in self._etcd.names_in(name):
            self.delete(resource, item, namespace)
        self._finish_namespace(name)
        return Deletion(marked, gone=False)

    def _finish_namespace(self, name: str) -> None:
        namespace = self._etcd.get("namespaces", ("", name))
        if namespace and "deletionTimestamp" in namespace["metadata"] and not self._etcd.names_in(name):
            self._etcd.delete("namespaces", ("", name))


def _decode(kind: Kind, document: Document, *, strict: bool) -> tuple[Document, list[str]]:
    try:
        return decode_object(kind, document, strict=strict)
    except Undecodable as error:
        raise cannot_decode(kind, str(error)) from error


def _name(document: Document) -> Name:
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]


def _own(document: Document) -> Document:
    copy: Document = clone(document)
    return copy


def _report(dropped: list[str], unknown: Unknown) -> None:
    if unknown is not None:
        unknown.extend(dropped)


def _check_preconditions(kind: Kind, metadata: Document, uid: str | None, resource_version: str | None) -> None:
    checks = (
        ("UID", uid, metadata["uid"], "The object might have been deleted and then recreated"),
        ("ResourceVersion", resource_version, metadata["resourceVersion"], "The object might have been modified"),
    )
    for what, asked, found, hint in checks:
        if asked not in (None, found):
            why = f"the {what} in the precondition ({asked}) does not match the {what} in record ({found}). {hint}"
            raise unmet_precondition(kind, metadata["name"], why)
