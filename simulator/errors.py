"""What the API server says when it refuses: Status objects, in the words of a real kube-apiserver 1.35."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.documents import Document

if TYPE_CHECKING:
    from simulator.kinds import Kind


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing wrong with one field; `reason` is a Kubernetes CauseType."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def document(self) -> Document:
        """Return the cause as it stands in a Status."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


class ApiError(Exception):
    """A refusal with its HTTP code and the fields of its Status object."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Document | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after

    def status(self) -> Document:
        """Return the Status object that goes over the wire."""
        status: Document = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.reason:
            status["reason"] = self.reason
        details = dict(self.details or {})
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        if details or self.details is not None:
            status["details"] = details
        status["code"] = self.code
        return status


def invalid_value(field: str, value: str, why: str) -> Cause:
    """Make a cause in the words that Kubernetes uses for a value of the wrong form."""
    return Cause(field, f'Invalid value: "{value}": {why}')


def unsupported_value(field: str, value: str, supported: Sequence[str]) -> Cause:
    """Make a cause for a value that is not in an enumeration."""
    choices = ", ".join(f'"{choice}"' for choice in supported)
    return Cause(field, f'Unsupported value: "{value}": supported values: {choices}', "FieldValueNotSupported")


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 with every cause; `kind` is usually the Kind, not the plural."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    summary = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details: Document = {"name": name, "group": group, "kind": kind, "causes": [cause.document() for cause in causes]}
    qualified = f"{kind}.{group}" if group else kind
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {summary}', details=_filled(details))


def invalid_object(kind: Kind, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 for an object of a served kind."""
    return invalid(kind.kind, kind.group, name, causes)


def invalid_options(options: str, cause: Cause) -> ApiError:
    """422 for a query parameter, e.g. of `CreateOptions`."""
    return invalid(options, "meta.k8s.io", "", [cause])


def bad_request(message: str) -> ApiError:
    """400 for a request that makes no sense."""
    return ApiError(400, "BadRequest", message)


def cannot_decode(kind: Kind, why: str) -> ApiError:
    """400 for a body that is JSON but not an object of this kind."""
    return bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}')


def not_found(kind: Kind, name: str) -> ApiError:
    """404 for an object."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', details=_about(kind, name))


def already_exists(kind: Kind, name: str) -> ApiError:
    """409 for a name that is taken."""
    return ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', details=_about(kind, name))


def conflict(kind: Kind, name: str) -> ApiError:
    """409 for a write that was made against another version of the object."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_about(kind, name))


def unmet_precondition(kind: Kind, name: str, why: str) -> ApiError:
    """409 for a write that was meant for another object of this name, or another version of it."""
    details = _filled({"name": name, "group": kind.group, "kind": kind.kind})
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {qualified} "{name}": {why}', details=details)


def forbidden(kind: Kind, name: str, why: str, causes: Sequence[Cause] = ()) -> ApiError:
    """403 for what is not allowed to this user, or to anybody."""
    details = _about(kind, name)
    if causes:
        details["causes"] = [cause.document() for cause in causes]
    subject = f'{kind.resource} "{name}"' if name else kind.resource
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details=details)


def unauthorized() -> ApiError:
    """401 for a token that nobody has."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def expired(message: str) -> ApiError:
    """410: the versions asked for are compacted, or have left the watch cache."""
    return ApiError(410, "Expired", message)


def too_large_version(asked: int, current: int) -> ApiError:
    """504: a list at a version that this cluster has not reached (yet)."""
    details: Document = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", message, details=details, retry_after=1)


def too_large_body(limit: int) -> ApiError:
    """413 for a body above the limit, in bytes."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415 for a body of another type than the accepted ones."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable() -> ApiError:
    """406 for a client that takes nothing that the server can write."""
    message = (
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf, application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    )
    return ApiError(406, "NotAcceptable", message, details={})


def not_allowed() -> ApiError:
    """405 for a verb that a resource does not have."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details={})


def initializing() -> ApiError:
    """429: what watches and lists get while the server fills its watch cache after a start."""
    return ApiError(429, "TooManyRequests", "storage is (re)initializing", retry_after=1)


def internal(message: str) -> ApiError:
    """500 for what went wrong in the server itself."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")


def unavailable() -> ApiError:
    """503 for a server that cannot answer now."""
    return ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request")


def timed_out() -> ApiError:
    """504 for a write that took too long, mostly because of its webhooks."""
    return ApiError(504, "Timeout", "Timeout: request did not complete within requested timeout - context deadline exceeded")


def _about(kind: Kind, name: str) -> Document:
    return _filled({"name": name, "group": kind.group, "kind": kind.plural})


def _filled(document: Document) -> Document:
    return {key: value for key, value in document.items() if value != ""}
