"""Velero's objects may hold anything anywhere; none of it may stop the fold, or hide the object."""

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.status.backups import projection
from services.status.objects import document
from shared.contracts.documents import from_document, to_document
from shared.contracts.events import Observed
from shared.contracts.names import Noun
from shared.contracts.views import BackupDetail, LocationItem, RestoreDetail, SnapshotLocationItem
from tests.support.status_memory import Desk
from tests.support.status_messages import backup, observed, ours

KEYS = ["metadata", "spec", "status", "labels", "annotations", "phase", "storageLocation", "includedNamespaces", "expiration",
        "startTimestamp", "creationTimestamp", "validationErrors", "failureReason", "progress", "errors", "hookStatus",
        "objectStorage", "accessMode", "backupName", "itemsRestored", "matchLabels",
        "leeward.dev/operation-id", "leeward.dev/cluster", "k", "v", "kv", "$x",
        "a.b", "", "\0"]  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=2**62),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["Completed", "Deleting", "2026-11-22T11:59:00Z", "0001-01-01T00:00:00+23:00", "eu1", "\ud800", "a.b"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)),
    max_leaves=25,
)
MODELS = {
    "backup": BackupDetail,
    "restore": RestoreDetail,
    "location": LocationItem,
    "snapshotlocation": SnapshotLocationItem,
}
OBJECT = st.fixed_dictionaries({}, optional=dict.fromkeys(("metadata", "spec", "status"), ANYTHING))


def stored(desk):
    """Everything that would go to the database, written as the database has it and read back."""
    for known in desk.memory.objects.values():
        bson.encode(document(known))
    for row in desk.memory.rows.values():
        bson.encode(row)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(noun=st.sampled_from(list(MODELS)), thing=OBJECT)
async def test_any_object_is_shown_stored_and_announced(noun, thing):
    desk = Desk()
    data = Observed(epoch=1, uid="u1", resource_version=1, namespace="velero", name="odd", object=thing)
    await desk.hear(*observed(data, noun=noun))
    stored(desk)
    ((_, row),) = [(key, row) for key, row in desk.memory.rows.items() if key[0] == noun]
    assert MODELS[noun].read({**from_document(row["item"]), **from_document(row.get("detail") or {})}).name == "odd"
    assert len(desk.speaker.said) == 1


@settings(max_examples=150, deadline=None)
@given(thing=ANYTHING)
def test_any_value_survives_the_way_through_documents(thing):
    from_document(to_document(thing))


async def test_a_deeply_nested_object_fits_into_the_database():
    deep: dict = {}
    for _ in range(300):
        deep = {"a.b": deep}
    desk = Desk()
    await desk.hear(*observed(backup(spec=deep)))
    stored(desk)
    assert _depth(document(next(iter(desk.memory.objects.values())))) < 100


def _depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


async def test_an_unreadable_object_is_shown_with_the_reason():
    desk = Desk()
    bare = {"metadata": {"name": "shop", "labels": ours("op1")}}
    first = backup(rv=1, phase="Completed", labels=ours("op1"))
    await desk.hear(*observed(first))
    await desk.hear(*observed(first.model_copy(update={"resource_version": 2, "object": bare, "unreadable": "too large"})))
    row = desk.memory.rows[Noun.BACKUP, "op1"]
    assert (row["item"]["status"], row["item"]["reason"], row["detail"]["unreadable"]) == (
        "Completed",
        "too large",
        "too large",
    )


async def test_a_view_that_cannot_be_computed_shows_what_can(monkeypatch):
    monkeypatch.setattr(projection, "_progress", lambda shown: 1 / 0 if shown.spec else None)
    desk = Desk()
    await desk.hear(*observed(backup(phase="Completed", labels=ours("op1"))))
    row = desk.memory.rows[Noun.BACKUP, "op1"]
    assert (row["item"]["status"], row["item"]["name"]) == ("Completed", "shop")
    assert "ZeroDivisionError" in row["detail"]["unreadable"]


@pytest.mark.parametrize("label", ["a.b", "x y", "*", "a" * 200, ""])
async def test_a_label_that_is_no_operation_id_makes_no_subject(label):
    desk = Desk()
    await desk.hear(*observed(backup(labels=ours(label))))
    assert len(desk.speaker.said) == 1
