"""Reading a request: which object it is about, what it wants, and what its parameters say."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request

from simulator.documents import Document, Name, parse_json
from simulator.errors import (
    ApiError,
    Cause,
    bad_request,
    invalid_options,
    not_acceptable,
    not_allowed,
    too_large_body,
    unsupported_media_type,
    unsupported_value,
)
from simulator.kinds import Kind, Kinds
from simulator.schema import type_name

BODY_LIMIT = 3 * 1024 * 1024
MERGE_PATCH = "application/merge-patch+json"
Query = Mapping[str, str]
FieldValidation = Literal["Ignore", "Strict", "Warn"]
Form = Literal["whole", "metadata"]

_METADATA_ALONE = frozenset(("PartialObjectMetadata", "PartialObjectMetadataList"))

_VERBS = {  # (method, whether the URL names an object): verb
    ("GET", True): "get", ("GET", False): "list", ("POST", False): "create", ("PUT", True): "update",
    ("PATCH", True): "patch", ("DELETE", True): "delete", ("DELETE", False): "deletecollection",
}  # fmt: skip
_FALSE = frozenset(("", "0", "false", "False"))


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL is about."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def target(kinds: Kinds, path: str) -> Target | None:
    """Find what a path is about: an object, or all objects of a kind in one namespace or everywhere."""
    steps = [step for step in path.split("/") if step]
    match steps:
        case ["api", "v1", *rest]:
            group, version = "", "v1"
        case ["apis", group, version, *rest]:
            pass
        case _:
            return None
    namespace = ""
    match rest:
        # `/namespaces/<name>/status` is about a namespace, `/namespaces/<name>/pods` is about pods.
        case ["namespaces", where, plural, *names] if plural not in ("status", "finalize"):
            namespace = where
        case [plural, *names]:
            pass
        case _:
            return None
    kind = kinds.served(group, version, plural)
    if kind is None or (namespace and not kind.namespaced) or (names and kind.namespaced and not namespace):
        return None
    match names:
        case []:
            return Target(kind, namespace)
        case [name]:
            return Target(kind, namespace, name)
        case [name, subresource]:
            return Target(kind, namespace, name, subresource)
    return None


def verb(method: str, found: Target, query: Query) -> str:
    """Name what a request wants to do. Raise ApiError (400, 405)."""
    named = bool(found.name)
    if method in ("PUT", "PATCH") and not named:
        raise bad_request("name must be provided")
    wanted = _VERBS.get((method, named))
    if wanted is None:
        raise not_allowed()
    return "watch" if wanted == "list" and flag(query, "watch") else wanted


def flag(query: Query, name: str) -> bool:
    """Read a boolean parameter."""
    return query.get(name, "") not in _FALSE


def number(query: Query, name: str, otherwise: int = 0) -> int:
    """Read a whole number. Raise ApiError (400)."""
    text = query.get(name, "")
    try:
        return int(text) if text else otherwise
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def version(query: Query) -> int | None:
    """Read the resource version; None stands for any. Raise ValueError with the server's words."""
    text = query.get("resourceVersion", "")
    if text in ("", "0"):
        return None
    if not text.isdecimal():
        raise ValueError(f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def field_validation(query: Query, options: str) -> FieldValidation:
    """Read what is to happen with unknown fields: nothing, a refusal, or (as by default) a warning. Raise ApiError (422)."""
    text = query.get("fieldValidation", "")
    match text or "Warn":
        case "Ignore" | "Strict" | "Warn" as known:
            return known
    supported = ("", "Ignore", "Strict", "Warn")
    raise invalid_options(options, unsupported_value("fieldValidation", text, supported))


def sends_initial_events(query: Query) -> bool:
    """Tell whether a watch is to begin with what exists. Raise ApiError (422)."""
    if not flag(query, "sendInitialEvents"):
        return False
    if query.get("resourceVersionMatch") != "NotOlderThan":
        why = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise invalid_options("ListOptions", Cause("resourceVersionMatch", why, "FieldValueForbidden"))
    return True


def form(accepted: str) -> Form:
    """Read from the Accept header how much of objects the client wants: the first of its wishes that can be met.

    Raise ApiError (406).
    """
    for wish in accepted.split(",") if accepted else ["*/*"]:
        media_type, *rest = (part.strip() for part in wish.split(";"))
        asked = dict(part.partition("=")[::2] for part in rest)
        if media_type not in {"*/*", "application/*", "application/json"}:
            continue
        if "as" not in asked:
            return "whole"
        if asked["as"] in _METADATA_ALONE and (asked.get("g"), asked.get("v")) == ("meta.k8s.io", "v1"):
            return "metadata"
    raise not_acceptable()


def refuse_dry_run(query: Query) -> None:
    """Raise ApiError (400), because a dry run that writes would be worse than none."""
    if query.get("dryRun"):
        raise bad_request("the simulator has no dry run")


def write_token(revision: int, start: Name) -> str:
    """Make the `continue` of a page: the version of the list, and the name that the next page comes after."""
    token = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()


def read_token(text: str) -> tuple[int, Name]:
    """Read a `continue`. Raise ApiError (400)."""
    try:
        token = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        namespace, name = token["start"]
        return int(token["rv"]), (str(namespace), str(name))
    except (binascii.Error, ValueError, KeyError, TypeError) as wrong:
        raise bad_request(f"invalid continue token: continue key is not valid: {wrong}") from wrong


async def read_object(request: Request, kind: Kind) -> Any:
    """Read the body of a create or a replacement. Raise ApiError (400, 413, 415)."""
    _check_media_type(request, ("", "application/json"), ("application/json",))
    body = await _read(request)
    whose = f"the object provided is unrecognized (must be of type {kind.kind})"
    try:
        document = parse_json(body)
    except ValueError as wrong:
        text = body[:200].decode(errors="replace") or "<empty>"
        raise bad_request(f"{whose}: couldn't get version/kind; json parse error: {wrong} ({text})") from wrong
    if not isinstance(document, dict):
        found = type_name(document)
        raise bad_request(f"{whose}: couldn't get version/kind; json parse error: json: cannot unmarshal {found}")
    if kind.custom and not document.get("kind"):
        raise bad_request(f"{whose}: Object 'Kind' is missing in '{body[:200].decode(errors='replace')}'")
    return document


async def read_patch(request: Request) -> Document:
    """Read a merge patch. Raise ApiError (400, 413, 415)."""
    _check_media_type(request, (MERGE_PATCH,), (MERGE_PATCH,))
    try:
        patch = parse_json(await _read(request))
    except ValueError as wrong:
        raise bad_request(f"error decoding patch: {wrong}") from wrong
    if not isinstance(patch, dict):
        raise bad_request(f"error decoding patch: json: cannot unmarshal {type_name(patch)} into Go value of type map")
    return patch


async def read_preconditions(request: Request) -> Document:
    """Read the preconditions of a delete. Raise ApiError (400, 413)."""
    body = await _read(request)
    try:
        options = parse_json(body) if body else {}
        return dict(options.get("preconditions") or {})
    except (ValueError, AttributeError, TypeError) as wrong:
        raise bad_request(f"couldn't get version/kind; json parse error: {wrong}") from wrong


def _check_media_type(request: Request, accepted: tuple[str, ...], named: tuple[str, ...]) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip()
    if given not in accepted:
        raise unsupported_media_type(named)


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        # The rest is read too: a client that is still writing would see a broken connection instead of the answer.
        if len(body) > BODY_LIMIT:
            del body[BODY_LIMIT + 1 :]
    if len(body) > BODY_LIMIT:
        raise too_large_body(BODY_LIMIT)
    return bytes(body)


def plain_error(code: int, message: str) -> ApiError:
    """Make a Status without a reason, as the server does where it wraps nothing."""
    return ApiError(code, "", message)
