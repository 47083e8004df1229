"""Faults that another process orders: one small endpoint on the loopback, for whoever holds its token.

`POST /control {"cluster": "eu1", "fault": "api-slow", "seconds": 2}` orders one, `GET /control` says which there are.
"""

import inspect
import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from simulator.fleet import Fleet, Site
from simulator.orders import ORDERS
from simulator.privacy import write_private
from simulator.server import Listener


class BadOrder(Exception):  # noqa: N818 (it is the order that is bad)
    """The order cannot be carried out as it is written; the text says why."""


class Control:
    """The endpoint. It is told to nobody but the file, which holds its URL and token and which only its owner may read."""

    def __init__(self, fleet: Fleet, file: Path) -> None:
        self._fleet = fleet
        self._file = file
        self._token = secrets.token_urlsafe(32)
        self._listener = Listener(self._serve, "127.0.0.1", 0)

    async def __aenter__(self) -> Self:
        await self._listener.start()
        where = {"url": f"http://127.0.0.1:{self._listener.port}/control", "token": self._token}
        write_private(self._file, json.dumps(where) + "\n")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.stop()
        self._file.unlink(missing_ok=True)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return JSONResponse({"error": "the token of the control file is needed"}, 401)
        if request.url.path != "/control":
            return JSONResponse({"error": "there is only /control"}, 404)
        if request.method == "GET":
            return JSONResponse({"clusters": list(self._fleet.sites), "faults": catalogue()})
        try:
            found = await order(self._fleet, await _document(request))
        except BadOrder as error:
            return JSONResponse({"error": str(error)}, 400)
        except OSError as error:
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse({"done": True, "result": found})


def catalogue() -> dict[str, dict[str, str]]:
    """Return the arguments of every fault, with their types and defaults, as in `{"api-slow": {"seconds": "float"}}`."""
    return {
        fault: {name: str(item).partition(": ")[2] for name, item in _arguments(run).items()} for fault, run in ORDERS.items()
    }


async def order(fleet: Fleet, document: Mapping[str, Any]) -> Any:
    """Carry an order out, for one cluster or (without one) for all, and return what it has to tell. Raise BadOrder."""
    arguments = dict(document)
    fault, cluster = arguments.pop("fault", None), arguments.pop("cluster", None)
    run = ORDERS.get(fault) if isinstance(fault, str) else None
    if run is None:
        raise BadOrder(f"no fault {fault!r}; there are {', '.join(ORDERS)}")
    if cluster is not None and cluster not in fleet.sites:
        raise BadOrder(f"no cluster {cluster!r}; there are {', '.join(fleet.sites)}")
    _check(fault, run, arguments)
    sites = fleet.sites if cluster is None else {cluster: fleet.sites[cluster]}
    return {name: await _run(run, site, arguments) for name, site in sites.items()}


async def _run(run: Callable[..., Any], site: Site, arguments: Mapping[str, Any]) -> Any:
    found = run(site, **arguments)
    return await found if inspect.isawaitable(found) else found


def _arguments(run: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return {name: item for name, item in inspect.signature(run).parameters.items() if item.kind is item.KEYWORD_ONLY}


def _check(fault: str, run: Callable[..., Any], given: Mapping[str, Any]) -> None:
    known = _arguments(run)
    for name, value in given.items():
        if name not in known:
            raise BadOrder(f"{fault} knows no {name!r}; it takes {', '.join(known) or 'no arguments'}")
        wanted = known[name].annotation
        if not isinstance(value, (int, float) if wanted is float else wanted) or (
            isinstance(value, bool) and wanted is not bool
        ):
            raise BadOrder(f"{fault}: {name} is to be of type {wanted.__name__}")
    for name, item in known.items():
        if item.default is item.empty and name not in given:
            raise BadOrder(f"{fault} needs {name!r}")


async def _document(request: Request) -> Mapping[str, Any]:
    try:
        document = await request.json()
    except ValueError as error:
        raise BadOrder("the order is to be a JSON object") from error
    if not isinstance(document, dict):
        raise BadOrder("the order is to be a JSON object")
    return document
