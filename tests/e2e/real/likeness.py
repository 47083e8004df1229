"""Compare what lies in two namespaces, object by object and field by field, but for what each cluster writes itself."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.e2e.real.api import Json, KubeApi

KINDS = {
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "services": "/api/v1",
    "serviceaccounts": "/api/v1",
    "deployments": "/apis/apps/v1",
}
"""The kinds that are looked at, with where they are served."""

_OF_THIS_LIFE = frozenset(
    {"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "namespace", "selfLink", "ownerReferences"}
)
_MADE_BY_THE_CLUSTER = frozenset({"configmaps/kube-root-ca.crt", "serviceaccounts/default"})
_ASSIGNED = frozenset({"clusterIP", "clusterIPs"})
_REVISION = "deployment.kubernetes.io/revision"


def contents(api: KubeApi, namespace: str) -> dict[str, Json]:
    """What lies in a namespace, by kind and name (`configmaps/paint`)."""
    found = {
        f"{plural}/{item['metadata']['name']}": dict(_kept(item))
        for plural, root in KINDS.items()
        for item in api.get(f"{root}/namespaces/{namespace}/{plural}")["items"]
    }
    return {name: item for name, item in found.items() if name not in _MADE_BY_THE_CLUSTER}


def _kept(item: Json) -> Iterator[tuple[str, Any]]:
    for part, value in item.items():
        if part == "metadata":
            yield part, dict(_kept_metadata(value))
        elif part == "spec":
            yield part, {key: each for key, each in value.items() if key not in _ASSIGNED}
        elif part not in {"status", "apiVersion", "kind"}:
            yield part, value


def _kept_metadata(metadata: Json) -> Iterator[tuple[str, Any]]:
    for key, value in metadata.items():
        if key in {"labels", "annotations"}:
            if told := _without_marks(value):
                yield key, told
        elif key not in _OF_THIS_LIFE:
            yield key, value


def _without_marks(words: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in words.items() if not key.startswith("velero.io/") and key != _REVISION}
