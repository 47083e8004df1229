"""What lies in the storage beside a backup or a restore: log, results, the list of objects, and a backup's tarball."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Query
from pydantic import Field
from starlette.responses import Response

from services.gateway import details
from services.gateway.artifacts import pieces, ranges
from services.gateway.artifacts.pieces import TroubleError
from services.gateway.artifacts.unpacking import Gunzip, NotWholeError, Tail, is_gzip
from services.gateway.listing.filters import Nothing
from services.gateway.ports import API, Given, NoQuery, Operator, Ports, Viewer
from services.gateway.web.described import told
from services.gateway.web.problems import ProblemError
from services.gateway.web.streaming import BrokenOffError, PatientStream
from shared.contracts.artifacts import MAX_CHUNK, Artifact
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging

log = structlog.get_logger(__name__)

router = APIRouter(prefix=f"{API}/backups", tags=["backups"])
restores = APIRouter(prefix=f"{API}/restores", tags=["restores"])

_CUT = b"\n[the log goes on; only its beginning was kept]\n"
_TROUBLES = (
    "not-found",
    "artifact-missing",
    "artifact-changed",
    "storage-forbidden",
    "cluster-silent",
    "storage-unreachable",
)
_SOURCE = "Leeward-Source"
"""Header that says where it was read: `cluster`, or `copy` for what was kept when the backup or restore ended."""


class LogQuery(Nothing):
    """How much of a log."""

    tail: (
        Annotated[int, Field(ge=1, le=100_000, description="Only so many lines, the last ones (of at most 4 MiB).")] | None
    ) = None


def _gives(media_type: str, schema: dict[str, Any], words: str, gone: str = "backup-gone") -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {"schema": schema}}, "description": words}, **told(gone, *_TROUBLES)}


class _Text(PatientStream):
    media_type = "text/plain"


class _Json(PatientStream):
    media_type = "application/json"


class _Tarball(PatientStream):
    media_type = "application/gzip"


@router.get(
    "/{backup_id}/logs",
    response_class=_Text,
    responses=_gives("text/plain", {"type": "string"}, "Velero's log of the backup."),
)
async def logs(backup_id: str, ports: Given, who: Viewer, query: Annotated[LogQuery, Query()]) -> Response:
    """Read Velero's log. It is there once the backup has ended, and stays when the backup has gone (its first 5 MiB)."""
    return await _log(ports, who.name, details.BACKUPS, backup_id, query)


@router.get(
    "/{backup_id}/results",
    response_class=_Json,
    responses=_gives("application/json", {"type": ["object", "null"]}, "`errors` and `warnings`, as Velero writes them."),
)
async def results(backup_id: str, ports: Given, who: Viewer, _no_query: NoQuery) -> Response:
    """Read errors and warnings, object by object. They stay when the backup has gone."""
    return await _json(ports, who.name, details.BACKUPS, backup_id, Artifact.RESULTS)


@router.get(
    "/{backup_id}/resources",
    response_class=_Json,
    responses=_gives("application/json", {"type": ["object", "null"]}, 'Names by kind: `{"v1/Pod": ["shop/web-0"]}`.'),
)
async def resources(backup_id: str, ports: Given, who: Viewer, _no_query: NoQuery) -> Response:
    """Read the list of what is inside the backup."""
    return await _json(ports, who.name, details.BACKUPS, backup_id, Artifact.RESOURCES)


@restores.get(
    "/{restore_id}/logs",
    response_class=_Text,
    responses=_gives("text/plain", {"type": "string"}, "Velero's log of the restore.", "restore-gone"),
)
async def restore_logs(restore_id: str, ports: Given, who: Viewer, query: Annotated[LogQuery, Query()]) -> Response:
    """Read Velero's log. It is there once the restore has ended, and stays when the restore has gone (its first 5 MiB)."""
    return await _log(ports, who.name, details.RESTORES, restore_id, query)


@restores.get(
    "/{restore_id}/results",
    response_class=_Json,
    responses=_gives(
        "application/json", {"type": ["object", "null"]}, "`errors` and `warnings`, as Velero writes them.", "restore-gone"
    ),
)
async def restore_results(restore_id: str, ports: Given, who: Viewer, _no_query: NoQuery) -> Response:
    """Read errors and warnings, object by object. They stay when the restore has gone."""
    return await _json(ports, who.name, details.RESTORES, restore_id, Artifact.RESULTS)


@restores.get(
    "/{restore_id}/resources",
    response_class=_Json,
    responses=_gives(
        "application/json", {"type": ["object", "null"]}, 'By kind: `{"v1/Pod": ["shop/web-0(created)"]}`.', "restore-gone"
    ),
)
async def restore_resources(restore_id: str, ports: Given, who: Viewer, _no_query: NoQuery) -> Response:
    """Read what became of each object: created, updated, skipped or failed. It stays when the restore has gone."""
    return await _json(ports, who.name, details.RESTORES, restore_id, Artifact.RESOURCES)


@router.get(
    "/{backup_id}/contents",
    response_class=_Tarball,
    responses={
        **_gives("application/gzip", {"type": "string", "format": "binary"}, "The tarball."),
        206: {
            "content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}},
            "description": "The part of it that `Range` names.",
        },
        **told("range-not-satisfiable"),
    },
)
async def contents(
    backup_id: str,
    ports: Given,
    who: Operator,
    _no_query: NoQuery,
    range_: Annotated[str | None, Header(alias="Range", description="One range of bytes; more are ignored.")] = None,
    if_range: Annotated[str | None, Header(description="The ETag of what a range continues.")] = None,
) -> Response:
    """Download the tarball of every object in the backup, Secrets too: hence not for viewers.

    It can be taken up where it broke off, with `Range` and `If-Range`.
    """
    try:
        row = await details.BACKUPS.row_of(ports, backup_id)
        source = await pieces.remote(ports, who.name, details.BACKUPS, row, Artifact.CONTENTS)
        asked = ranges.wanted(range_)
        first = await source.piece(limit=MAX_CHUNK if asked is None else 1)
        etag = ranges.quoted(first.etag)
        part = asked is not None and ranges.still_holds(if_range, etag)
        begin, end = asked.of(first.total) if asked is not None and part else (0, first.total)
        if begin:
            first = await source.piece(begin, min(MAX_CHUNK, end - begin), first.etag)
    except TroubleError as trouble:
        raise trouble.problem() from trouble
    except ranges.BeyondTheEndError as beyond:
        beyond_end = {"Content-Range": f"bytes */{first.total}", "Accept-Ranges": "bytes"}
        words = f"The tarball has {first.total} bytes."
        raise ProblemError("range-not-satisfiable", words, headers=beyond_end) from beyond
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - begin),
        "Content-Disposition": f'attachment; filename="{source.name}.tar.gz"',
        **({"Content-Range": f"bytes {begin}-{end - 1}/{first.total}"} if part else {}),
    }
    status = 206 if part else 200
    return _Tarball(source.pieces(first, end), ports.settings.reads.patience, status_code=status, headers=headers)


async def _log(ports: Ports, who: str, kind: pieces.Kind, row_id: str, query: LogQuery) -> Response:
    whole, source = await _unpacked(ports, who, kind, row_id, Artifact.LOG)
    text = whole if query.tail is None else _last(whole, query.tail)
    return _Text(text, ports.settings.reads.patience, headers={_SOURCE: source})


async def _json(ports: Ports, who: str, kind: pieces.Kind, row_id: str, artifact: Artifact) -> Response:
    text, source = await _unpacked(ports, who, kind, row_id, artifact)
    return _Json(text, ports.settings.reads.patience, headers={_SOURCE: source})


async def _unpacked(
    ports: Ports, who: str, kind: pieces.Kind, row_id: str, artifact: Artifact
) -> tuple[AsyncIterator[bytes], str]:
    """Return a text and where it comes from: its cluster, or the copy if the cluster cannot give it now.

    Raises the problem of one that nobody can give.
    """
    row = await kind.row_of(ports, row_id)
    try:
        source = await pieces.remote(ports, who, kind, row, artifact)
        first = await source.piece()
    except (TroubleError, Unavailable) as why:
        copy = await pieces.kept(ports, kind, row, artifact) if artifact in kind.kept else None
        if copy is None:
            raise (why.problem() if isinstance(why, TroubleError) else why) from why
        log.info("copy read", **{logging.OBJECT: row_id, logging.REASON: str(why)})
        return _text(copy.pieces(), _CUT if copy.cut and artifact is Artifact.LOG else b""), "copy"
    if not is_gzip(first.data):
        raise ProblemError(
            "unreadable-document", f"What lies in the storage as {artifact} of the {kind.noun} is not compressed."
        )
    return _text(source.pieces(first, first.total)), "cluster"


async def _text(compressed: AsyncIterator[bytes], end: bytes = b"") -> AsyncIterator[bytes]:
    """Give the text of something compressed, and something behind it.

    Raises BrokenOffError where it is not whole.
    """
    gunzip = Gunzip()
    try:
        async for data in compressed:
            for text in gunzip.feed(data):
                yield text
                await asyncio.sleep(0)  # a little data can be a lot of text, and others wait
        gunzip.close()
    except NotWholeError as error:
        raise BrokenOffError(str(error)) from error
    if end:
        yield end


async def _last(text: AsyncIterator[bytes], lines: int) -> AsyncIterator[bytes]:
    tail = Tail(lines)
    async for piece in text:
        tail.feed(piece)
    yield tail.text()
