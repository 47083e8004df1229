"""Reading pieces of objects by signed URLs: the only place that speaks to an object storage.

A signed URL is a secret. It stands in no log, no error and no trace: what is said of a failure is made from parts that are
known to be harmless, never from the client's own words, and no exception of the client is chained to ours.
"""

import asyncio
import base64
import binascii
import contextlib
import functools
import re
import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies

import aiohttp
from yarl import URL

from shared.contracts.artifacts import Chunk, Trouble

Object = Mapping[str, Any]

_PARTIAL = 206
_REFUSALS = frozenset({400, 401, 403})
"""What storages answer to a URL that has run out: S3 and Azure 403, Google 400."""
_PIECE = 64 * 1024
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
"""How storages say that nothing can be there: of a single object that tells nothing."""
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")

Trust = ssl.SSLContext | bool
"""How a storage proves who it is: True = by the authorities that this machine trusts, False = it need not."""


class NoChunk(Exception):  # noqa: N818 - an outcome
    """There is no such piece, and why. The words are for people, and hold nothing secret."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble, self.detail = trouble, detail


class Refused(NoChunk):
    """The storage does not take the URL: it may have run out, and another one may do."""


def trust_in(location: Object) -> Trust:
    """Return how the storage of a BackupStorageLocation is known.

    Raises NoChunk when its certificates cannot be read.
    """
    spec = location.get("spec") or {}
    if str((spec.get("config") or {}).get("insecureSkipTLSVerify")).lower() == "true":
        return False
    given = (spec.get("objectStorage") or {}).get("caCert")
    if not given:
        return True
    try:
        return _authority(given)
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError) as error:
        name = (location.get("metadata") or {}).get("name")
        raise NoChunk(Trouble.UNREACHABLE, f"The caCert of storage location {name} cannot be read.") from error


@functools.lru_cache(maxsize=64)
def _authority(given: str) -> ssl.SSLContext:
    """Read an authority once: that takes a while, and connections are used again only by who trusts in the same one."""
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=base64.b64decode(given, validate=True).decode())
    return context


@dataclass(frozen=True, slots=True)
class Storage:
    """Object storages over HTTP. `timeout` in seconds for one piece."""

    session: aiohttp.ClientSession
    timeout: float

    async def fetch(self, url: str, trust: Trust, offset: int, limit: int, etag: str | None = None) -> Chunk:
        """Return a piece; with an etag, only of the object that had it.

        Raises NoChunk, Refused among them.
        """
        headers = {"Range": f"bytes={offset}-{offset + limit - 1}", "Accept-Encoding": "identity"}
        if etag and not etag.startswith("W/"):
            headers["If-Match"] = etag
        where = "The object storage"
        try:
            target = URL(url, encoded=True)  # signed as it is written
            where = f"The object storage at {target.host}:{target.port}"
            async with asyncio.timeout(self.timeout):
                async with self.session.get(target, headers=headers, ssl=trust, max_redirects=3) as response:
                    return await _chunk(response, where, offset, limit, etag)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NoChunk(Trouble.UNREACHABLE, f"{where} does not answer: {_words(error)}.") from None


@contextlib.asynccontextmanager
async def storage(timeout: float) -> AsyncGenerator[Storage]:
    """Open a way to object storages; nothing is sent yet. Bodies are given as they come, not unpacked."""
    limits = aiohttp.ClientTimeout(total=None)
    jar = aiohttp.DummyCookieJar()
    proxies = bool(getproxies())
    async with aiohttp.ClientSession(auto_decompress=False, timeout=limits, cookie_jar=jar, trust_env=proxies) as session:
        yield Storage(session, timeout)


async def _chunk(response: aiohttp.ClientResponse, where: str, offset: int, limit: int, etag: str | None) -> Chunk:
    match response.status:
        case 200 | 206:
            return await _body(response, where, offset, limit, etag)
        case 404:
            code = await _code(response)
            if code.strip(" ()") in _NO_BUCKET:
                raise NoChunk(Trouble.UNREACHABLE, f"{where} does not have the bucket (any more){code}.")
            if etag:
                raise NoChunk(Trouble.CHANGED, "What was being read has been removed meanwhile.")
            raise NoChunk(Trouble.NOT_THERE, f"Nothing of that kind is stored{code}.")
        case 412:
            raise NoChunk(Trouble.CHANGED, "What is stored has been replaced since the first piece was read.")
        case 416:
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            total = int(found[3]) if found else offset
            return Chunk(etag=etag or str(response.headers.get("ETag", '""')), total=total, offset=offset, data=b"")
        case status if status in _REFUSALS:
            raise Refused(Trouble.FORBIDDEN, f"{where} refuses the signed request: HTTP {status}{await _code(response)}.")
        case status:
            raise NoChunk(Trouble.UNREACHABLE, f"{where} answers HTTP {status}{await _code(response)}.")


async def _body(response: aiohttp.ClientResponse, where: str, offset: int, limit: int, etag: str | None) -> Chunk:
    """Read one piece, also from a server that knows no ranges and sends everything."""
    first, total = 0, response.content_length
    if response.status == _PARTIAL:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found or found[1] is None:
            raise NoChunk(Trouble.UNREACHABLE, f"{where} answers a part without saying which.")
        first, total = int(found[1]), int(found[3])
    if total is None or first > offset:
        raise NoChunk(Trouble.UNREACHABLE, f"{where} sends something else than was asked for.")
    own = str(response.headers.get("ETag") or f'W/"{total}/{response.headers.get("Last-Modified", "")}"')
    if etag and own != etag:
        raise NoChunk(Trouble.CHANGED, "What is stored has been replaced since the first piece was read.")
    wanted = max(min(limit, total - offset), 0)
    data, skip = bytearray(), offset - first
    while len(data) < wanted and (piece := await response.content.read(_PIECE)):
        data += piece[skip:]
        skip = max(skip - len(piece), 0)
    if len(data) < wanted:
        raise NoChunk(Trouble.UNREACHABLE, f"{where} sends less than it says that there is.")
    return Chunk(etag=own, total=total, offset=offset, data=bytes(data[:wanted]))


async def _code(response: aiohttp.ClientResponse) -> str:
    """Return the storage's own code for an error; the rest of its words may repeat the signature."""
    found = _CODE.search(await response.content.read(4096))
    return f" ({found[1].decode()})" if found else ""


def _words(error: BaseException) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "its certificate is not trusted (a storage location can name its authority in caCert)"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known here"
        case aiohttp.ClientConnectorError():
            return error.os_error.strerror or "the connection failed"
        case TimeoutError():
            return "it took too long"
        case OSError() if error.strerror:
            return error.strerror
        case _:
            return type(error).__name__
