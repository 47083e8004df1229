"""The app: every address of the API, one way to say no, and an OpenAPI document that tells the same."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic.json_schema import models_json_schema
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.gateway.artifacts.serving import restores as restores_artifacts
from services.gateway.artifacts.serving import router as backups_artifacts
from services.gateway.backups.creating import router as backups_creating
from services.gateway.backups.deleting import router as backups_deleting
from services.gateway.backups.looking import router as backups_looking
from services.gateway.clusters.looking import router as clusters_looking
from services.gateway.clusters.registering import router as clusters_registering
from services.gateway.events import router as events
from services.gateway.listing.paging import CursorError
from services.gateway.listing.queries import SortError
from services.gateway.locations.deleting import router as locations_deleting
from services.gateway.locations.forms import (
    ChangeSnapshotLocation,
    ChangeStorageLocation,
    CreateSnapshotLocation,
    CreateStorageLocation,
)
from services.gateway.locations.looking import router as locations_looking
from services.gateway.locations.writing import router as locations_writing
from services.gateway.operations import router as operations
from services.gateway.ports import API, Ports
from services.gateway.restores.creating import router as restores_creating
from services.gateway.restores.deleting import router as restores_deleting
from services.gateway.restores.forms import CreateRestore, DeleteRestores
from services.gateway.restores.looking import router as restores_looking
from services.gateway.schedules.fromschedule import router as schedules_backups
from services.gateway.schedules.looking import router as schedules_looking
from services.gateway.schedules.writing import router as schedules_writing
from services.gateway.schemas import (
    BackupFromSchedule,
    ClusterSettings,
    CreateBackup,
    CreateSchedule,
    DeleteBackups,
    PreviewSchedule,
    ProblemDocument,
    RegisterCluster,
    ScheduleSettings,
    ScopeRequest,
    SkipSlots,
)
from services.gateway.validation import InvalidRequestError, NotJsonError, field_error
from services.gateway.web import described, problems
from services.gateway.web.answers import problem_of
from services.gateway.web.edge import Edge, internal_error
from services.gateway.web.problems import FieldError, ProblemError, unavailable
from services.gateway.web.traced import Traced
from shared.messaging.outcomes import Unavailable
from shared.runtime import tracing
from shared.runtime.http import health_routes

ROUTERS = (
    backups_creating,
    backups_looking,
    backups_deleting,
    backups_artifacts,
    restores_creating,
    restores_looking,
    restores_deleting,
    restores_artifacts,
    schedules_looking,
    schedules_writing,
    schedules_backups,
    clusters_looking,
    clusters_registering,
    locations_looking,
    locations_writing,
    locations_deleting,
    operations,
    events,
)
BODIES = (
    CreateBackup,
    DeleteBackups,
    CreateSchedule,
    ScheduleSettings,
    SkipSlots,
    BackupFromSchedule,
    PreviewSchedule,
    RegisterCluster,
    ClusterSettings,
    ScopeRequest,
    CreateStorageLocation,
    ChangeStorageLocation,
    CreateSnapshotLocation,
    ChangeSnapshotLocation,
    CreateRestore,
    DeleteRestores,
    ProblemDocument,
)
"""What handlers read themselves, strictly, and FastAPI therefore does not know of."""

_SLUGS = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}


def build(ports: Ports) -> ASGIApp:
    """Assemble the app. It owns nothing: what it uses is opened and closed by the composition root."""
    app = FastAPI(
        title="Leeward",
        version="1",
        summary="Back up and restore a fleet of Kubernetes clusters with Velero.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    app.state.ports = ports
    # As they are, not by include_router: it would make each of them anew while the first request waits.
    app.router.routes.extend(route for router in ROUTERS for route in router.routes)
    app.router.routes.extend([*health_routes(ports.health), Route("/problems/{slug}", _problem_page)])
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(RequestValidationError, _invalid_query)
    for unread in (NotJsonError, InvalidRequestError, CursorError, SortError):
        app.add_exception_handler(unread, _unread)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the way that FastAPI documents
    edge = Edge(app, local_only=ports.tokens is None)
    return Traced(edge) if tracing.is_on() else edge


async def _problem_page(request: Request) -> Response:
    slug = request.path_params["slug"]
    return problems.page(slug) or ProblemError("not-found", "There is no such kind of problem.").response()


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for nothing else
    return error.response()


async def _unread(_request: Request, error: Exception) -> Response:
    return problem_of(error).response()


async def _unavailable(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Unavailable)  # noqa: S101 - registered for nothing else
    return unavailable(error.dependency, error.reason).response()


async def _invalid_query(_request: Request, error: Exception) -> Response:
    """Name every query parameter (or header) at fault; bodies never come here."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    errors: list[FieldError] = []
    each: ErrorDetails
    for each in error.errors():
        source, name = str(each["loc"][0]), str(each["loc"][1]) if len(each["loc"]) > 1 else ""
        detail = "is not known" if each["type"] == "extra_forbidden" else field_error(each)["detail"]
        errors.append({"header": name, "detail": detail} if source == "header" else {"parameter": name, "detail": detail})
    names = ", ".join(e.get("parameter") or e.get("header") or "" for e in errors)
    return ProblemError("invalid-query", f"The query cannot be answered because of {names}.", errors=errors).response()


async def _fault(_request: Request, _error: Exception) -> Response:
    return internal_error().response()


def _methods_at(path: str) -> set[str]:
    """Return every method that an address has; each stands in a route of its own."""
    routes = (route for router in ROUTERS for route in router.routes if isinstance(route, Route))
    return {method for route in routes if route.path_regex.match(path) for method in route.methods or ()}


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    slug = _SLUGS.get(error.status_code, "internal-error" if error.status_code >= 500 else "invalid-query")  # noqa: PLR2004 - HTTP's own
    detail = {404: "There is nothing at this address.", 405: "This address does not answer that method."}
    words = detail.get(error.status_code, str(error.detail))
    allow = {"Allow": ", ".join(sorted(_methods_at(request.url.path)))} if error.status_code == 405 else {}  # noqa: PLR2004 - as above
    headers = {**dict(error.headers or {}), **{k: v for k, v in allow.items() if v}}
    return ProblemError(slug, words, status=error.status_code, headers=headers).response()


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the document that FastAPI makes, with the bodies that it does not know, and problems instead of its own error.

    So the document tells of every status that there is: those of an address stand beside its handler.
    """
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        _, known = models_json_schema([(m, "validation") for m in BODIES], ref_template="#/components/schemas/{model}")
        for name, schema in known["$defs"].items():
            schemas.setdefault(name, schema)
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        everywhere = {str(status): response for status, response in described.told(*described.EVERYWHERE).items()}
        for path in document["paths"].values():
            for operation in path.values():
                responses = operation["responses"]
                if "HTTPValidationError" in str(responses.get("422")):
                    del responses["422"]
                for status, response in everywhere.items():
                    responses[status] = described.either(responses.get(status), response)
                operation["responses"] = dict(sorted(responses.items()))
        app.openapi_schema = document
    return app.openapi_schema
