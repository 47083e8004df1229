"""What is said of an object: nothing that is bookkeeping, nothing too large, nothing lost by cutting it into pages."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from services.executor.seeing.observations import (
    MAX_ERRORS,
    MAX_OBJECT_BYTES,
    MAX_REASON_BYTES,
    fingerprint,
    observed,
    pages,
    poison,
)


def backup(name="b", rv="7", **parts):
    meta = {"name": name, "namespace": "velero", "uid": "u-1", "resourceVersion": rv, **parts.pop("metadata", {})}
    return {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": meta, **parts}


def test_bookkeeping_stays_at_home_and_the_rest_is_said_as_it_is():
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}
    seen = observed(backup(metadata={"managedFields": [{}], "annotations": annotations}, spec={"ttl": "1h"}), 3)
    assert (seen.epoch, seen.uid, seen.resource_version, seen.namespace, seen.name) == (3, "u-1", 7, "velero", "b")
    assert seen.object["metadata"]["annotations"] == {"mine": "1"}
    assert "managedFields" not in seen.object["metadata"]
    assert seen.object["spec"] == {"ttl": "1h"}
    assert not seen.truncated


def test_endless_texts_are_cut_and_it_says_so():
    status = {"validationErrors": [f"error {n}" for n in range(10_000)], "failureReason": "ä" * (1 << 20)}
    seen = observed(backup(status=status), 1)
    assert seen.truncated
    assert len(seen.object["status"]["validationErrors"]) == MAX_ERRORS
    assert len(seen.object["status"]["failureReason"].encode()) <= MAX_REASON_BYTES
    assert seen.unreadable is None


def test_ten_thousand_namespaces_fit_into_a_message():
    names = [f"team-{n:05d}" for n in range(10_000)]
    seen = observed(backup(spec={"includedNamespaces": names}), 1)
    assert (seen.unreadable, seen.truncated, seen.object["spec"]["includedNamespaces"]) == (None, False, names)


def test_an_object_too_large_for_a_message_is_told_by_name():
    seen = observed(backup(metadata={"annotations": {"big": "x" * MAX_OBJECT_BYTES}}), 1)
    assert "more than a message can carry" in seen.unreadable
    assert seen.object["metadata"] == {"name": "b", "namespace": "velero", "uid": "u-1", "resourceVersion": "7"}
    assert len(json.dumps(seen.wire())) < 2000


def test_odd_values_where_texts_are_expected_do_not_matter():
    odd = backup(status={"validationErrors": "not a list", "failureReason": 7, "progress": None}, spec=None)
    assert observed(odd, 1).object["status"]["failureReason"] == 7
    assert poison(odd) is None
    assert observed(backup(status="odd"), 1).object["status"] == "odd"
    assert isinstance(fingerprint(backup(status="odd")), int)


def test_only_progress_and_versions_leave_the_fingerprint_as_it_is():
    base = backup(status={"phase": "InProgress", "progress": {"itemsBackedUp": 1}})
    further = backup(rv="8", metadata={"generation": 5}, status={"phase": "InProgress", "progress": {"itemsBackedUp": 2}})
    assert fingerprint(base) == fingerprint(further)
    assert fingerprint(base) != fingerprint(backup(status={"phase": "Completed", "progress": {"itemsBackedUp": 1}}))
    assert fingerprint(base) != fingerprint(backup(metadata={"labels": {"a": "b"}}, status=base["status"]))


@given(st.sets(st.uuids().map(str), max_size=40), st.integers(1, 7))
def test_pages_cover_every_possible_uid_once(uids, size):
    cut = list(pages(uids, 2, 100, size))
    assert sorted(uid for page in cut for uid in page.uids) == sorted(uids)
    assert cut[0].from_uid is None
    assert cut[-1].to_uid is None
    for page, following in itertools.pairwise(cut):
        assert page.to_uid == following.from_uid
        assert all((page.from_uid or "") <= uid < page.to_uid for uid in page.uids)


def test_a_list_of_nothing_is_one_empty_page_over_everything():
    (page,) = pages([], 2, 100)
    assert (page.from_uid, page.to_uid, page.uids) == (None, None, [])


def test_a_duration_that_go_cannot_read_is_poison_and_one_that_it_can_is_not():
    assert poison(backup(spec={"ttl": "30d"})).object == "Backup/b"
    assert poison(backup(spec={"itemOperationTimeout": "soon"})) is not None
    assert poison(backup(spec={"ttl": "-1h", "csiSnapshotTimeout": "10m"})) is None
    hook = {"exec": {"command": ["x"], "timeout": "5 minutes"}}
    assert "hook" in poison(backup(spec={"hooks": {"resources": [{"name": "h", "pre": [hook]}]}})).message
    assert len(poison(backup(spec={"ttl": "9" * 400_000})).message) < 400
    location = {**backup(spec={"backupSyncPeriod": "1d"}), "kind": "BackupStorageLocation"}
    assert poison(location).object == "BackupStorageLocation/b"


def test_in_a_schedule_of_velero_it_is_the_template_that_can_be_poison():
    def schedule(**template):
        return {**backup(spec={"schedule": "@daily", "template": template}), "kind": "Schedule"}

    found = poison(schedule(ttl="30d"))
    assert found.object == "Schedule/b"
    assert "every Schedule of this cluster stands still" in found.message
    assert "hook" in poison(schedule(hooks={"resources": [{"post": [{"exec": {"timeout": "1d"}}]}]})).message
    assert poison(schedule(ttl="720h")) is None
    assert poison({**schedule(), "spec": "odd"}) is None
    assert poison({**schedule(), "spec": {"ttl": "30d"}}) is None


def test_of_a_restore_its_own_durations_count_and_those_of_its_hooks():
    def restore(**spec):
        return {**backup(spec=spec), "kind": "Restore"}

    def hooked(**hook):
        return restore(hooks={"resources": [{"name": "h", "postHooks": [hook]}]})

    assert poison(restore(itemOperationTimeout="3d")).object == "Restore/b"
    assert "hook" in poison(hooked(exec={"command": ["x"], "execTimeout": "1d"})).message
    assert "hook" in poison(hooked(exec={"command": ["x"], "waitTimeout": "soon"})).message
    assert "hook" in poison(hooked(init={"timeout": "1d"})).message
    assert poison(hooked(exec={"execTimeout": "5m", "waitTimeout": "1h"}, init={"timeout": "1m"})) is None
    assert poison(restore(itemOperationTimeout="4h", ttl="30d")) is None
