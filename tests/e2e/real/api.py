"""Look at a cluster and change it from a test, with nothing between the test and the API server."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.e2e.real.access import Access

Json = dict[str, Any]


class ApiError(Exception):
    """The API server refused, with `status`; `body` is its Status object, empty if it answered in other words."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.body: Json = response.json() if "json" in response.headers.get("content-type", "") else {}
        super().__init__(f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text[:500]}")


def velero_path(plural: str, name: str = "") -> str:
    """Path of a velero.io/v1 collection in Velero's namespace, or of one object in it."""
    return f"/apis/velero.io/v1/namespaces/velero/{plural}" + (f"/{name}" if name else "")


def collection_path(manifest: Json) -> str:
    """Path that a manifest is posted to; every kind in use here makes its plural with an s."""
    version, plural = manifest["apiVersion"], manifest["kind"].lower() + "s"
    namespace = manifest["metadata"].get("namespace")
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


class KubeApi:
    """One API server, spoken to as one user.

    Every call raises `ApiError` for a refusal and `httpx2.TransportError` when nobody answers within `timeout` seconds.
    """

    def __init__(self, access: Access) -> None:
        context = ssl.create_default_context(cafile=access.ca)
        if access.certificate:
            context.load_cert_chain(*access.certificate)
        headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
        self._client = httpx2.Client(base_url=access.server, verify=context, headers=headers, trust_env=False)

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        params: Mapping[str, str] | None = None,
        media_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 30,
    ) -> httpx2.Response:
        headers = {"Content-Type": media_type, "Accept": accept}
        response = self._client.request(method, path, json=body, params=params, headers=headers, timeout=timeout)
        if response.is_error:
            raise ApiError(response)
        return response

    def get(self, path: str, *, timeout: float = 30, **params: str) -> Json:
        return self.request("GET", path, params=params, timeout=timeout).json()  # type: ignore[no-any-return]

    def create(self, manifest: Json) -> Json:
        """Post a manifest to the collection that its kind and namespace name."""
        return self.request("POST", collection_path(manifest), manifest).json()  # type: ignore[no-any-return]

    @contextmanager
    def watch(self, path: str, *, timeout: float, **params: str) -> Iterator[Iterator[Json]]:
        """Open one watch and give its events as they come; `timeout` is how many seconds of silence end it."""
        with self._client.stream("GET", path, params={"watch": "1", **params}, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise ApiError(response)
            yield (json.loads(line) for line in response.iter_lines() if line)

    def ensure(self, manifest: Json) -> None:
        """Create the object unless there is one of that name."""
        try:
            self.create(manifest)
        except ApiError as error:
            if error.status != httpx2.codes.CONFLICT:
                raise

    def patch(self, path: str, body: Json) -> Json:
        """Apply a JSON merge patch."""
        return self.request("PATCH", path, body, media_type="application/merge-patch+json").json()  # type: ignore[no-any-return]

    def delete(self, path: str) -> None:
        self.request("DELETE", path)

    def is_ready(self) -> bool:
        return self.request("GET", "/readyz", timeout=2).is_success

    def token(self, namespace: str, service_account: str) -> str:
        """A token of a service account, good for a day."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        return str(self.request("POST", path, request).json()["status"]["token"])
