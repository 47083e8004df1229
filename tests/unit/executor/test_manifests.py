"""The Backup that is built from a command: what was asked for, resolved, and nothing that Velero would misread."""

import contextlib
import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.backups.choices import Refused, resolve
from services.executor.manifests import Resolved, backup, is_of, of_schedule, slot_of
from shared.contracts import ids
from tests.support.messages import NIGHTLY, NOW, backup_command, trigger_command

RESOLVED = Resolved(included=["shop"], excluded=[], location="default", snapshot_locations=[])


def build(resolved=RESOLVED, **more):
    return backup(backup_command("op1", **more), resolved, "velero")


def test_what_was_asked_for_is_kept_and_what_was_left_open_is_left_out():
    made = build(ttl="30d", snapshotVolumes=False, labelSelector={"matchLabels": {"a.b/c": "d"}})
    assert made["spec"] == {
        "includedNamespaces": ["shop"],
        "storageLocation": "default",
        "ttl": "720h",
        "csiSnapshotTimeout": "10m",
        "itemOperationTimeout": "72h",
        "snapshotVolumes": False,
        "labelSelector": {"matchLabels": {"a.b/c": "d"}, "matchExpressions": []},
    }
    assert "status" not in made
    assert "null" not in json.dumps(made)


def test_without_namespaces_it_is_not_built_because_to_velero_that_means_everything():
    with pytest.raises(ValueError, match="everything"):
        build(Resolved(included=[], excluded=[], location="default", snapshot_locations=[]))


def test_an_object_is_ours_only_with_our_operation_in_our_cluster():
    command = backup_command("op1")
    assert is_of(build(), command)
    assert not is_of(build(), backup_command("op2"))
    synced = build()
    synced["metadata"]["labels"]["leeward.dev/cluster"] = "us1"
    assert not is_of(synced, command), "a copy from another cluster's bucket"
    assert not is_of({"metadata": {}}, command)
    assert not is_of({}, command)


NAMES = st.lists(st.sampled_from(["a", "b", "c", "nope"]), min_size=1, max_size=4)


@given(NAMES, st.lists(st.sampled_from(["a", "b", "c"]), max_size=3))
def test_whatever_is_named_it_is_refused_or_becomes_a_list_of_existing_namespaces_never_an_empty_one(wanted, excluded):
    command = backup_command("op1", scope={"kind": "specific", "namespaces": wanted, "excludedNamespaces": excluded})
    location = {"metadata": {"name": "default"}, "spec": {"default": True}, "status": {"phase": "Available"}}
    existing = [{"metadata": {"name": n}} for n in ("a", "b", "c")]
    hopeless = "nope" in wanted or set(wanted) <= set(excluded)
    with pytest.raises(Refused) if hopeless else contextlib.nullcontext() as refused:
        resolved = resolve(command.data, "eu1", existing, [location], [])
    if hopeless:
        assert refused.value.refusal.pointer.startswith("/scope")
    else:
        assert set(resolved.included) == set(wanted) - set(excluded) != set()


def test_the_newest_default_location_wins_as_in_velero():
    def location(name, created, default):
        meta = {"name": name, "creationTimestamp": created}
        return {"metadata": meta, "spec": {"default": default}, "status": {"phase": "Available"}}

    found = [
        location("old", "2026-01-01T00:00:00Z", True),
        location("new", "2026-02-01T00:00:00Z", True),
        location("x", "", False),
    ]
    assert resolve(backup_command("op1").data, "eu1", [], found, []).location == "new"
    assert resolve(backup_command("op1").data, "eu1", [], [location("only", "", False)], []).location == "only"


def test_the_backup_of_a_slot_says_of_which_schedule_and_slot_it_is():
    slot = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    made = backup(trigger_command(slot, labels={"team": "shop"}), RESOLVED, "velero")
    assert made["metadata"]["name"] == "nightly-20261025003000"
    assert made["metadata"]["labels"] == {
        "team": "shop",
        "leeward.dev/cluster": "eu1",
        "leeward.dev/operation-id": ids.slot_operation_id(NIGHTLY.id, slot),
        "leeward.dev/schedule-id": NIGHTLY.id,
        "velero.io/schedule-name": "nightly",
    }
    assert made["metadata"]["annotations"]["leeward.dev/slot"] == "2026-10-25T00:30:00Z"
    assert made["metadata"]["annotations"]["leeward.dev/created-by"] == "schedule/nightly"
    assert slot_of(made) == slot


def test_a_backup_that_a_person_made_from_a_schedule_is_of_it_but_of_no_slot():
    command = backup_command("op1")
    order = command.data.model_copy(update={"schedule": NIGHTLY})
    made = backup(command.model_copy(update={"data": order}), RESOLVED, "velero")
    assert made["metadata"]["labels"]["leeward.dev/schedule-id"] == NIGHTLY.id
    assert made["metadata"]["labels"]["velero.io/schedule-name"] == "nightly"
    assert slot_of(made) is None
    assert of_schedule(made, trigger_command(NOW))
    assert not of_schedule(build(), trigger_command(NOW))


@pytest.mark.parametrize("mark", [None, "", "soon", "2026-11-22", 7])
def test_a_slot_that_nobody_of_ours_has_written_is_none(mark):
    assert slot_of({"metadata": {"annotations": {"leeward.dev/slot": mark}}}) is None
    assert slot_of({}) is None
