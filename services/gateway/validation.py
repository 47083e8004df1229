"""From a request's bytes to a command or to every problem in it. Pure: what only the cluster knows is the cluster's to say.

Two layers: the contract's models say what each field may be, `rules` what fields may be together.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from services.gateway.rules import DATAMOVERS, PARTS, Part
from services.gateway.schemas import ClusterSettings, CreateBackup, ScheduleSettings
from services.gateway.web.problems import FieldError, pointer
from shared.contracts.backupspec import BackupSpec
from shared.contracts.base import Wire
from shared.contracts.commands import BackupCreate
from shared.contracts.ids import is_cluster_id
from shared.contracts.scopes import BY_ENVIRONMENT
from shared.contracts.selectors import Environments

MAX_ERRORS = 100
"""Errors that an answer lists."""
MAX_VALUES = 50_000
"""Values in a body, counted through all of its objects and lists: each could be an error of its own."""
MAX_ENTRIES = 1000
MAX_DURATION = 40
_LISTS = (
    "namespaces",
    *(f"{verb}{what}" for verb in ("included", "excluded") for what in ("Namespaces", "Resources")),
    *(f"{verb}{scope}ScopedResources" for verb in ("included", "excluded") for scope in ("Cluster", "Namespace")),
    "volumeSnapshotLocations",
)
_DURATIONS = (
    *("deadline", "startingDeadline", "spread", "ttl", "csiSnapshotTimeout", "itemOperationTimeout"),
    *("timeout", "execTimeout", "waitTimeout"),
)
_NO_LIMIT: tuple[int | None, str] = (None, "")
_LIMITS: Mapping[tuple[Any, type], tuple[int | None, str]] = {
    **{(name, list): (MAX_ENTRIES, "entries") for name in _LISTS},
    **{(name, str): (MAX_DURATION, "characters") for name in _DURATIONS},
}
"""How long a field of that name and type may be, wherever it stands."""

_Steps: TypeAlias = "tuple[_Steps, str | int] | None"
"""The way to a value from its last step to its first, so that going one deeper costs nothing until an error has to be told."""

M = TypeVar("M", bound=Wire)


class NotJsonError(ValueError):
    """The body is not JSON."""


class InvalidRequestError(ValueError):
    """The body is JSON but not the request; `errors` names what is wrong, `value` is what was sent.

    `count` is how many things are wrong; the first 100 are among `errors`.
    """

    def __init__(self, errors: list[FieldError], value: Any = None, count: int | None = None) -> None:
        self.errors = errors[:MAX_ERRORS]
        self.count = len(errors) if count is None else count
        self.value = value
        super().__init__("; ".join(f"{e.get('pointer', '')}: {e['detail']}" for e in self.errors))


def read(model: type[M], body: bytes) -> M:
    """Read a body strictly: no unknown field, no value of another type, no other spelling of a name.

    Raises NotJsonError or InvalidRequestError.
    """
    value = _json(body)
    if excess := list(_excess(value)):
        raise InvalidRequestError(excess)  # and not its value: nothing more is to be read from it
    try:
        return model.model_validate_json(body, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[:MAX_ERRORS]
        raise InvalidRequestError([field_error(e) for e in first], value, error.error_count()) from None


def _excess(value: Any) -> Iterator[FieldError]:
    """Find what is longer than anybody needs, so that all that follows is cheap whatever was sent."""
    left: list[tuple[_Steps, Any]] = [(None, value)] if isinstance(value, dict | list) else []
    count = 0
    while left:
        place, holder = left.pop()
        count += len(holder)
        if count > MAX_VALUES:
            yield {"pointer": "", "detail": f"must not hold more than {MAX_VALUES:,} values"}
            return
        for step, child in holder.items() if isinstance(holder, dict) else enumerate(holder):
            limit, what = _LIMITS.get((step, type(child)), _NO_LIMIT)
            if limit is not None and len(child) > limit:
                yield {"pointer": _pointer((place, step)), "detail": f"must not have more than {limit:,} {what}"}
            elif isinstance(child, dict | list):
                left.append(((place, step), child))


def _pointer(place: _Steps) -> str:
    steps: list[str | int] = []
    while place is not None:
        place, step = place
        steps.append(step)
    return pointer(reversed(steps))


def backup_request(body: bytes) -> CreateBackup:
    """Read `POST /backups` with every rule that can be checked without asking the cluster.

    Raises NotJsonError, or InvalidRequestError with the errors of both layers: a rule is also applied to the parts that are
    well-formed when others are not, so that one answer tells everything.
    """
    return checked(CreateBackup, body)


def checked(model: type[M], body: bytes, parts: Sequence[Part] = PARTS) -> M:
    """Read a body, and judge each part of it for which there are rules.

    Raises NotJsonError or InvalidRequestError.
    """
    try:
        request = read(model, body)
    except InvalidRequestError as invalid:
        more = _rules_of_readable_parts(model, invalid.value, parts)
        raise InvalidRequestError([*invalid.errors, *more], invalid.value, invalid.count + len(more)) from None
    errors = [error for part in parts if part.belongs_to(model) for error in part.errors(part.of(request))]
    if errors:
        raise InvalidRequestError(errors, from_json(body))
    return request


def cluster_and_mover(value: Any) -> tuple[str | None, str | None]:
    """Return the cluster that a body names, if it can be one, and the data mover, if there is one to judge."""
    if not isinstance(value, dict):
        return None, None
    cluster, spec = value.get("cluster"), value.get("spec")
    mover = spec.get("datamover") if isinstance(spec, dict) else None
    readable = isinstance(cluster, str) and is_cluster_id(cluster)
    return cluster if readable else None, mover if isinstance(mover, str) else None


def needs_environments(request: CreateBackup) -> bool:
    """Tell whether the scope means nothing without the cluster's selectors."""
    return isinstance(request.scope, BY_ENVIRONMENT)


def backup_command(request: CreateBackup, environments: Environments | None = None) -> BackupCreate:
    """Return what the cluster is asked to do, with the spellings that Velero knows."""
    spec = as_velero_spells(request.spec)
    return BackupCreate(name=request.name, labels=request.labels, scope=request.scope, spec=spec, environments=environments)


def as_velero_spells(spec: BackupSpec) -> BackupSpec:
    """Return a spec with the names that Velero knows for what people call otherwise, too."""
    mover = spec.datamover
    return spec.model_copy(update={"datamover": DATAMOVERS.get(mover, mover) if mover else None})


def merged_schedule(current: ScheduleSettings, body: bytes) -> tuple[ScheduleSettings, frozenset[str]]:
    """Apply a JSON merge patch (RFC 7396) to a schedule; returns the names that it says something of, too.

    A scope of another kind than `specific` leaves the list of namespaces behind, because it has none.
    Raises NotJsonError or InvalidRequestError.
    """
    patch = patch_of(body)
    base = current.model_dump(mode="json", by_alias=True, exclude_none=True)
    kind = _within(patch, "template", "scope", "kind")
    if kind is not None and kind != "specific":
        base["template"]["scope"].pop("namespaces", None)
    return checked(ScheduleSettings, json.dumps(merged(base, patch)).encode()), frozenset(patch)


def merged_settings(current: ClusterSettings, body: bytes) -> ClusterSettings:
    """Apply a JSON merge patch (RFC 7396).

    Raises NotJsonError or InvalidRequestError.
    """
    wanted = merged(current.model_dump(mode="json", by_alias=True, exclude_none=True), patch_of(body))
    return read(ClusterSettings, json.dumps(wanted).encode())


def patch_of(body: bytes) -> dict[str, Any]:
    """Read a JSON merge patch.

    Raises NotJsonError or InvalidRequestError.
    """
    patch = _json(body)
    if not isinstance(patch, dict):
        raise InvalidRequestError([{"pointer": "", "detail": "must be an object"}])
    if excess := list(_excess(patch)):
        raise InvalidRequestError(excess)
    return patch


def _within(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _rules_of_readable_parts(model: type[Wire], sent: Any, parts: Sequence[Part]) -> list[FieldError]:
    errors: list[FieldError] = []
    for part in parts:
        if not part.belongs_to(model) or (said := part.within(sent)) is None:
            continue
        try:
            value = part.form.validate_json(json.dumps(said), strict=True, by_alias=True, by_name=False)
        except ValidationError:
            continue  # already among the errors of the first layer
        errors += part.errors(value)
    return errors


# ---------------------------------------------------------------------- pydantic's words into ours

_TAGGED = frozenset({"scope"})
"""Fields whose kind pydantic puts into the path of an error; it is not in the body."""

_WORDS = {
    "extra_forbidden": "is not a field of this request",
    "missing": "is required",
    "union_tag_not_found": "is required",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must not be empty",
    "union_tag_invalid": "must be one of {expected_tags}",
    "literal_error": "must be {expected}",
}


def field_error(error: ErrorDetails) -> FieldError:
    """Return an error of pydantic's as ours, without the value, which may be large or secret."""
    location = list(error["loc"])
    for i, step in enumerate(location[:-1]):
        if step in _TAGGED and not error["type"].startswith("union_tag"):
            del location[i + 1]
            break
    if location and location[-1] == "[key]":
        location.pop()
    if error["type"].startswith("union_tag"):
        location.append("kind")
    context = error.get("ctx", {})
    words = _WORDS.get(error["type"])
    detail = words.format(**context) if words else str(context.get("error") or error["msg"])
    return {"pointer": pointer(location), "detail": detail}


def _json(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise NotJsonError(str(error)) from None


def merged(target: Any, patch: Any) -> Any:
    """Apply a merge patch (RFC 7396): null takes a field away."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
