"""ObjectMeta: what a client may set, what only the server sets, and what neither may change."""

import secrets
from collections.abc import Iterator
from typing import Any

from simulator.documents import Document
from simulator.errors import Cause, invalid_value
from simulator.kinds import FLAG, INTEGER, TEXT, TEXTS, Kind, Schema
from simulator.names import label_problems, label_value_problems, qualified_name_problems, subdomain_problems
from simulator.schema import prune, validate

_OWNER: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("apiVersion", "kind", "name", "uid"), TEXT),
        **dict.fromkeys(("controller", "blockOwnerDeletion"), FLAG),
    },
}
_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "generateName", "namespace", "uid", "resourceVersion", "selfLink"), TEXT),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), TEXT),
        **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), INTEGER),
        **dict.fromkeys(("labels", "annotations"), TEXTS),
        "finalizers": {"type": "array", "items": TEXT},
        "ownerReferences": {"type": "array", "items": _OWNER},
        "managedFields": {"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": True}},
    },
}
_NEVER_STORED = ("managedFields", "selfLink")
SERVER_SET = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
"""What a create may name but does not decide."""

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_ANNOTATIONS_LIMIT = 256 * 1024
_GO_TYPES = {"boolean": "bool", "integer": "number"}


class Undecodable(ValueError):  # noqa: N818 (named for the document, as the server names it)
    """A document that Go cannot read into the structure of its kind; the text is the decoder's."""


def decode_metadata(metadata: Any) -> tuple[Document, list[str]]:
    """Return what of a client's metadata is kept, and the paths of unknown fields. Raise Undecodable on a wrong type.

    Empty values go, as Go's `omitempty` drops them; nulls in maps become empty strings.
    """
    known, unknown = prune(_SCHEMA, {} if metadata is None else metadata, "metadata")
    if isinstance(known, dict):
        known = {key: _without_nulls(value) for key, value in known.items() if value is not None}
    refuse_types("ObjectMeta", validate(_SCHEMA, known, "metadata"))
    kept = {key: value for key, value in known.items() if value not in ("", [], {}, 0) and key not in _NEVER_STORED}
    return kept, unknown


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "" if item is None else item for key, item in value.items()}
    return value


def refuse_types(structure: str, causes: list[Cause]) -> None:
    """Raise Undecodable for the first cause, in the words of Go's decoder about a structure."""
    for cause in causes:
        found, expected, field = cause.message.rsplit('"', 2)[1], cause.message.split("of type ")[-1], cause.field
        path = field.removeprefix("metadata.").replace("[", ".").split(".")[0]
        expected = expected.split(":")[0]
        raise Undecodable(
            f"json: cannot unmarshal {_GO_TYPES.get(found, found)} into Go struct field {structure}.{path} of type {expected}"
        )


def generate_name(prefix: str) -> str:
    """Make a name from metadata.generateName: 58 characters at most, and five random ones."""
    return prefix[:58] + "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))


def metadata_problems(kind: Kind, metadata: Document) -> list[Cause]:
    """Return everything that is wrong with an object's metadata."""
    return list(_problems(kind, metadata))


def _problems(kind: Kind, metadata: Document) -> Iterator[Cause]:
    name_problems = label_problems if kind.names_are_labels else subdomain_problems
    if not metadata.get("name"):
        yield Cause("metadata.name", "Required value: name or generateName is required", "FieldValueRequired")
        return
    if prefix := metadata.get("generateName", ""):
        # What follows a trailing dash is not known yet: it is judged as if it were a letter.
        masked = f"{prefix[:-1]}a" if prefix.endswith("-") else prefix
        yield from (invalid_value("metadata.generateName", prefix, problem) for problem in name_problems(masked))
    yield from (invalid_value("metadata.name", metadata["name"], problem) for problem in name_problems(metadata["name"]))
    for key, value in metadata.get("labels", {}).items():
        yield from (invalid_value("metadata.labels", key, problem) for problem in qualified_name_problems(key))
        yield from (invalid_value("metadata.labels", value, problem) for problem in label_value_problems(value))
    annotations = metadata.get("annotations", {})
    for key in annotations:
        # Keys of annotations may be written in capitals, also where a DNS name is expected.
        yield from (invalid_value("metadata.annotations", key, problem) for problem in qualified_name_problems(key.lower()))
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        too_long = f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes"
        yield Cause("metadata.annotations", too_long, "FieldValueTooLong")
    for finalizer in metadata.get("finalizers", ()):
        yield from (invalid_value("metadata.finalizers", finalizer, problem) for problem in qualified_name_problems(finalizer))
    for owner in metadata.get("ownerReferences", ()):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                yield invalid_value(f"metadata.ownerReferences.{key}", "", "must not be empty")


def change_problems(old: Document, new: Document) -> list[Cause]:
    """Return what an update may not do to metadata."""
    problems = [
        invalid_value(f"metadata.{key}", str(new[key]), "field is immutable")
        for key in ("uid", "deletionTimestamp")
        if key in new and new[key] != old.get(key)
    ]
    added = [item for item in new.get("finalizers", ()) if item not in old.get("finalizers", ())]
    if "deletionTimestamp" in old and added:
        listed = ", ".join(f'"{item}"' for item in added)
        why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
        problems.append(Cause("metadata.finalizers", f"Forbidden: {why}", "FieldValueForbidden"))
    return problems
