from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import reading
from services.gateway.clusters.environments import environment
from services.gateway.reading import UnreadableError
from shared.contracts.backupspec import LabelRequirement, LabelSelector
from shared.contracts.documents import to_document
from shared.contracts.events import SealingKey
from shared.contracts.locationspec import spec_digest
from shared.contracts.views import BackupItem, LocationItem
from tests.support.gateway import NOW, backup_document, backup_item, cluster_document


def test_labels_come_back_as_a_map():
    document = backup_document(backup_item("b", labels={"app.kubernetes.io/name": "shop"}))
    assert reading.view(BackupItem, document["item"]).labels == {"app.kubernetes.io/name": "shop"}


@pytest.mark.parametrize("odd", [None, 3, "x", [], {}, {"id": "b"}, {"labels": [{"x": 1}]}, {"labels": 3}])
def test_an_odd_document_is_unreadable_and_nothing_worse(odd):
    with pytest.raises(UnreadableError):
        reading.view(BackupItem, odd)


def test_fields_of_a_newer_version_are_skipped():
    document = backup_document(backup_item("b"))
    assert reading.view(BackupItem, {**document["item"], "colour": "red"}).name == "b"


def test_a_detail_that_cannot_be_read_leaves_what_the_list_shows_and_says_so():
    document = backup_document(backup_item("b"), detail={"validationErrors": 3})
    detail = reading.backup_detail(document, [])
    assert (detail.name, detail.validation_errors) == ("b", [])
    assert "validationErrors" in detail.unreadable


def test_odd_transitions_are_left_out():
    document = backup_document(backup_item("b"))
    good = {"_id": 1, "kind": "Status", "backupId": "b", "to": "Completed", "at": NOW}
    detail = reading.backup_detail(document, [good, {"_id": 2}, {**good, "kind": "Mood"}])
    assert [t.to for t in detail.transitions] == ["Completed"]
    assert detail.as_of == NOW


def test_the_history_of_a_backup_is_never_behind_its_status():
    """Status writes the row first and its history right after: whoever reads in between is told both from the row."""
    document = backup_document(backup_item("b", status="Completed", phase="Completed"))
    document["unannounced"] = [{"seq": 2, "from": "Creating", "to": "Completed", "at": NOW, "item": {}}]
    before = [
        {"_id": 1, "kind": "Status", "to": "Creating", "at": NOW - timedelta(seconds=3)},
        {"_id": 2, "kind": "Phase", "to": "InProgress", "at": NOW - timedelta(seconds=2)},
    ]
    expected = [("Status", "Creating"), ("Phase", "InProgress"), ("Phase", "Completed"), ("Status", "Completed")]
    told = [(t.kind, t.to) for t in reading.backup_detail(document, before).transitions]
    assert sorted(told) == sorted(expected)
    assert told[:2] == expected[:2]
    written = [*before, *({"_id": n, "kind": kind, "to": "Completed", "at": NOW} for n, kind in enumerate(("Phase", "Status")))]
    assert [(t.kind, t.to) for t in reading.backup_detail(document, written).transitions] == expected


def test_a_cluster_is_what_was_registered_joined_with_what_reports():
    registration = {"_id": "eu1", "displayName": "Europe", "version": 3, "createdBy": "anna", "createdAt": NOW}
    both = reading.cluster("eu1", registration, cluster_document("eu1"))
    assert (both.status, both.display_name, both.version, both.last_seen_at) == ("Online", "Europe", 3, NOW)
    silent = reading.cluster("eu1", registration, None)
    assert (silent.status, silent.last_seen_at) == ("NeverSeen", None)
    stranger = reading.cluster("eu1", None, cluster_document("eu1"))
    assert (stranger.status, stranger.last_seen_at, stranger.version) == ("Unregistered", NOW, None)


def test_odd_inventory_entries_are_left_out():
    state = {"namespaces": [{"name": "a", "labels": [{"k": "environment", "v": "prod"}]}, 3, {}], "kinds": 7}
    assert {n.name: n.environment for n in reading.namespaces(state, reading.settings({})).values()} == {"a": "Production"}
    assert reading.kinds(state) == {}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"environment": "production"}, "Production"),
        ({"environment": "prod"}, "Production"),
        ({"environment": "test"}, "NonProduction"),
        ({"environment": ""}, "NonProduction"),
        ({}, None),
        ({"env": "prod"}, None),
    ],
)
def test_environments_as_they_are_unless_a_cluster_says_otherwise(labels, expected):
    assert environment(labels, None, None) == expected


def test_a_clusters_own_selectors_decide():
    production = LabelSelector(
        match_labels={"tier": "1"}, match_expressions=[LabelRequirement(key="old", operator="DoesNotExist")]
    )
    other = LabelSelector(match_expressions=[LabelRequirement(key="tier", operator="NotIn", values=["1"])])
    assert environment({"tier": "1"}, production, other) == "Production"
    assert environment({"tier": "1", "old": ""}, production, other) is None
    assert environment({}, production, other) == "NonProduction"


@pytest.mark.parametrize(
    "odd", [None, {}, {"inventory": 3}, {"inventory": {"sealingKey": None}}, {"inventory": {"sealingKey": {}}}]
)
def test_a_cluster_that_has_told_no_key_has_none(odd):
    assert reading.sealing_key(odd) is None


@given(st.binary(max_size=40))
def test_a_key_is_read_as_it_was_told(public):
    key = SealingKey(id="k", key=public)
    assert reading.sealing_key({"inventory": to_document({"sealingKey": key})}) == key
    assert reading.sealing_key({"inventory": {"sealingKey": key.wire()}}) == key


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
SPECS = st.fixed_dictionaries(
    {"provider": TEXT, "objectStorage": st.fixed_dictionaries({"bucket": TEXT}, optional={"prefix": TEXT})},
    optional={
        "config": st.dictionaries(TEXT, TEXT, max_size=4),
        "default": st.booleans(),
        "credential": st.just({"name": "a"}),
    },
)


@given(SPECS)
def test_the_spec_of_a_location_has_one_digest_in_the_cluster_and_in_its_row(spec):
    """The ETag is made of the row, and compared in the cluster."""
    item = LocationItem(id="x", name="x", cluster="eu1", namespace="velero", status="Available", spec=spec)
    assert spec_digest(reading.view(LocationItem, to_document(item)).spec) == spec_digest(spec)
