"""What Velero's file of volumes says, in all of its methods; and that an unknown size is never a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.artifacts.volumes import MOST, MOST_BYTES, failed, fitting, volume_bytes, volumes
from shared.contracts.events import Volume

PLACE = {"pvcName": "data", "pvcNamespace": "shop", "pvName": "pv-1"}
WHERE = {"namespace": "shop", "claim": "data", "volume": "pv-1"}


def copy(phase="Failed", message="data path backup failed", volume="cache"):
    spec = {"pod": {"namespace": "shop", "name": "web-0"}, "volume": volume}
    return {"spec": spec, "status": {"phase": phase, "message": message}}


def upload(phase="Failed", message="snapshot is not ready", operation="du-1"):
    meta = {"labels": {"velero.io/async-operation-id": operation}}
    return {
        "metadata": meta,
        "spec": {"sourcePVC": "data", "sourceNamespace": "shop"},
        "status": {"phase": phase, "message": message},
    }


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (
            {"backupMethod": "NativeSnapshot", "result": "succeeded", "nativeSnapshotInfo": {"snapshotHandle": "s"}},
            Volume(**WHERE, method="NativeSnapshot", result="succeeded"),
        ),
        (
            {"backupMethod": "CSISnapshot", "result": "succeeded", "csiSnapshotInfo": {"size": 8}},
            Volume(**WHERE, method="CSISnapshot", result="succeeded", size_bytes=8),
        ),
        (
            {"backupMethod": "CSISnapshot", "result": "succeeded", "csiSnapshotInfo": {}},
            Volume(**WHERE, method="CSISnapshot", result="succeeded"),
        ),
        (
            {
                "backupMethod": "CSISnapshot", "snapshotDataMoved": True, "result": "succeeded",
                "snapshotDataMovementInfo": {"size": 9, "incrementalSize": 2, "operationID": "du-9"},
            },
            Volume(**WHERE, method="DataMovement", result="succeeded", size_bytes=9, incremental_bytes=2),
        ),
        (
            {
                "backupMethod": "CSISnapshot", "snapshotDataMoved": True, "result": "failed",
                "snapshotDataMovementInfo": {"operationID": "du-1", "size": 4},
            },
            Volume(**WHERE, method="DataMovement", result="failed", message="snapshot is not ready"),
        ),
        (
            {"backupMethod": "PodVolumeBackup", "result": "succeeded", "pvbInfo": {"volumeName": "x"}},
            Volume(**WHERE, method="PodVolumeBackup", result="succeeded", size_bytes=0),
        ),
        (
            {"skipped": True, "skippedReason": "no snapshotter"},
            Volume(**WHERE, method="Skipped", size_bytes=0, message="no snapshotter"),
        ),
        ({}, Volume(**WHERE)),
    ],
)  # fmt: skip
def test_every_method_is_told_in_one_form(info, expected):
    assert volumes([PLACE | info], [copy()], [upload()]) == [expected]


def test_a_volume_without_a_claim_is_named_by_its_pod():
    details = {"podName": "web-0", "podNamespace": "shop", "volumeName": "cache"}
    (found,) = volumes([{"backupMethod": "PodVolumeBackup", "result": "failed", "pvbInfo": details}], [copy()]) or []
    assert (found.namespace, found.claim, found.volume) == ("shop", None, "cache")
    assert (found.message, found.size_bytes) == ("data path backup failed", None)


def test_none_are_none_and_what_cannot_be_read_is_unknown():
    assert volumes(None) == volumes([]) == []
    assert volumes("not a list") is None
    assert volume_bytes([]) == 0
    assert volume_bytes(None) is None


@given(st.lists(st.none() | st.integers(0, 10**12)))
def test_the_sum_is_known_only_if_every_size_is(sizes):
    total = volume_bytes([Volume(size_bytes=size) for size in sizes])
    assert total == (None if None in sizes else sum(sizes))


def test_as_many_are_told_as_a_message_can_carry():
    small = [Volume(claim=f"data-{n}") for n in range(MOST + 1)]
    assert fitting(small) == small[:MOST]
    large = [Volume(claim=f"{n}", message="é" * 500) for n in range(MOST)]
    told = fitting(large)
    assert told == large[: len(told)]
    assert MOST_BYTES - 2000 < sum(len(volume.model_dump_json(by_alias=True).encode()) for volume in told) <= MOST_BYTES


@pytest.mark.parametrize(
    "info",
    [
        {"backupMethod": "CSISnapshot", "csiSnapshotInfo": {"operationID": ["du-1"]}},
        {"backupMethod": "PodVolumeBackup", "pvbInfo": {"podName": {}, "podNamespace": [], "volumeName": 1}},
    ],
)
def test_one_odd_volume_hides_no_other(info):
    assert len(volumes([PLACE | info, PLACE], [copy()], [upload()]) or []) == 2


KEYS = ["backupMethod", "pvbInfo", "size", "result", "skipped", "csiSnapshotInfo", "snapshotDataMoved"]
LEAVES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner)))
def test_odd_files_are_read_without_a_fall(infos):
    volume_bytes(volumes(infos))


def test_only_agents_that_failed_say_why():
    found = list(failed([copy(), copy("Completed")], [upload("Canceled", ""), upload("Completed")]))
    assert [(f.reason, f.object, f.namespace) for f in found] == [
        ("data path backup failed", "pods/web-0", "shop"),
        ("Canceled, without a reason", "persistentvolumeclaims/data", "shop"),
    ]
