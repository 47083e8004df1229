"""The gateway's problems in a person's words: which option is meant, what to do about it, and the exit code."""

import re
from collections.abc import Mapping
from typing import Any, Self

from leeward.errors import CliError, Exit

_EXITS: Mapping[str, Exit] = {
    "malformed-json": Exit.USAGE,
    "invalid-query": Exit.USAGE,
    "invalid-header": Exit.USAGE,
    "invalid-cursor": Exit.USAGE,
    "invalid-request": Exit.USAGE,
    "idempotency-key-reused": Exit.USAGE,
    "body-too-large": Exit.USAGE,
    "unauthenticated": Exit.FORBIDDEN,
    "forbidden": Exit.FORBIDDEN,
    "host-refused": Exit.FORBIDDEN,
    "not-found": Exit.NOT_FOUND,
    "outcome-unknown": Exit.UNREACHABLE,
    "dependency-unavailable": Exit.UNREACHABLE,
}
_EXITS_BY_CODE: Mapping[str, Exit] = dict.fromkeys(
    ("ClusterUnknown", "BackupGone", "RestoreGone", "LocationGone"), Exit.NOT_FOUND
)
_EXITS_BY_STATUS: Mapping[int, Exit] = {
    400: Exit.USAGE,
    401: Exit.FORBIDDEN,
    403: Exit.FORBIDDEN,
    404: Exit.NOT_FOUND,
    502: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
    504: Exit.UNREACHABLE,
}
_PAIRS = frozenset({"/labels", "/spec/orderedResources", "/spec/config", "/storage/config", "/spec/namespaceMapping"})
"""What is typed as `key=value`."""
_UNSHOWN = "/credential"
"""What is never shown again."""
_IN_ADDRESS = re.compile(r"://[^/]*@")
"""Neither is who an address lets in, and by what password."""
TEMPORARY = frozenset({502, 503, 504})

_ADVICE: Mapping[str, str] = {
    "forbidden": "an admin can give you a token with another role",
    "host-refused": "the gateway runs without tokens and answers this machine only: use http://127.0.0.1 or http://localhost",
    "invalid-cursor": "begin again without --cursor, or with the same filters and --sort",
    "idempotency-key-reused": "use another --idempotency-key for another request",
    "dependency-unavailable": "try again shortly",
    "internal-error": "the gateway's log says more",
    "schedule-exists": "`leeward schedule edit {name} --cluster {cluster}` changes it",
    "precondition-failed": "somebody has changed it in this moment: look at it, and say it again",
    "managed-by-velero": "whoever keeps it in the cluster can change it there",
    "NameTaken": "look at it with `leeward backup describe {name} --cluster {cluster}`, or choose another name",
    "NamespaceUnknown": "`leeward cluster namespaces {cluster}` shows those that exist",
    "LocationUnknown": "`leeward location list --cluster {cluster}` shows those that exist",
    "LocationNotChosen": "choose one with --storage-location; `leeward location list --cluster {cluster}` shows them",
    "LocationUnavailable": "`leeward location list --cluster {cluster}` shows all of them",
    "LocationReadOnly": "`leeward location list --cluster {cluster}` shows all of them",
    "KindUnknown": "`leeward cluster resources {cluster} --all` shows those that exist",
    "ScopeMatchesNothing": "`leeward cluster namespaces {cluster}` shows the namespaces and their environments",
    "DeletionFailed": "`leeward backup describe {name} --cluster {cluster}` shows all that Velero said",
    "BackupNotEnded": "`leeward backup wait {name}` waits for its end",
    "NotThere": "a backup that has not ended, or failed early, has none: `leeward backup describe` says how it went",
    "RestoreNameTaken": "look at it with `leeward restore describe {name} --cluster {cluster}`, or choose another name",
    "RestoreOverlap": "`leeward restore list --status restoring` shows what runs",
    "BackupNotRestorable": "`leeward backup describe {backup}` says how it went",
    "NamespaceNotInBackup": "`leeward backup resources {backup}` shows what it holds",
    "NothingMatches": "`leeward backup resources {backup}` shows what it holds",
    "NoGoodBackup": "`leeward backup list --schedule {schedule}` shows those that there are",
    "MirrorFailed": "--credential-file gives what opens the storage, --storage-config s3Url=… another way to it",
    "CredentialUnreadable": "the same command seals it anew",
    "LocationTaken": "`edit` changes it, or choose another name",
    "LocationChanged": "somebody has changed it in this moment: look at it, and say it again",
    "SnapshotLocationAmbiguous": "choose with --volume-snapshot-location",
}
"""What a person can do, by the code of a refusal or the slug of a problem."""

_OF_CLUSTER = " --cluster {cluster}"
"""What advice is as good without, where the cluster is not known."""
_TYPED: Mapping[str, str] = {"`force=true`": "--force", "`allowSharedBucket=true`": "--allow-shared-bucket"}
"""What a program says, and what a person types for it."""


class ApiError(CliError):
    """The gateway said no, or not now."""

    def __init__(self, status: int, document: Mapping[str, Any], *, retry_after: float | None = None) -> None:
        self.status, self.document = status, document
        self.slug = str(document.get("type", "")).rpartition("/")[2]
        self.code = str(document.get("code", ""))
        self.errors: list[Mapping[str, Any]] = [e for e in document.get("errors") or [] if isinstance(e, dict)]
        self.operation_id: str | None = document.get("operationId")
        self.retry_after = retry_after
        self.sent = self.temporary
        self._told = False
        self._facts: Mapping[str, Any] = {}
        fallback = _EXITS_BY_STATUS.get(status, Exit.FAILED)
        exit_code = _EXITS_BY_CODE.get(self.code) or _EXITS.get(self.slug, fallback)
        detail = str(document.get("detail") or document.get("title") or f"the gateway answers {status}")
        super().__init__(as_typed(detail), exit_code)

    @classmethod
    def of(cls, refusal: Mapping[str, Any], **facts: Any) -> Self:
        """Return a refusal that came as data as if it had been the answer; `facts` are those that advice may name."""
        errors = [{"pointer": refusal["pointer"], "detail": refusal.get("detail", "")}] if refusal.get("pointer") else []
        error = cls(422, {"type": "/problems/refused", "errors": errors, **refusal})
        error._facts = facts
        return error

    @property
    def temporary(self) -> bool:
        """Tell whether the same request may be answered later."""
        return self.status in TEMPORARY

    def told(
        self,
        options: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        source: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Self:
        """Name the options at fault instead of places in a request that nobody has seen, and say what to do; once.

        `options` are those that were given, by JSON pointer; `source` is the file that the rest of the request is from;
        `facts` are those that advice may name, where neither the request nor the answer has them.
        """
        if self._told:
            return self
        self._told = True
        self.hints += _advice(_ADVICE.get(self.code) or _ADVICE.get(self.slug), facts or {}, self._facts, body or {})
        typed = self.exit_code is Exit.USAGE or (self.slug == "refused" and (options is not None or source is not None))
        if not typed or not self.errors:
            return self
        lines = [self._line(error, options or {}, body, source) for error in self.errors]
        self.words = lines[0] if len(lines) == 1 else "\n  ".join((f"{len(lines)} things are wrong", *lines))
        return self

    def _line(
        self, error: Mapping[str, Any], options: Mapping[str, str], body: Mapping[str, Any] | None, source: str | None
    ) -> str:
        """Return an error as a line. A refusal is a sentence of its own, where no option is at fault."""
        pointer = str(error.get("pointer", ""))
        own = self.slug == "refused" and source is None and _option(pointer, options) is None
        return as_typed(str(error.get("detail"))) if own else _line(error, options, body, source)


def as_typed(text: str) -> str:
    """Return what the API says in the words of whoever types commands."""
    for said, typed in _TYPED.items():
        text = text.replace(said, typed)
    return text


def _advice(advice: str | None, *sources: Mapping[str, Any]) -> list[str]:
    """Return advice with what it names, the later sources first; none that would have to leave a gap."""
    facts = {name: value for source in sources for name, value in source.items() if value}
    told = advice or ""
    if "cluster" not in facts:
        told = told.replace(_OF_CLUSTER, "")
    try:
        return [told.format_map(facts)] if told else []
    except KeyError:
        return []


def _line(error: Mapping[str, Any], options: Mapping[str, str], body: Mapping[str, Any] | None, source: str | None) -> str:
    detail = as_typed(str(error.get("detail", "is wrong")))
    if parameter := error.get("parameter") or error.get("header"):
        return f"{_kebab(str(parameter))}: {detail}"
    pointer = str(error.get("pointer", ""))
    value = _shown(body, pointer)
    shown = f" {value}" if value and value not in detail else ""
    return f"{_named(pointer, options, source)}{shown}: {_by_options(detail, options)}"


def _shown(body: Mapping[str, Any] | None, pointer: str) -> str:
    """Return what was given there, as it was typed; nothing where that is no word or number, or a secret."""
    value = None if pointer.startswith(_UNSHOWN) else _value_at(body, pointer)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    whole, _, key = pointer.rpartition("/")
    told = _IN_ADDRESS.sub("://…@", str(value))
    return f"{_unescaped(key)}={told}" if whole in _PAIRS else told


def _by_options(detail: str, options: Mapping[str, str]) -> str:
    """Name options that were given instead of fields that nobody has seen."""
    for pointer, option in options.items():
        field = pointer.rpartition("/")[2]
        if not field.islower():  # camelCase: no word of a sentence
            detail = re.sub(rf"\b{re.escape(field)}\b", option, detail)
    return detail


def _named(pointer: str, options: Mapping[str, str], source: str | None) -> str:
    """Return the option that a place in the request was made of, or the place in the file."""
    place = _unescaped(pointer.strip("/").replace("/", ".")) or "the request"
    return _option(pointer, options) or (f"{source}: {place}" if source else place)


def _option(pointer: str, options: Mapping[str, str]) -> str | None:
    """Return the option that a place in the request was made of; None if none was."""
    while pointer:
        if pointer in options:
            return options[pointer]
        pointer = pointer.rpartition("/")[0]
    return None


def _value_at(body: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        key = _unescaped(step)
        if isinstance(body, list) and key.isdigit() and int(key) < len(body):
            body = body[int(key)]
        elif isinstance(body, dict):
            body = body.get(key)
        else:
            return None
    return body


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _kebab(name: str) -> str:
    """Return `--created-by` for `createdBy`."""
    return "--" + "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-").replace("--", "-")
