"""The REST surface of an API server over one store: an ASGI application without state of its own."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from simulator import discovery, requests
from simulator.access import Access, authorize
from simulator.documents import Document, without
from simulator.errors import ApiError, bad_request, not_allowed, not_found, too_large_version
from simulator.faults import Call, Dropped, Faults
from simulator.objects import Subresource
from simulator.requests import Form, Target
from simulator.store import Store
from simulator.streams import ErrorStream, Terms, WatchStream

Answer = Callable[[Request, Target], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How this API server goes about things: its version, and the times of its watches in seconds."""

    git_version: str = "v1.35.4"
    bookmark_interval: float = 60.0
    watch_seconds: float = 3000.0
    """How long a watch lasts whose client names no time."""


class Api:
    """The API server. `drop` breaks the connection with a client, given as (host, port)."""

    def __init__(self, store: Store, faults: Faults, access: Access, manner: Manner, drop: Callable[[object], None]) -> None:
        self._store = store
        self._faults = faults
        self._access = access
        self._manner = manner
        self._drop = drop
        self._answers: dict[str, Answer] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_all,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or drop it where a fault says so."""
        request = Request(scope, receive)
        watch = requests.flag(request.query_params, "watch")
        call = Call(request.method, request.url.path, request.url.query, watch)
        try:
            lost = await self._faults.admit(call)
            answer = await self._answer(request)
            if lost:
                await self._break_connection(scope)
            else:
                await answer(scope, receive, send)
        except ApiError as error:
            await _status(error)(scope, receive, send)
        except (Dropped, ClientDisconnect):
            await self._break_connection(scope)

    async def _break_connection(self, scope: Scope) -> None:
        self._drop(scope["client"])
        # uvicorn learns of it in the next turn of the loop; until then it would take the missing answer for a bug.
        await asyncio.sleep(0)

    async def _answer(self, request: Request) -> ASGIApp:
        try:
            path = request.url.path.rstrip("/")
            if path in _HEALTH:
                return PlainTextResponse("ok")
            user = self._access.user(request.headers)
            found = requests.target(self._store.kinds, path)
            if found is None:
                return self._discover(path, request.url.netloc)
            verb = requests.verb(request.method, found, request.query_params)
            authorize(user, verb, found.kind, found.namespace, found.name)
            if found.subresource and not (found.subresource == "status" and found.kind.status_subresource):
                raise not_found(found.kind, found.name)
            allowed = "delete" if verb == "deletecollection" else verb
            if allowed not in found.kind.verbs:
                raise not_allowed()
            if verb == "create" and found.kind.namespaced and not found.namespace:
                return _NOWHERE
            return await self._answers[verb](request, found)
        except ApiError as error:
            return _status(error)

    def _discover(self, path: str, address: str) -> ASGIApp:
        kinds = self._store.kinds
        match path.strip("/").split("/"):
            case ["version"]:
                found: Document | None = discovery.version(self._manner.git_version)
            case ["api"]:
                found = discovery.core_versions(address)
            case ["apis"]:
                found = discovery.group_list(kinds)
            case ["api", version]:
                found = discovery.resource_list(kinds, "", version)
            case ["apis", group]:
                found = discovery.group(kinds, group)
            case ["apis", group, version]:
                found = discovery.resource_list(kinds, group, version)
            case _:
                found = None
        return JSONResponse(found) if found else _NOWHERE

    # One method a verb

    async def _get(self, request: Request, found: Target) -> ASGIApp:
        form = requests.form(request.headers.get("accept", ""))
        self._asked_version(request)
        document = self._store.get(found.kind, found.name, found.namespace)
        return JSONResponse(_metadata_alone(document) if form == "metadata" else document)

    async def _list(self, request: Request, found: Target) -> ASGIApp:
        query, form = request.query_params, requests.form(request.headers.get("accept", ""))
        limit, token = requests.number(query, "limit"), query.get("continue", "")
        requests.number(query, "timeoutSeconds")
        revision, after = self._asked_version(request), None
        if token:
            revision, after = requests.read_token(token)
        elif query.get("resourceVersionMatch") != "Exact":
            revision = None
        if query.get("resourceVersion") == "0" and not token:
            limit = 0  # Such a list comes from the watch cache, which does not know pages.
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        page = self._store.page(
            found.kind, found.namespace, labels=labels, fields=fields, limit=limit, after=after, revision=revision
        )
        metadata: Document = {"resourceVersion": str(page.revision)}
        if page.start is not None:
            metadata["continue"] = requests.write_token(page.revision, page.start)
            if not labels and not fields:
                metadata["remainingItemCount"] = page.remaining
        elif found.kind.custom:
            metadata["continue"] = ""
        return JSONResponse(_as_list(found, page.items, metadata, form))

    def _asked_version(self, request: Request) -> int | None:
        """Read the version of a get or a list. Raise ApiError: 400, or 504 if the cluster is not there yet."""
        try:
            version = requests.version(request.query_params)
        except ValueError as wrong:
            raise bad_request(f"invalid resource version: {wrong}") from wrong
        if version is not None and version > self._store.revision:
            raise too_large_version(version, self._store.revision)
        return version

    async def _watch(self, request: Request, found: Target) -> ASGIApp:
        query = request.query_params
        bookmarks = requests.flag(query, "allowWatchBookmarks")
        seconds = requests.number(query, "timeoutSeconds") or self._manner.watch_seconds
        try:
            since = None if requests.sends_initial_events(query) else requests.version(query)
        except ValueError as wrong:
            raise requests.plain_error(500, str(wrong)) from wrong
        selectors = {"labels": query.get("labelSelector", ""), "fields": query.get("fieldSelector", "")}
        try:
            watch = self._store.watch(found.kind, found.namespace, since=since, **selectors)
        except ApiError as error:
            if error.reason != "Expired":
                raise
            return ErrorStream(error)
        interval = self._manner.bookmark_interval
        terms = Terms(
            seconds=seconds, bookmarks=bookmarks, bookmark_interval=interval, mark_initial_end=bookmarks and since is None
        )
        return WatchStream(found.kind, watch, terms, self._faults)

    async def _create(self, request: Request, found: Target) -> ASGIApp:
        strict, unknown = _validation(request, "CreateOptions")
        document = await requests.read_object(request, found.kind)
        created = self._store.create(found.kind, document, found.namespace, strict=strict, unknown=unknown)
        return _written(created, unknown, 201)

    async def _update(self, request: Request, found: Target) -> ASGIApp:
        strict, unknown = _validation(request, "UpdateOptions")
        document = await requests.read_object(request, found.kind)
        updated = self._store.replace(
            found.kind, found.name, document, found.namespace,
            subresource=_subresource(found), strict=strict, unknown=unknown,
        )  # fmt: skip
        return _written(updated, unknown)

    async def _patch(self, request: Request, found: Target) -> ASGIApp:
        strict, unknown = _validation(request, "PatchOptions")
        patch = await requests.read_patch(request)
        patched = self._store.patch(
            found.kind, found.name, patch, found.namespace,
            subresource=_subresource(found), strict=strict, unknown=unknown,
        )  # fmt: skip
        return _written(patched, unknown)

    async def _delete(self, request: Request, found: Target) -> ASGIApp:
        requests.refuse_dry_run(request.query_params)
        wanted = await requests.read_preconditions(request)
        deletion = self._store.delete(
            found.kind, found.name, found.namespace,
            uid=wanted.get("uid"), resource_version=wanted.get("resourceVersion"),
        )  # fmt: skip
        if not deletion.gone or found.kind.delete_returns_object:
            return JSONResponse(deletion.object)
        about = {"name": found.name, "group": found.kind.group, "kind": found.kind.plural}
        details = {key: value for key, value in about.items() if value} | {"uid": deletion.object["metadata"]["uid"]}
        return JSONResponse({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})

    async def _delete_all(self, request: Request, found: Target) -> ASGIApp:
        query = request.query_params
        requests.refuse_dry_run(query)
        selectors = {"labels": query.get("labelSelector", ""), "fields": query.get("fieldSelector", "")}
        items = self._store.list(found.kind, found.namespace, **selectors)
        for item in items:
            self._store.delete(found.kind, item["metadata"]["name"], item["metadata"].get("namespace", ""))
        return JSONResponse(_as_list(found, items, {"resourceVersion": str(self._store.revision)}))


_HEALTH = frozenset(("/healthz", "/livez", "/readyz"))
_META = "meta.k8s.io/v1"
_NOWHERE = PlainTextResponse("404 page not found\n", 404)


def _metadata_alone(document: Document) -> Document:
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": document["metadata"]}


def _as_list(found: Target, items: list[Document], metadata: Document, form: Form = "whole") -> Document:
    if form == "metadata":
        shown = [_metadata_alone(item) for item in items]
        return {"kind": "PartialObjectMetadataList", "apiVersion": _META, "metadata": metadata, "items": shown}
    # In a list of built-in objects the server leaves out what they are; in a list of custom ones it does not.
    shown = items if found.kind.custom else [without(item, ("apiVersion", "kind")) for item in items]
    return {"kind": found.kind.list_kind, "apiVersion": found.kind.api_version, "metadata": metadata, "items": shown}


def _validation(request: Request, options: str) -> tuple[bool, list[str] | None]:
    """Read whether unknown fields are refused, and where they are collected for a warning."""
    requests.refuse_dry_run(request.query_params)
    validation = requests.field_validation(request.query_params, options)
    return validation == "Strict", [] if validation == "Warn" else None


def _subresource(found: Target) -> Subresource:
    return "status" if found.subresource else ""


def _written(document: Document, unknown: list[str] | None, code: int = 200) -> JSONResponse:
    response = JSONResponse(document, code)
    for path in unknown or ():
        response.headers.append("warning", f"299 - {json.dumps(f'unknown field {json.dumps(path)}')}")
    return response


def _status(error: ApiError) -> JSONResponse:
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse(error.status(), error.code, headers)
