"""The HTTP client: one way to ask, one way to be refused, and a way to listen."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2

from leeward.errors import CliError, Exit, UnreachableError
from leeward.problems import TEMPORARY, ApiError
from leeward.settings import Connection

API = "/api/v1"
_TIMEOUT = httpx2.Timeout(connect=5, read=90, write=30, pool=5)
"""A write may wait for its cluster, at most a minute."""
_LISTENING = httpx2.Timeout(connect=5, read=45, write=30, pool=5)
"""After so long a silence an event stream counts as broken; the gateway fills silences every 15 seconds."""
_PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the attempts of a write."""
_MAX_PAUSE = 10.0
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """A change. `kind` is `reset` when changes were missed, and empty when only the place to resume from has moved on."""

    kind: str
    item: dict[str, Any]
    id: str


class Client:
    """Talks to one gateway. Every failure is a CliError whose words a person can act on."""

    def __init__(
        self,
        connection: Connection,
        *,
        notice: Callable[[str], None] = lambda _words: None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.connection = connection
        self._notice = notice
        token = connection.token
        host = httpx2.URL(connection.url).host
        self._http = httpx2.AsyncClient(
            base_url=connection.url + API,
            headers={"Accept": "application/json", **({"Authorization": f"Bearer {token.value}"} if token else {})},
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=host not in _LOOPBACK,  # a proxy does not lead to this machine
            verify=_context(connection),
        )

    async def __aenter__(self) -> Self:
        """Use it until the block ends."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, params: Params | None = None) -> Any:
        """Return what is at an address.

        Raises CliError.
        """
        with self._told():
            response = await self._http.get(path, params=_given(params))
        return self._read(response)

    async def tagged(self, path: str) -> tuple[Any, str]:
        """Return what is at an address, and what stands for the version of it that it is (ETag); empty if it has none.

        Raises CliError.
        """
        with self._told():
            response = await self._http.get(path)
        return self._read(response), response.headers.get("etag", "").strip('"')

    async def post(self, path: str, body: Any, *, key: str | None = None, params: Params | None = None) -> Any:
        """Ask for something. With a key the request is repeated while nobody answers it: it is still done only once.

        Raises CliError.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return await self._write("POST", path, headers, _PAUSES if key else (), json=body, params=_given(params))

    async def patch(self, path: str, changes: Any, version: int | str | None, params: Params | None = None) -> Any:
        """Change something (RFC 7396), if it is still the version that was looked at.

        Raises CliError.
        """
        headers = {"Content-Type": "application/merge-patch+json", **({"If-Match": f'"{version}"'} if version else {})}
        return await self._write("PATCH", path, headers, (), content=json.dumps(changes), params=_given(params))

    async def delete(self, path: str, params: Params | None = None) -> Any:
        """Have something deleted. To ask for that again does no harm, so it is repeated while nobody answers.

        Raises CliError.
        """
        return await self._write("DELETE", path, {}, _PAUSES, params=_given(params))

    async def _write(self, method: str, path: str, headers: Mapping[str, str], pauses: Sequence[float], **parts: Any) -> Any:
        """Send a request, again after each pause while nobody answers it; an error says whether it may have arrived."""
        sent = False
        for pause in (*pauses, None):
            try:
                with self._told():
                    response = await self._http.request(method, path, headers=headers, **parts)
                return self._read(response)
            except (UnreachableError, ApiError) as error:
                again = isinstance(error, UnreachableError) or error.temporary
                error.sent = sent = sent or error.sent
                if pause is None or not again:
                    raise
                if pause == pauses[0]:
                    self._notice(f"{error.words}; trying again")
                await asyncio.sleep(min(error.retry_after or pause, _MAX_PAUSE))
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, kind: str, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """Read an answer that may be long, bit by bit; `kind` is its media type. What breaks off raises while it is read.

        A range that lies past the end is an answer, too (416). Raises CliError.
        """
        asked = {"Accept": "*/*", "Accept-Encoding": "identity", **(headers or {})}
        with self._told():
            async with self._http.stream("GET", path, params=_given(params), headers=asked) as response:
                if response.status_code != httpx2.codes.RANGE_NOT_SATISFIABLE:
                    if not response.is_success:
                        await response.aread()
                        self._read(response)
                    if response.headers.get("content-type", "").partition(";")[0].strip() != kind:
                        raise self.stranger(f"something other than {kind}")
                yield response

    async def pages(self, path: str, params: Params) -> AsyncIterator[dict[str, Any]]:
        """Return the pages of a list, one after the other."""
        cursor = params.get("cursor")
        while True:
            page = await self.get(path, {**params, "cursor": cursor})
            if not isinstance(page.get("items"), list):
                raise self.stranger("a list without items")
            yield page
            if not page.get("nextCursor"):
                return
            if page["nextCursor"] == cursor:
                raise self.stranger("a list that does not go on")
            cursor = page["nextCursor"]

    @contextlib.asynccontextmanager
    async def events(self, params: Params, last_id: str | None) -> AsyncIterator[AsyncIterator[Event]]:
        """Listen to changes, from behind the event with that id.

        Raises CliError, also while reading.
        """
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with self._told():
            async with self._http.sse("/events", params=_given(params), headers=headers, timeout=_LISTENING) as source:
                if source.response.status_code != httpx2.codes.OK:
                    await source.response.aread()
                    self._read(source.response)
                yield self._heard(source)

    async def _heard(self, source: httpx2.EventSource) -> AsyncIterator[Event]:
        with self._told():
            async for piece in source:
                try:
                    item = json.loads(piece.data) if piece.data else {}
                except ValueError:
                    raise self.stranger("an event that is not JSON") from None
                yield Event(piece.event if piece.data else "", item, piece.id)

    # ------------------------------------------------------------------ what answers mean

    def _read(self, response: httpx2.Response) -> Any:
        """Return the JSON of an answer; nothing of one that says that nothing is left.

        Raises ApiError for a problem, CliError for what is not an answer of Leeward's.
        """
        if response.status_code == httpx2.codes.NO_CONTENT:
            return {}
        try:
            document = response.json()
        except ValueError:
            document = None
        if response.is_success and isinstance(document, dict):
            return document
        if isinstance(document, dict) and "status" in document and "title" in document:
            raise self._refused(ApiError(response.status_code, document, retry_after=_seconds(response)))
        status = f"{response.status_code} {response.reason_phrase}".strip()
        if response.status_code in TEMPORARY:
            raise UnreachableError(f"{self.connection.url} answers {status}", retry_after=_seconds(response))
        raise self.stranger(status)

    def _refused(self, error: ApiError) -> ApiError:
        if error.status != httpx2.codes.UNAUTHORIZED:
            return error
        token = self.connection.token
        if token is None:
            error.words = f"{self.connection.url} wants a token, and there is none"
            error.hints.append("set LEEWARD_TOKEN_FILE, or use --token-file")
        else:
            error.words = f"{self.connection.url} does not know the token from {token.source}"
            error.hints.append("was it replaced, or is it for another gateway?")
        return error

    def stranger(self, what: str) -> CliError:
        """Return the error of an answer that Leeward does not give."""
        words = f"{self.connection.url} does not answer as Leeward would ({what})"
        return CliError(words, Exit.UNREACHABLE, hints=[f"the address is from {self.connection.source}: is it right?"])

    @contextlib.contextmanager
    def _told(self) -> Any:
        """Turn what the network does into words."""
        url, source = self.connection.url, self.connection.source
        try:
            yield
        except httpx2.SSEError as error:
            raise self.stranger(str(error)) from error
        except httpx2.ConnectError as error:
            raise _not_connected(error, url, source) from error
        except httpx2.TimeoutException as error:
            raise UnreachableError(f"{url} does not answer in time", hints=[f"the address is from {source}"]) from error
        except httpx2.TransportError as error:
            raise UnreachableError(f"the connection to {url} broke: {str(error) or type(error).__name__}") from error
        except (httpx2.InvalidURL, httpx2.HTTPError) as error:
            raise CliError(f"{url}: {error}", Exit.UNREACHABLE) from error


def _not_connected(error: httpx2.ConnectError, url: str, source: str) -> CliError:
    cause = _tls_error(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        hint = "give the certificate of its authority with --ca-file or LEEWARD_CA_FILE"
        return CliError(f"the certificate of {url} is not trusted: {cause.verify_message}", Exit.UNREACHABLE, hints=[hint])
    if cause is not None:
        return CliError(f"{url} does not speak TLS: {cause.reason}", Exit.UNREACHABLE, hints=["is it an http:// address?"])
    hint = f"is it running? (the address is from {source}; `make up` starts one on this machine)"
    return UnreachableError(f"nothing answers at {url}", hints=[hint], sent=False)


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def _context(connection: Connection) -> ssl.SSLContext | bool:
    """Return whom to trust; over plain HTTP nobody, because to load everybody takes longer than all the rest."""
    ca_file = connection.ca_file
    if connection.url.startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise CliError(f"{ca_file} holds no certificates: {error.strerror}", Exit.USAGE) from error


def _given(params: Params | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value not in (None, [], "")}


def _seconds(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
