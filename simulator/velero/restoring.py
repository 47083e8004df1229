"""One restore in progress: brings objects back, one after another, and keeps account of what became of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from simulator.controller_manager import ROOT_CA, bind, furnish_namespace
from simulator.documents import Document, clone, without
from simulator.errors import ApiError
from simulator.objects import Subresource
from simulator.velero.modifiers import Rule, modify
from simulator.velero.naming import valid_name
from simulator.velero.report import Level, Report
from simulator.velero.restore_hooks import Command, commands, prepared
from simulator.velero.restore_items import Archive, Choice, Piece, changed, merged_account, prepare, same, wants_status
from simulator.velero.restore_volumes import RestoredVolumes

if TYPE_CHECKING:
    from simulator.velero.server import Velero

BACKUP_LABEL = "velero.io/backup-name"
RESTORE_LABEL = "velero.io/restore-name"

_ALWAYS_DIFFERENT = frozenset((("configmaps", ROOT_CA),))
"""Observed on real clusters: what the controller manager has put into a new namespace never equals what is in the backup."""


class RestoreReport(Report):
    """The log and the results of a restore, whose texts stand in the results as they are."""

    def complain(self, level: Level, text: str, namespace: str | None) -> None:
        """Add an error or a warning: of a namespace, of the cluster (empty), or of Velero itself (None)."""
        where = "Velero" if namespace is None else f"Namespace {namespace}, resource" if namespace else "Cluster resource"
        line = {self._subject[0]: self._subject[1], "level": level, "msg": f"{where} restore {level}: {text}"}
        self._lines.append(json.dumps(line | {"time": self._timestamp()}, sort_keys=True))
        self.errors += level == "error"
        self.warnings += level == "warning"
        self.result(level, text, namespace)


class Restoring:
    """The objects of one archive on their way into the cluster."""

    def __init__(
        self,
        velero: Velero,
        restore: Document,
        archive: Archive,
        rules: list[Rule],
        volumes: RestoredVolumes,
        report: RestoreReport,
    ) -> None:
        self._velero = velero
        self._client = velero.client
        self._store = velero.client.store
        self._restore = restore
        self._spec: Document = restore["spec"]
        self._archive = archive
        self._rules = rules
        self._volumes = volumes
        self._report = report
        self._choice = Choice(self._spec, self._store.kinds)
        self._became: dict[tuple[str, str, str], str] = {}
        self._listed: dict[str, list[str]] = {}
        self.commands: list[Command] = []
        """The commands that are to be run in the pods that were restored."""

    async def run(self) -> None:
        """Bring everything back that the spec asks for. Raise Killed."""
        settings, name = self._velero.settings, self._restore["metadata"]["name"]
        for piece in self._choice.namespaces(self._archive):
            self._ensure_namespace(piece)
        pieces = self._choice.pieces(self._archive)
        batch = max(int(settings.progress_period / settings.per_item), 1) if settings.per_item else len(pieces) + 1
        for index, piece in enumerate(pieces, 1):
            self._client.check()
            self.bring(piece)
            if index % batch == 0 and index < len(pieces):
                await self._velero.work(settings.progress_period)
                self._client.patch_status("restores", name, progress={"totalItems": len(pieces), "itemsRestored": index})
        await self._velero.work(len(pieces) % batch * settings.per_item)
        total = sum(len(entries) for entries in self._listed.values())
        counted = {"totalItems": total, "itemsRestored": total} if total else {}
        self._client.patch_status("restores", name, progress=counted)

    def resource_list(self) -> dict[str, list[str]]:
        """Return what became of each object, as in `{"v1/ConfigMap": ["shop/settings(created)"]}`."""
        return {key: sorted(entries) for key, entries in sorted(self._listed.items())}

    # One object

    def bring(self, piece: Piece) -> None:
        """Restore one object, after what it needs, unless it was restored already."""
        if piece.key in self._became:
            return
        if piece.target and not self._ensure_namespace(piece):
            return
        self._became[piece.key] = ""
        complaints = self._report.errors + self._report.warnings
        became = self._attempt(piece)
        failed = self._report.errors + self._report.warnings > complaints
        self._became[piece.key] = became or ("failed" if failed else "skipped")
        self._list(f"{piece.kind.api_version}/{piece.kind.kind}", piece.target, piece.name, self._became[piece.key])

    def _attempt(self, piece: Piece) -> str:
        self._bring_volume_of(piece)
        document = self._volumes.adjust(piece, prepare(piece, self._spec), self._store)
        if document is None:
            return ""
        if piece.kind.resource == "pods":
            document = prepared(document, self._spec, piece.target)
        document, problems = modify(self._rules, piece.kind.resource, document)
        for problem in problems:
            self._complain("error", problem, piece)
        metadata = document["metadata"]
        if piece.kind.namespaced:
            metadata["namespace"] = piece.target
        metadata["labels"] = {**metadata.get("labels", {}), **self._labels()}
        self._report.say(f"Attempting to restore {piece.kind.kind}: {metadata['name']}.", namespace=piece.target)
        existing = self._store.find(piece.kind, metadata["name"], piece.target)
        if existing is not None:
            return self._meet(piece, existing, document)
        try:
            created = self._store.create(piece.kind, document, piece.target)
            self._restore_status(piece, created)
        except ApiError as error:
            path = "/".join(part for part in (piece.kind.resource, piece.target, metadata["name"]) if part)
            self._complain("error", f"error restoring {path}: {error.message}", piece)
            return ""
        if piece.kind.resource == "persistentvolumeclaims":
            bind(self._store, created)
        self._volumes.created(piece, created)
        if piece.kind.resource == "pods":
            self.commands += commands(created, self._spec, piece.target)
        return "created"

    def _bring_volume_of(self, piece: Piece) -> None:
        """Restore the volume of a claim first, also where volumes are not asked for."""
        if piece.kind.resource != "persistentvolumeclaims" or not self._choice.takes_cluster_scoped(related=True):
            return
        name = piece.document.get("spec", {}).get("volumeName", "")
        volume = self._archive.get("persistentvolumes", {}).get(("", name))
        if volume is not None and self._choice.takes("persistentvolumes"):
            self.bring(self._choice.piece(self._store.kinds.named("persistentvolumes"), volume))

    def _restore_status(self, piece: Piece, created: Document) -> None:
        status = piece.document.get("status")
        if status and wants_status(self._spec, piece.kind.resource, piece.document, self._store.kinds):
            subresource: Subresource = "status" if piece.kind.status_subresource else ""
            name = created["metadata"]["name"]
            self._store.patch(piece.kind, name, {"status": clone(status)}, piece.target, subresource=subresource)

    # One that is there already

    def _meet(self, piece: Piece, existing: Document, wanted: Document) -> str:
        policy, metadata = self._spec.get("existingResourcePolicy"), existing["metadata"]
        labelled = {**existing, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **self._labels()}}}
        differs = (piece.kind.resource, piece.name) in _ALWAYS_DIFFERENT or not same(labelled, wanted)
        if piece.kind.resource == "serviceaccounts":
            merged = merged_account(existing, wanted)
            return self._write(piece, existing, merged) if merged != existing else ""
        if policy == "update":
            done = self._write(piece, existing, changed(labelled, wanted, piece.kind) if differs else labelled)
            return done if differs else ""
        if differs:
            called = f'{piece.kind.kind} "{piece.name}"' if policy else f"{piece.kind.kind}:{piece.name}"
            why = "Warning: the in-cluster version is different than the backed-up version"
            self._complain("warning", f"could not restore, {called} already exists. {why}", piece)
        return ""

    def _write(self, piece: Piece, existing: Document, wanted: Document) -> str:
        try:
            self._store.replace(piece.kind, existing["metadata"]["name"], wanted, piece.target)
        except ApiError as error:
            self._complain("warning", error.message, piece)
            return ""
        return "updated"

    # Around it

    def _ensure_namespace(self, piece: Piece) -> bool:
        found = self._store.find("namespaces", piece.target)
        if found is None:
            source = piece.source or piece.name
            before = self._archive.get("namespaces", {}).get(("", source), {"metadata": {}})["metadata"]
            kept = {key: clone(before[key]) for key in ("labels", "annotations") if key in before}
            kept["labels"] = without(kept.get("labels", {}), ["kubernetes.io/metadata.name"])
            self._store.create("namespaces", {"metadata": {"name": piece.target, **kept}})
            furnish_namespace(self._store, piece.target)
            self._list("v1/Namespace", "", piece.target, "created")
        elif "deletionTimestamp" in found["metadata"]:
            text = f"timed out waiting for terminating namespace {piece.target} to disappear before restoring"
            self._report.complain("error", text, None)
            return False
        return True

    def _labels(self) -> dict[str, str]:
        return {
            BACKUP_LABEL: valid_name(self._spec["backupName"]),
            RESTORE_LABEL: valid_name(self._restore["metadata"]["name"]),
        }

    def _complain(self, level: Level, text: str, piece: Piece) -> None:
        self._report.complain(level, text, piece.target)

    def _list(self, kind: str, namespace: str, name: str, became: str) -> None:
        path = f"{namespace}/{name}" if namespace else name
        self._listed.setdefault(kind, []).append(f"{path}({became})")
