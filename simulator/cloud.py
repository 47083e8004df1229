"""The object storage that simulated clusters share: buckets, signed URLs that expire, and what can happen to both.

Controllers of the same process call it directly; everybody else sees only the signed URLs that it serves over HTTP.
"""

import asyncio
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from simulator.buckets import Buckets, Files, Memory
from simulator.bulk import Stored
from simulator.keys import Doors, Keys, Refused
from simulator.server import Listener
from simulator.store import utc_now

_TIME = "%Y%m%dT%H%M%SZ"


class StorageError(Exception):
    """The storage refused or could not be reached; the text begins with its code, as in `NoSuchKey: ...`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}" if code else text)
        self.code = code


def _no_such_bucket() -> StorageError:
    return StorageError("NoSuchBucket", "The specified bucket does not exist")


def no_such_key() -> StorageError:
    """Return what a read of a missing object raises."""
    return StorageError("NoSuchKey", "The specified key does not exist.")


@dataclass(slots=True)
class _FailingPuts:
    left: int
    keys: str


@dataclass(slots=True)
class StorageFaults:
    """The faults of the storage. All of them can be ordered while it is used."""

    down: bool = False
    """Nothing answers: every call raises StorageError, every URL answers 503."""
    denied: set[str] = field(default_factory=set)
    """Buckets whose keys have been withdrawn: every call raises StorageError (AccessDenied), every URL answers 403."""
    latency: float = 0.0
    """Seconds that a transfer takes longer: every URL waits, and so does whoever awaits `pause`."""
    _failing: list[_FailingPuts] = field(default_factory=list)

    def fail_puts(self, count: int = 1, keys: str = "*") -> None:
        """Refuse the next writes whose key matches a pattern, as in `*-logs.gz`."""
        self._failing.append(_FailingPuts(count, keys))

    def clear(self) -> None:
        """Withdraw every order."""
        self.down, self.latency = False, 0.0
        self.denied.clear()
        self._failing.clear()

    async def pause(self) -> None:
        """Wait as long as a transfer takes longer; for controllers, which read and write at once."""
        if self.latency:
            await asyncio.sleep(self.latency)

    def refuses(self, key: str) -> bool:
        """Tell whether a write is to fail, and count it."""
        for order in self._failing:
            if fnmatchcase(key, order.keys):
                order.left -= 1
                if order.left <= 0:
                    self._failing.remove(order)
                return True
        return False


class Cloud:
    """Buckets in memory or in files, served over HTTP to holders of signed URLs.

    Whoever calls it without `keys` is let in everywhere: that is the storage itself.
    """

    def __init__(
        self, directory: Path | None = None, *, host: str = "127.0.0.1", port: int = 0, now: Callable[[], datetime] = utc_now
    ) -> None:
        """Open what the directory holds from an earlier life, its signing key too; without one, begin empty."""
        self.faults = StorageFaults()
        self.doors = Doors()
        self.authority = b""
        """The certificate (PEM) of who vouches for it, to those who speak TLS with it; nobody does at first."""
        self._now = now
        self._buckets: Buckets = Memory() if directory is None else Files(directory)
        self._replaced: dict[tuple[str, str], Stored] = {}
        self._key = secrets.token_bytes(32) if directory is None else _kept_key(directory / "signing.key")
        self._listener = Listener(self._serve, host, port)

    # Objects

    def make_bucket(self, name: str) -> None:
        """Make a bucket, unless it exists."""
        self._buckets.make(name)

    def put(self, bucket: str, key: str, data: bytes, keys: Keys | None = None) -> None:
        """Store an object. Raise StorageError."""
        self._admit("PutObject", "Put", bucket, key, keys)
        if self.faults.refuses(key):
            raise StorageError("InternalError", "We encountered an internal error. Please try again.")
        self._buckets.write(bucket, key, data)
        self._replaced.pop((bucket, key), None)

    def get(self, bucket: str, key: str, keys: Keys | None = None) -> bytes:
        """Return an object. Raise StorageError (NoSuchKey and others)."""
        found = self.find(bucket, key, keys)
        return found.part(0, found.size)

    def find(self, bucket: str, key: str, keys: Keys | None = None) -> Stored:
        """Return an object, to be read in parts. Raise StorageError (NoSuchKey and others)."""
        self._admit("GetObject", "Get", bucket, key, keys)
        found = self._buckets.find(bucket, key)
        if found is None:
            raise no_such_key()
        return self._replaced.get((bucket, key), found)

    def replace(self, bucket: str, key: str, stored: Stored) -> None:
        """Let something else be read of an object than what was put, until it is put again. Raise StorageError."""
        self.find(bucket, key)
        self._replaced[bucket, key] = stored

    def has(self, bucket: str, key: str, keys: Keys | None = None) -> bool:
        """Tell whether an object exists. Raise StorageError."""
        self._admit("HeadObject", "Head", bucket, key, keys)
        return self._buckets.find(bucket, key) is not None

    def keys(self, bucket: str, prefix: str = "", keys: Keys | None = None) -> list[str]:
        """Return the keys with a prefix, in order. Raise StorageError."""
        self._admit("ListObjectsV2", "Get", bucket, "", keys)
        return sorted(self._buckets.keys(bucket, prefix))

    def delete_prefix(self, bucket: str, prefix: str, keys: Keys | None = None) -> None:
        """Remove every object with a prefix. Raise StorageError."""
        for key in self.keys(bucket, prefix, keys):
            self._buckets.remove(bucket, key)

    def _admit(self, operation: str, method: str, bucket: str, key: str, keys: Keys | None) -> None:
        if self.faults.down:
            where = f"127.0.0.1:{self._listener.port or 9000}"
            target = f"{bucket}/{quote(key)}" if key else f"{bucket}?delimiter=%2F&list-type=2&prefix="
            raise StorageError(
                "",
                f"operation error S3: {operation}, exceeded maximum number of attempts, 3, https response error StatusCode: 0, "
                f'RequestID: , HostID: , request send failed, {method} "http://{where}/{target}": '
                f"dial tcp {where}: connect: connection refused",
            )
        if keys is not None and (refused := self.doors.refusal(bucket, keys)):
            raise StorageError("", f"operation error S3: {operation}, {_told(refused)}")
        if bucket in self.faults.denied:
            raise StorageError("AccessDenied", "Access Denied")
        if bucket not in self._buckets.names():
            raise _no_such_bucket()

    # Signed URLs

    def sign(self, bucket: str, key: str, seconds: float, keys: Keys | None = None) -> str:
        """Return a URL that serves one object, which may be missing, to anybody for so long. Listening is not needed yet.

        It is worth as much as the keys that it was signed with, when it is used.
        """
        date = self._now().astimezone(UTC).strftime(_TIME)
        query = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Date": date, "X-Amz-Expires": str(int(seconds))}
        secret = ""
        if keys is not None and bucket in self.doors.locked:
            secret, query["X-Amz-Credential"] = keys.secret, f"{keys.id}/{date[:8]}/us-east-1/s3/aws4_request"
        query["X-Amz-Signature"] = self._signature(f"/{bucket}/{key}", query, secret)
        return f"{self.url}/{quote(bucket)}/{quote(key)}?{urlencode(query)}"

    def _signature(self, path: str, query: dict[str, str], secret: str) -> str:
        text = "\n".join((path, *(f"{name}={query[name]}" for name in sorted(query))))
        return hmac.new(self._key + secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def _permits(self, path: str, query: QueryParams) -> bool:
        given = dict(query)
        signature = given.pop("X-Amz-Signature", "")
        signer = given.get("X-Amz-Credential", "").partition("/")[0]
        secret = self.doors.secret(path.split("/", 2)[1], signer) if signer else ""
        if not hmac.compare_digest(signature.encode(), self._signature(path, given, secret).encode()):
            return False
        signed = datetime.strptime(given["X-Amz-Date"], _TIME).replace(tzinfo=UTC)
        return self._now() <= signed + timedelta(seconds=int(given["X-Amz-Expires"]))

    # Over HTTP

    @property
    def url(self) -> str:
        """Where it listens. Raise RuntimeError before the first start when the port was left to the system."""
        if not self._listener.port:
            raise RuntimeError("the storage has no port before its first start")
        return f"http://{self._listener.host}:{self._listener.port}"

    async def start(self) -> None:
        """Listen on the port of the last time. Raise OSError when it is taken."""
        await self._listener.start()

    async def stop(self) -> None:
        """Refuse connections and break the open ones. The buckets stay, and stay open to this process."""
        await self._listener.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.faults.pause()
        await self._answer(Request(scope, receive))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if self.faults.down:
            return _refusal(503, "ServiceUnavailable", "Service is unable to handle request.")
        path = str(request.scope["path"])
        if request.method != "GET" or not self._permits(path, request.query_params):
            return _refusal(403, "AccessDenied", "Request has expired or its signature does not match")
        _, bucket, key = path.split("/", 2)
        try:
            found = self.find(bucket, key)
        except StorageError as error:
            return _refusal(403 if error.code == "AccessDenied" else 404, error.code, str(error))
        if request.headers.get("if-match", "*") not in {"*", found.etag}:
            return _refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        return _content(found, request.headers.get("range", ""))


def _told(refused: Refused) -> str:
    """Return a refusal as the client of the storage words it: what it has noticed itself, or what it was answered."""
    if not refused.code:
        return refused.words
    answer = "https response error StatusCode: 403, RequestID: , HostID: , api error"
    return f"{answer} {refused.code}: {refused.words}"


def _kept_key(path: Path) -> bytes:
    """Return the key of an earlier life, or make one that nobody else on this machine may read."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()


def _refusal(status: int, code: str, message: str) -> Response:
    body = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{body}', status, media_type="application/xml")


def _content(found: Stored, asked: str) -> Response:
    """Answer with all of the object, or with one range of it (RFC 9110, section 14); other ranges are ignored."""
    headers = {"Accept-Ranges": "bytes", "ETag": found.etag}
    part = _range(asked, found.size)
    if part is None:
        return Response(found.part(0, found.size), 200, headers, media_type="application/octet-stream")
    first, end = part
    if first >= end:
        refusal = _refusal(416, "InvalidRange", "The requested range is not satisfiable")
        refusal.headers["Content-Range"] = f"bytes */{found.size}"
        return refusal
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{found.size}"
    return Response(found.part(first, end), 206, headers, media_type="application/octet-stream")


def _range(asked: str, size: int) -> tuple[int, int] | None:
    unit, _, span = asked.partition("=")
    first, dash, last = span.partition("-")
    if unit != "bytes" or not dash or not all(part == "" or part.isdigit() for part in (first, last)) or not first + last:
        return None
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size
