"""What kinds there are, as the API server tells its clients."""

import re
from collections.abc import Iterator

from simulator.documents import Document, clone
from simulator.kinds import Kind, Kinds, velero_definitions


def version(git_version: str) -> Document:
    """Return the answer to `/version`."""
    major, minor = [*re.findall(r"\d+", git_version), "", ""][:2]
    return {
        "major": major, "minor": minor, "gitVersion": git_version, "gitCommit": "simulator", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "none", "platform": "linux/amd64",
    }  # fmt: skip


def core_versions(address: str) -> Document:
    """Return the answer to `/api`."""
    clients = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": clients}


def group_list(kinds: Kinds) -> Document:
    """Return the answer to `/apis`."""
    groups = [_group(name, versions) for name, versions in kinds.groups().items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(kinds: Kinds, name: str) -> Document | None:
    """Return the answer to `/apis/<group>`."""
    versions = kinds.groups().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def _group(name: str, versions: list[str]) -> Document:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def resource_list(kinds: Kinds, group_name: str, version_name: str) -> Document | None:
    """Return the answer to `/api/v1` and `/apis/<group>/<version>`."""
    served = [kind for kind in kinds if (kind.group, kind.version) == (group_name, version_name)]
    if not served:
        return None
    resources = [entry for kind in served for entry in _entries(kind)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": served[0].api_version, "resources": resources}


def _entries(kind: Kind) -> Iterator[Document]:
    common = {"namespaced": kind.namespaced, "kind": kind.kind}
    entry = {"name": kind.plural, "singularName": kind.kind.lower(), **common, "verbs": list(kind.verbs)}
    yield entry | ({"shortNames": list(kind.short_names)} if kind.short_names else {})
    if kind.status_subresource:
        yield {"name": f"{kind.plural}/status", "singularName": "", **common, "verbs": ["get", "patch", "update"]}


def definitions() -> list[Document]:
    """Return Velero's CustomResourceDefinitions as a cluster shows them once they are established."""
    conditions = [
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
        {
            "type": "Established",
            "status": "True",
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ]
    found = [clone(definition) for definition in velero_definitions()]
    for definition in found:
        spec = definition["spec"]
        stored = [version["name"] for version in spec["versions"] if version["storage"]]
        definition["status"] = {"acceptedNames": spec["names"], "conditions": conditions, "storedVersions": stored}
    return found
