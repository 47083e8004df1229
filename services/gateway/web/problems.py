"""Everything that the API can say no with (RFC 9457): slug → status, title and words, in one table."""

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from starlette.responses import HTMLResponse, Response

MEDIA_TYPE = "application/problem+json"


class FieldError(TypedDict):
    """One thing that is wrong with a request, and where: a JSON pointer into the body, a query parameter or a header."""

    detail: str
    pointer: NotRequired[str]
    parameter: NotRequired[str]
    header: NotRequired[str]


def escape(step: str) -> str:
    """Return one step of a JSON pointer (RFC 6901)."""
    return step.replace("~", "~0").replace("/", "~1")


def pointer(steps: Iterable[str | int]) -> str:
    """Return a JSON pointer of its steps, unescaped; the whole is the empty text."""
    return "".join(f"/{escape(str(step))}" for step in steps)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its status, its title, and what a person can do about it."""

    status: int
    title: str
    words: str


PROBLEMS: dict[str, Kind] = {
    "malformed-json": Kind(400, "Not JSON", "The body could not be read as JSON. Nothing was done."),
    "invalid-query": Kind(
        400, "Invalid query", "A query parameter is unknown or has a value that it cannot have; `errors` names each."
    ),
    "invalid-header": Kind(400, "Invalid header", "A request header has a value that it cannot have; `errors` names it."),
    "invalid-cursor": Kind(
        400,
        "Invalid cursor",
        "The cursor is not one of ours, or belongs to a list with another sort or other filters. Begin again without it.",
    ),
    "unauthenticated": Kind(401, "Who are you?", "Send a valid token as `Authorization: Bearer <token>`."),
    "forbidden": Kind(403, "Not allowed", "Your role does not permit this. An admin can give you a token with another role."),
    "host-refused": Kind(
        403,
        "Only for this machine",
        "The gateway runs without tokens and therefore answers only requests to a loopback host, from a loopback origin. "
        "This keeps web pages from reaching it through your browser.",
    ),
    "not-found": Kind(404, "Not found", "There is nothing of that name or id."),
    "backup-gone": Kind(404, "The backup has gone", "The backup is no longer in its cluster, and no copy of this was kept."),
    "restore-gone": Kind(404, "The restore has gone", "The restore is no longer in its cluster, and no copy of this was kept."),
    "artifact-missing": Kind(
        404,
        "There is none",
        "The backup or restore has no such log, results, list or tarball: not yet, because it has not ended, or not any more.",
    ),
    "method-not-allowed": Kind(
        405, "Method not allowed", "The address exists, but not with this method; `Allow` lists those it has."
    ),
    "cluster-exists": Kind(
        409, "Cluster already registered", "A cluster of that id is registered with other settings. Change it with PATCH."
    ),
    "schedule-exists": Kind(
        409,
        "Schedule already there",
        "The cluster has a schedule of that name, or one that is still being deleted. Take another, or wait until it has gone.",
    ),
    "schedule-deleting": Kind(
        409, "Being deleted", "The schedule is on its way out: nothing of it can be changed or run any more."
    ),
    "managed-by-velero": Kind(
        409,
        "Managed by Velero",
        "The schedule is an object in the cluster that Leeward has not made. It is shown here; change it where it was made.",
    ),
    "inventory-unknown": Kind(
        409, "Not known yet", "The cluster has not told yet which namespaces it has. It does within a minute of coming online."
    ),
    "bucket-shared": Kind(
        409,
        "Somebody else writes there",
        "Another storage location writes into the same bucket and prefix. Two that write there destroy each other's backups: "
        "take another prefix, make this one read-only, or say `allowSharedBucket=true` if it is another storage of that name.",
    ),
    "location-in-use": Kind(
        409,
        "Still needed",
        "Schedules, backups or running restores need the storage location; `detail` says which. `force=true` removes it all "
        "the same: what lies in the bucket stays, but cannot be reached through it any more.",
    ),
    "sealing-key-unknown": Kind(
        409,
        "Cannot be sealed",
        "A credential leaves the gateway only as a box that the cluster's own executor can open, and the key to close it with "
        "is not known yet; `detail` says what to do.",
    ),
    "cluster-in-use": Kind(
        409,
        "Still in use",
        "Schedules of the cluster exist, or something runs there; `detail` says what. `force=true` forgets the cluster all the "
        "same: its history stays.",
    ),
    "deletion-failed": Kind(
        409,
        "Not deleted",
        "Velero was asked to delete the backup and could not; `detail` says in its words why. The backup is still there.",
    ),
    "artifact-changed": Kind(409, "Changed meanwhile", "It was replaced while it was read. Read it again from its beginning."),
    "precondition-failed": Kind(
        412, "Changed meanwhile", "The object is no longer the one that `If-Match` names. Read it again, then decide again."
    ),
    "body-too-large": Kind(
        413, "Body too large", "A request body may have 512 KiB, and what it asks for must fit into one message."
    ),
    "unsupported-media-type": Kind(415, "Not JSON", "Send the body as `Content-Type: application/json`."),
    "range-not-satisfiable": Kind(
        416, "Beyond the end", "The range begins behind the last byte; `Content-Range` says how many there are."
    ),
    "invalid-request": Kind(
        422,
        "Invalid request",
        "The body is JSON but not a valid request; `errors` names every field at fault. Nothing was done.",
    ),
    "idempotency-key-reused": Kind(
        422,
        "Idempotency-Key already used",
        "A request with this key asked for something else within the last 14 days. Use a new key for a new request.",
    ),
    "refused": Kind(
        422,
        "The cluster refused",
        "The request reached the cluster and was refused there; `detail` and `errors` say why. Nothing was made.",
    ),
    "unreadable-document": Kind(
        500, "Unreadable record", "The stored record cannot be read by this version. The rest of the list is not affected."
    ),
    "internal-error": Kind(500, "Internal error", "Something went wrong in Leeward itself. The log of the gateway says what."),
    "storage-forbidden": Kind(
        502,
        "The storage refused",
        "The object storage does not let Velero's signed address be read. Its credentials or its clock need a look.",
    ),
    "outcome-unknown": Kind(
        503,
        "Outcome unknown",
        "It is not known whether the command was stored. Repeating the request with the same Idempotency-Key is safe; "
        "`GET /api/v1/operations/{operationId}` tells whether the command is there.",
    ),
    "dependency-unavailable": Kind(
        503, "Temporarily unavailable", "Something that the answer depends on does not respond. Try again shortly."
    ),
    "cluster-silent": Kind(
        504,
        "The cluster does not answer",
        "What was asked for has to be read through the executor and Velero of the cluster, and one of them does not answer.",
    ),
    "storage-unreachable": Kind(
        504, "The storage does not answer", "The executor of the cluster cannot read the object storage just now."
    ),
}


class ProblemError(Exception):
    """The request ends with a problem. `status` overrides the kind's; `members` are further members of the document."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        errors: list[FieldError] | None = None,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.status = status or PROBLEMS[slug].status
        self.detail = detail
        self.errors = errors or []
        self.headers = headers or {}
        self.members = members

    def document(self) -> dict[str, Any]:
        """Return the problem document."""
        return {
            "type": f"/problems/{self.slug}",
            "title": PROBLEMS[self.slug].title,
            "status": self.status,
            "detail": self.detail,
            **({"errors": self.errors} if self.errors else {}),
            **self.members,
        }

    def response(self) -> Response:
        """Return the problem as an HTTP response."""
        content = json.dumps(self.document(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return Response(content, self.status, self.headers, MEDIA_TYPE)


def unavailable(dependency: str, reason: str, **members: Any) -> ProblemError:
    """Return the problem of an answer that depends on something that is away."""
    words = f"{dependency} does not answer: {reason}"
    return ProblemError("dependency-unavailable", words, headers={"Retry-After": "2"}, dependency=dependency, **members)


def page(slug: str) -> Response | None:
    """Return the page of words behind a problem's type; None for a slug that there is not."""
    kind = PROBLEMS.get(slug)
    if kind is None:
        return None
    title, words = html.escape(kind.title), html.escape(kind.words)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1><p>HTTP status {kind.status}, <code>/problems/{slug}</code></p><p>{words}</p></html>\n"
    )
