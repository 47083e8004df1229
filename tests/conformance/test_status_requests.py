"""ServerStatusRequests: whether Velero lives, and what it is."""

import re

from tests.conformance.manifests import unique
from tests.conformance.stage import Cluster


def test_probe(writer: Cluster) -> None:
    """A living Velero answers a ServerStatusRequest with its version, its plugins and the time."""
    status = writer.probe()["status"]

    assert set(status) == {"phase", "processedTimestamp", "serverVersion", "plugins"}
    assert re.fullmatch(r"v1\.18\.\d+.*", status["serverVersion"]) or status["serverVersion"]
    assert all(set(plugin) == {"name", "kind"} for plugin in status["plugins"])
    assert {"name": "velero.io/aws", "kind": "ObjectStore"} in status["plugins"]
    assert {"name": "velero.io/pod", "kind": "BackupItemAction"} in status["plugins"]


def test_probe_of_a_dead_velero(fragile: Cluster) -> None:
    """A dead Velero does not answer; it answers what it was asked meanwhile when it is back."""
    name = unique("probe")
    story = fragile.story("serverstatusrequests", name)
    with fragile.velero_killed():
        fragile.create("ServerStatusRequest", name, spec={})
        story.never(lambda event: event["type"] != "ADDED", within=2)
    story.until_phase("Processed")
