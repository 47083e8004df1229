"""A small port to one Kubernetes API server: plain dicts in and out, typed errors, nothing of the client library beyond here.

Anything that may be different in a moment (no connection, no answer in time, 401, 429, 5xx) is Unavailable. What concerns one
object is a KubeError: mostly it will not change by asking again; InternalError may.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient

from shared.messaging.outcomes import Unavailable
from shared.runtime import tracing

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""

_PAGE = 500
_JSON, _MERGE = "application/json", "application/merge-patch+json"
_NAMES = f"{_JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{_JSON}"
"""A list of what has names, without the rest of it; a server that cannot gives all of it."""
_WATCH_SECONDS = 290
_BAD_REQUEST, _SERVER = 400, 500
_UNAUTHORIZED, _INTERNAL = 401, 500
_PASSING = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind as its REST path needs it."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


BACKUPS = Kind("velero.io", "v1", "backups", "Backup")
LOCATIONS = Kind("velero.io", "v1", "backupstoragelocations", "BackupStorageLocation")
SNAPSHOT_LOCATIONS = Kind("velero.io", "v1", "volumesnapshotlocations", "VolumeSnapshotLocation")
DELETE_REQUESTS = Kind("velero.io", "v1", "deletebackuprequests", "DeleteBackupRequest")
SCHEDULES = Kind("velero.io", "v1", "schedules", "Schedule")
RESTORES = Kind("velero.io", "v1", "restores", "Restore")
BACKUP_REPOSITORIES = Kind("velero.io", "v1", "backuprepositories", "BackupRepository")
DOWNLOAD_REQUESTS = Kind("velero.io", "v1", "downloadrequests", "DownloadRequest")
POD_VOLUME_BACKUPS = Kind("velero.io", "v1", "podvolumebackups", "PodVolumeBackup")
DATA_UPLOADS = Kind("velero.io", "v2alpha1", "datauploads", "DataUpload")
STATUS_REQUESTS = Kind("velero.io", "v1", "serverstatusrequests", "ServerStatusRequest")
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap")
SECRETS = Kind("", "v1", "secrets", "Secret")
PODS = Kind("", "v1", "pods", "Pod")
NAMESPACES = Kind("", "v1", "namespaces", "Namespace", namespaced=False)


class KubeError(Exception):
    """The API server answered, and said no for good."""


class NotFoundError(KubeError):
    """No such object, or no such kind."""


class UnauthorizedError(Unavailable):
    """Our credentials are not known: they may have been renewed where we read them from."""


class AlreadyExistsError(KubeError):
    """The name is taken."""


class ConflictError(KubeError):
    """The object is not the one that was to be changed any more."""


class ForbiddenError(KubeError):
    """We are known and not allowed."""


class InvalidError(KubeError):
    """The object is not acceptable to the API server."""


class InternalError(KubeError):
    """The API server failed at this object (a webhook that breaks, say): others may well succeed, and so may this one later."""


class GoneError(KubeError):
    """The resource version is too old to watch from: list again."""


_FINAL: dict[int, type[KubeError]] = {403: ForbiddenError, 404: NotFoundError, 409: ConflictError, 410: GoneError}


@dataclass(frozen=True, slots=True)
class Listed:
    """All objects of a kind at one resource version."""

    items: list[Object]
    resource_version: int


@dataclass(frozen=True, slots=True)
class Change:
    """One watch event: ADDED, MODIFIED, DELETED or BOOKMARK (which carries a resource version and nothing else)."""

    type: str
    object: Object


class Kube(Protocol):
    """What Leeward needs of a cluster. Every call may raise Unavailable or a KubeError."""

    async def get(self, kind: Kind, name: str) -> Object:
        """Return one object."""

    async def list(self, kind: Kind, labels: str = "") -> Listed:
        """Return all objects of a kind that the selector matches, consistently, in Velero's namespace if the kind has one."""

    def watch(self, kind: Kind, resource_version: int, inactivity: float) -> AsyncGenerator[Change]:
        """Yield what happens after that version until the server ends the stream.

        Raises GoneError when the version is too old; Unavailable when the stream breaks or is silent for `inactivity` seconds.
        """

    async def create(self, kind: Kind, body: Object) -> Object:
        """Create an object; fields that the server does not know are an InvalidError, never dropped."""

    async def patch(self, kind: Kind, name: str, body: Object) -> Object:
        """Change an object by a JSON merge patch. With `metadata.resourceVersion` in it only that very version is changed.

        Raises ConflictError when it is another by now; as `create` does for fields that the server does not know.
        """

    async def delete(self, kind: Kind, name: str) -> None:
        """Delete an object; it may be gone already."""

    async def read(self, path: str) -> Object:
        """Return what a path outside the kinds answers, such as `/version`."""

    async def everywhere(self, path: str, most: int, *, whole: bool = False) -> Sequence[Object]:
        """Return the objects that a path lists, of any kind and namespace, as far as one more than `most`.

        Of each only the metadata, unless `whole`.
        """


@dataclass(frozen=True, slots=True)
class KubeClient:
    """The port over the official client's asyncio part.

    `timeout` in seconds for everything but watches, and but the answer to what is written, for which it is `writing`.
    """

    api: ApiClient
    cluster: str
    namespace: str
    timeout: float = 5.0
    writing: float = 45.0

    async def get(self, kind: Kind, name: str) -> Object:
        """See Kube."""
        return await self._json("GET", f"{self._path(kind)}/{name}")

    async def list(self, kind: Kind, labels: str = "") -> Listed:
        """See Kube. Reads in pages of 500; all pages show the same version."""
        items: list[Object] = []
        query = {"limit": str(_PAGE), **({"labelSelector": labels} if labels else {})}
        while True:
            page = await self._json("GET", self._path(kind), query)
            items += page.get("items") or []
            facts = page.get("metadata") or {}
            if not facts.get("continue"):
                return Listed(items, int(facts.get("resourceVersion") or 0))
            query["continue"] = facts["continue"]

    async def watch(self, kind: Kind, resource_version: int, inactivity: float) -> AsyncGenerator[Change]:
        """See Kube."""
        query = {
            "watch": "true",
            "resourceVersion": str(resource_version),
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self.timeout, sock_read=inactivity)
        async with self._request("GET", self._path(kind), query, None, limits) as response:
            await self._check(response)
            with self._answering():
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # answered with HTTP 200, and a Status instead of an object
                        raise self._failure(int(event["object"].get("code") or _SERVER), event["object"])
                    yield Change(event["type"], event["object"])

    async def create(self, kind: Kind, body: Object) -> Object:
        """See Kube."""
        return await self._json("POST", self._path(kind), {"fieldValidation": "Strict"}, body)

    async def patch(self, kind: Kind, name: str, body: Object) -> Object:
        """See Kube."""
        return await self._json("PATCH", f"{self._path(kind)}/{name}", {"fieldValidation": "Strict"}, body)

    async def delete(self, kind: Kind, name: str) -> None:
        """See Kube."""
        with contextlib.suppress(NotFoundError):
            await self._json("DELETE", f"{self._path(kind)}/{name}")

    async def read(self, path: str) -> Object:
        """See Kube."""
        return await self._json("GET", path)

    async def everywhere(self, path: str, most: int, *, whole: bool = False) -> Sequence[Object]:
        """See Kube."""
        items: list[Object] = []
        query = {"limit": str(_PAGE)}
        while True:
            page = await self._json("GET", path, query, accept=_JSON if whole else _NAMES)
            items += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue")
            if not more or len(items) > most:
                return items[: most + 1]
            query["continue"] = str(more)

    def _path(self, kind: Kind) -> str:
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        return f"{root}/namespaces/{self.namespace}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"

    async def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        accept: str = _JSON,
    ) -> Object:
        limits = aiohttp.ClientTimeout(total=self.timeout if method == "GET" else self.writing, sock_connect=self.timeout)
        facts = {"http.request.method": method, "url.path": path, "leeward.cluster": self.cluster}
        with tracing.child(f"kubernetes {method}", facts, tracing.CLIENT) as span:
            async with self._request(method, path, query or {}, body, limits, accept) as response:
                span.set_attribute("http.response.status_code", response.status)
                await self._check(response)
                with self._answering():
                    return dict(json.loads(await response.read()).items())

    @contextlib.asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None,
        limits: aiohttp.ClientTimeout,
        accept: str = _JSON,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        with self._answering():
            request = await self.api.param_serialize(
                method=method,
                resource_path=path,
                query_params=list(query.items()),
                header_params={"Accept": accept, "Content-Type": _MERGE if method == "PATCH" else _JSON},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = await self.api.call_api(*request, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        try:
            yield response
        finally:
            response.close()

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status < _BAD_REQUEST:
            return
        with self._answering():
            text = await response.text()
        try:
            status = json.loads(text)
        except ValueError:
            status = None
        facts = status if isinstance(status, dict) else {"message": text[:500]}
        ended = response.method != "GET" and facts.get("reason") == "Timeout"  # it ends a write itself, after 34 s
        raise self._failure(_INTERNAL if ended else response.status, facts)

    def _failure(self, code: int, status: Object) -> Exception:
        message = str(status.get("message") or f"HTTP {code}")[:2000]
        if code == _UNAUTHORIZED:
            return UnauthorizedError(f"cluster {self.cluster}", f"HTTP {code}: {message}")
        if code == _INTERNAL:
            return InternalError(message)
        if code in _PASSING or code > _SERVER:
            return Unavailable(f"cluster {self.cluster}", f"HTTP {code}: {message}")
        if status.get("reason") == "AlreadyExists":
            return AlreadyExistsError(message)
        return _FINAL.get(code, InvalidError)(message)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"cluster {self.cluster}", str(error) or "no answer in time") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # A load balancer's page, or half a line: whoever that was, it was not the API server.
            raise Unavailable(f"cluster {self.cluster}", f"answered something else than Kubernetes does: {error!r}") from error
