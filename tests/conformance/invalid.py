"""Every no of the API server to a Backup, once for it and once for Leeward, as in `refusals`."""

from dataclasses import dataclass, field
from typing import Any

from tests.conformance.manifests import Json
from tests.conformance.refusals import LONG


@dataclass(frozen=True, slots=True)
class Invalid:
    """A Backup that the API server refuses: what is wrong with it, where it says so, and which field Leeward names."""

    where: str
    field: str
    spec: Json = field(default_factory=dict)
    name: str = ""
    labels: Json = field(default_factory=dict)
    taken: bool = False
    """There is one of that name."""
    status: int = 422


def hook(**command: Any) -> Json:
    """A spec with one hook that runs before its Pod is backed up."""
    return {"hooks": {"resources": [{"name": "freeze", "pre": [{"exec": {"command": ["sync"], **command}}]}]}}


_EXEC = "/spec/hooks/resources/0/pre/0/exec"
_AT = "spec.hooks.resources[0].pre[0].exec"

INVALID: dict[str, Invalid] = {
    "a name with capitals": Invalid("metadata.name", "/name", name="Shop"),
    "a name that is too long": Invalid("metadata.name", "/name", name="a" * 254),
    "a name that begins with a dash": Invalid("metadata.name", "/name", name="-shop"),
    "a name that is taken": Invalid("", "/name", taken=True, status=409),
    "a label value that is too long": Invalid("metadata.labels", "/labels/team", labels={"team": LONG}),
    "a label name that is none": Invalid("metadata.labels", "/labels/my team", labels={"my team": "a"}),
    "a number as a duration": Invalid("spec.ttl", "/spec/ttl", {"ttl": 720}),
    "a name as a list": Invalid("spec.includedResources", "/spec/includedResources", {"includedResources": "pods"}),
    "a word as a flag": Invalid("spec.snapshotVolumes", "/spec/snapshotVolumes", {"snapshotVolumes": "yes"}),
    "a word as a number": Invalid(
        "spec.uploaderConfig.parallelFilesUpload",
        "/spec/uploaderConfig/parallelFilesUpload",
        {"uploaderConfig": {"parallelFilesUpload": "all"}},
    ),
    "a selector without an operator": Invalid(
        "spec.labelSelector.matchExpressions[0].operator",
        "/spec/labelSelector/matchExpressions/0/operator",
        {"labelSelector": {"matchExpressions": [{"key": "a"}]}},
    ),
    "a hook without a name": Invalid(
        "spec.hooks.resources[0].name", "/spec/hooks/resources/0/name", {"hooks": {"resources": [{"pre": []}]}}
    ),
    "a hook that does nothing": Invalid(
        "spec.hooks.resources[0].pre[0].exec",
        "/spec/hooks/resources/0/pre/0/exec",
        {"hooks": {"resources": [{"name": "freeze", "pre": [{}]}]}},
    ),
    "a hook without a command": Invalid(f"{_AT}.command", f"{_EXEC}/command", hook(command=[])),
    "a hook that does as it likes": Invalid(f"{_AT}.onError", f"{_EXEC}/onError", hook(onError="Shrug")),
    "a policy without a name": Invalid(
        "spec.resourcePolicy.name", "/spec/resourcePolicy/name", {"resourcePolicy": {"kind": "configmap"}}
    ),
    "a field that Velero does not know": Invalid("spec.colour", "/spec/colour", {"colour": "green"}, status=400),
}
