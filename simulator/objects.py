"""The way of one object through the server: decoded, completed and checked by the rules of its kind."""

import base64
from collections.abc import Callable, Sequence
from typing import Literal

from simulator.documents import Document, clone, without
from simulator.errors import Cause, bad_request, invalid, invalid_object
from simulator.kinds import Kind
from simulator.metadata import Undecodable, decode_metadata, metadata_problems, refuse_types
from simulator.schema import drop_nulls, fill_defaults, prune, validate

Subresource = Literal["", "status"]
_ENVELOPE = ("apiVersion", "kind", "metadata")


def decode_object(kind: Kind, document: Document, *, strict: bool = False) -> tuple[Document, list[str]]:
    """Return the document as the server understands it, and the paths of the fields that it does not know.

    Raise Undecodable when something is of a type that a Go structure cannot hold, or (with `strict`) when a field is unknown,
    and ApiError when it is of another version (400) or kind (422).
    """
    metadata, unknown_metadata = decode_metadata(document.get("metadata"))
    _check_type(kind, document, str(metadata.get("name", "")))
    body, unknown = prune(kind.schema, without(document, _ENVELOPE))
    body = fill_defaults(kind.schema, drop_nulls(kind.schema, body))
    if not kind.custom:
        refuse_types(kind.kind, validate(kind.schema, body))
    unknown = sorted(unknown + unknown_metadata)
    if strict and unknown:
        raise Undecodable("strict decoding error: " + ", ".join(f'unknown field "{path}"' for path in unknown))
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **body}, unknown


def _check_type(kind: Kind, document: Document, name: str) -> None:
    version, given = document.get("apiVersion", kind.api_version), document.get("kind", kind.kind)
    if version != kind.api_version:
        expected = f"the expected API version ({kind.api_version})"
        raise bad_request(f"the API version in the data ({version}) does not match {expected}")
    if given != kind.kind:
        raise invalid(given, kind.group, name, [Cause("kind", f'Invalid value: "{given}": must be {kind.kind}')])


def complete_object(kind: Kind, new: Document, old: Document | None, subresource: Subresource = "") -> Document:
    """Add what the server writes itself, and take only the part that this way of writing may change."""
    if kind.status_subresource:
        if subresource == "status" and old is not None:
            new = {**without(old, ["status"]), **{key: new[key] for key in ("status",) if key in new}}
        else:
            status = clone(dict(kind.initial_status)) if old is None else old.get("status")
            new = {**without(new, ["status"]), **({"status": status} if status else {})}
    own = _COMPLETIONS.get(kind.resource)
    return own(new) if own else new


def check_object(kind: Kind, name: str, document: Document, causes: Sequence[Cause] = ()) -> None:
    """Raise ApiError (422) with everything that is wrong."""
    found = [*causes, *metadata_problems(kind, document["metadata"]), *validate(kind.schema, without(document, _ENVELOPE))]
    if found:
        raise invalid_object(kind, name, found)


def meaning(kind: Kind, document: Document) -> Document:
    """Return the part of an object whose changes count as a new generation.

    Velero's kinds have no status subresource, so for them the status belongs to it.
    """
    return without(document, (*_ENVELOPE, "status") if kind.status_subresource else _ENVELOPE)


def _complete_namespace(document: Document) -> Document:
    metadata = document["metadata"]
    labels = {**metadata.get("labels", {}), "kubernetes.io/metadata.name": metadata.get("name", "")}
    return {**document, "metadata": {**metadata, "labels": labels}, "spec": {"finalizers": ["kubernetes"]}}


def _complete_secret(document: Document) -> Document:
    written = {key: base64.b64encode(text.encode()).decode() for key, text in document.get("stringData", {}).items()}
    data = {**document.get("data", {}), **written}
    return {"type": "Opaque", **without(document, ["stringData", "data"]), **({"data": data} if data else {})}


_COMPLETIONS: dict[str, Callable[[Document], Document]] = {
    "namespaces": _complete_namespace,
    "secrets": _complete_secret,
}
