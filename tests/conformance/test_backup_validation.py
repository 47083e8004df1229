"""Backups that Velero refuses, in its own words."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from tests.conformance.invalid import INVALID, Invalid
from tests.conformance.manifests import Json, of_velero, unique
from tests.conformance.refusals import REFUSALS, Refused, Thing
from tests.conformance.stage import Cluster, refusal
from tests.conformance.story import phase_of
from tests.e2e.real.api import velero_path


def ids(cases: dict[str, object]) -> list[str]:
    return [case.replace(" ", "-") for case in cases]


@contextmanager
def standing(cluster: Cluster, thing: Thing) -> Iterator[None]:
    """Be there within the block, and be judged by Velero before it begins."""
    with thing.standing(cluster.api, cluster.hands.location(prefix=thing.name)):
        if thing.phase:
            path = "backupstoragelocations", thing.name
            cluster.eventually(f"{thing.name} to be {thing.phase}", lambda: phase_of(cluster.get(*path)) == thing.phase)
        elif thing.kind == "ConfigMap":
            cluster.settle_core("configmaps", thing.name)
        else:
            cluster.settle(f"{thing.kind.lower()}s", thing.name)
        yield


@contextmanager
def without_location(cluster: Cluster) -> Iterator[None]:
    """Have no storage location within the block."""
    kept = {item["metadata"]["name"]: item["spec"] for item in cluster.api.get(velero_path("backupstoragelocations"))["items"]}
    for name in kept:
        cluster.delete("backupstoragelocations", name)
        cluster.settle("backupstoragelocations", name)
    try:
        yield
    finally:
        for name, spec in kept.items():
            cluster.create("BackupStorageLocation", name, spec=spec)
        default = partial(cluster.get, "backupstoragelocations", "default")
        cluster.eventually("the location to be back", lambda: phase_of(default()) == "Available")


@pytest.mark.parametrize("case", REFUSALS.values(), ids=ids(REFUSALS))
def test_refusals(writer: Cluster, fragile: Cluster, case: Refused) -> None:
    """A Backup that cannot be meant is FailedValidation, with every reason in Velero's words and in Velero's order."""
    cluster, name = {"writer": writer, "fragile": fragile}[case.cluster], unique("refused")
    with ExitStack() as stack:
        for thing in case.needs:
            stack.enter_context(standing(cluster, thing))
        if case.homeless:
            stack.enter_context(without_location(cluster))
        backup = cluster.back_up(name, **{"includedNamespaces": ["default"], **case.spec})

    assert backup["status"]["phase"] == "FailedValidation"
    assert backup["status"]["validationErrors"] == case.errors(name)


@pytest.mark.parametrize("case", INVALID.values(), ids=ids(INVALID))
def test_what_the_api_server_refuses(writer: Cluster, case: Invalid) -> None:
    """What is no Backup at all never reaches Velero: the API server, asked to be strict, says which field is wrong."""
    name = case.name or unique("invalid")
    if case.taken:
        writer.rest(name)
    spec: Json = {"includedNamespaces": ["default"], **case.spec}
    backup = of_velero("Backup", name, metadata={"labels": case.labels}, spec=spec)
    error = refusal(lambda: writer.api.request("POST", velero_path("backups"), backup, params={"fieldValidation": "Strict"}))

    assert error.status == case.status
    causes = {cause["field"] for cause in error.body.get("details", {}).get("causes", [])}
    assert case.where in causes or case.where in error.body["message"], error.body


def test_status_of_a_refused_backup(writer: Cluster) -> None:
    """A refused Backup expires, too, but neither starts nor ends; its label names the location, even if there is none."""
    name = unique("refused")
    story = writer.story("backups", name)
    writer.create("Backup", name, spec={"includedNamespaces": ["default"], "storageLocation": "nowhere"})
    backup = story.until_final()

    assert story.phases == ["", "Queued", "ReadyToStart", "FailedValidation"]
    assert set(backup["status"]) == {"phase", "version", "formatVersion", "expiration", "validationErrors"}
    assert backup["metadata"]["labels"] == {"velero.io/storage-location": "nowhere"}
    assert not writer.hands.keys(f"backups/{name}/")


def test_read_only_location(reader: Cluster) -> None:
    """A Backup into a ReadOnly location is refused."""
    backup = reader.back_up(unique("read-only"), includedNamespaces=["default"])

    assert backup["status"]["phase"] == "FailedValidation"
    assert backup["status"]["validationErrors"] == [
        "backup can't be created because backup storage location default is currently in read-only mode"
    ]


def test_bad_operator_in_a_selector(writer: Cluster) -> None:
    """An operator that no selector has is not found by validation: the Backup runs and is PartiallyFailed."""
    selector = {"matchExpressions": [{"key": "a", "operator": "Bogus"}]}
    backup = writer.back_up(unique("operator"), includedNamespaces=["default"], labelSelector=selector)

    assert backup["status"]["phase"] == "PartiallyFailed"


def test_one_of_several_snapshot_locations(fragile: Cluster) -> None:
    """Of two snapshot locations of one provider a Backup can choose either."""
    second = unique("second")
    fragile.create("VolumeSnapshotLocation", second, spec={"provider": "aws", "config": {"region": "us-east-1"}})
    fragile.settle("volumesnapshotlocations", second)
    try:
        one = fragile.back_up(unique("one"), includedNamespaces=["default"], volumeSnapshotLocations=[second])
    finally:
        fragile.delete("volumesnapshotlocations", second)

    assert one["status"]["phase"] == "Completed"
    assert one["spec"]["volumeSnapshotLocations"] == [second]
