"""Ids and subjects: who derives them does not matter, and no name of a person's choosing becomes a token."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import ids, subjects


def test_a_retry_with_one_key_is_one_operation_and_anything_else_is_another():
    first = ids.operation_id("anna", "POST", "/api/v1/backups", "k")
    assert first == ids.operation_id("anna", "POST", "/api/v1/backups", "k")
    others = [
        ids.operation_id("bob", "POST", "/api/v1/backups", "k"),
        ids.operation_id("anna", "PUT", "/api/v1/backups", "k"),
        ids.operation_id("anna", "POST", "/api/v1/restores", "k"),
        ids.operation_id("anna", "POST", "/api/v1/backups", "k2"),
        ids.operation_id("anna", "POST", "/api/v1/backups", None),
    ]
    assert len({first, *others}) == 6
    assert ids.operation_id("a", "p", "x", None) != ids.operation_id("a", "p", "x", None)


def test_a_slot_has_one_id_in_every_time_zone():
    slot = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    berlin = slot.astimezone(timezone(timedelta(hours=1)))
    assert ids.slot_operation_id("s", slot) == ids.slot_operation_id("s", berlin)
    assert ids.slot_operation_id("s", slot) != ids.slot_operation_id("s", slot + timedelta(minutes=1))


def test_a_backup_that_sync_creates_again_is_the_same_and_a_reused_name_is_another():
    started = ids.started_backup_id("eu1", "velero", "b", "2026-11-22T07:40:15Z")
    assert started == ids.started_backup_id("eu1", "velero", "b", "2026-11-22T07:40:15Z")
    assert started != ids.started_backup_id("eu1", "velero", "b", "2026-11-23T07:40:15Z")
    assert started != ids.started_backup_id("us1", "velero", "b", "2026-11-22T07:40:15Z")
    assert ids.unstarted_backup_id("eu1", "velero", "b", "u1") != ids.unstarted_backup_id("eu1", "velero", "b", "u2")


@pytest.mark.parametrize("name", ["eu1", "a", "a-b", "x" * 63])
def test_a_cluster_id_is_a_dns_label(name):
    assert ids.is_cluster_id(name)


@pytest.mark.parametrize("name", ["", "EU1", "eu.1", "-a", "a-", "x" * 64, "a*", "a>", "a b", "a\n"])
def test_whatever_would_break_a_subject_is_no_cluster_id(name):
    assert not ids.is_cluster_id(name)
    with pytest.raises(subjects.SubjectError):
        subjects.presence(name)


@pytest.mark.parametrize(
    ("subject", "parts"),
    [
        (subjects.command("eu1", "backup", "create", "op-1"), ("cmd", "eu1", "backup", "create", "op-1")),
        (subjects.observed("eu1", "backup", "u-1"), ("evt", "eu1", "backup", "observed", "u-1")),
        (subjects.snapshot("eu1", "backup"), ("evt", "eu1", "backup", "snapshot", None)),
        (subjects.operation("eu1", "accepted", "op-1"), ("evt", "eu1", "operation", "accepted", "op-1")),
        (subjects.presence("eu1"), ("evt", "eu1", "presence", "observed", None)),
        (subjects.inventory("eu1"), ("evt", "eu1", "inventory", "observed", None)),
        (subjects.state("eu1", "backup", "Completed", "v"), ("state", "eu1", "backup", "changed", "v")),
        (subjects.live("eu1", "backup", "v"), ("live", "eu1", "backup", "progressed", "v")),
    ],
)
def test_what_is_built_can_be_read(subject, parts):
    found = subjects.parse(subject)
    assert (found.family, found.cluster, found.noun, found.verb, found.id) == parts
    assert subject.split(".")[2] == "eu1", "permissions count on the cluster being the third token"


@pytest.mark.parametrize("subject", ["", "lw", "lw.cmd.eu1", "x.cmd.eu1.backup.create.1", "lw.evt.eu1.backup"])
def test_anything_else_is_not_ours(subject):
    with pytest.raises(subjects.SubjectError):
        subjects.parse(subject)


@given(st.text())
def test_no_text_escapes_its_token(text):
    try:
        subject = subjects.observed("eu1", "backup", text)
    except subjects.SubjectError:
        return
    assert subject.count(".") == 5
    assert subjects.parse(subject).id == text
