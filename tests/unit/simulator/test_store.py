"""What the API server does with objects, without HTTP."""

import asyncio
from datetime import UTC, datetime

import pytest

from simulator.errors import ApiError
from simulator.store import Store

NOON = datetime(2026, 11, 22, 12, 0, 0, 500, tzinfo=UTC)


@pytest.fixture
def store() -> Store:
    made = Store(now=lambda: NOON, revision=100)
    for name in ("default", "velero", "other"):
        made.create("namespaces", {"metadata": {"name": name}})
    return made


def backup(name="nightly", **metadata):
    return {"metadata": {"name": name, **metadata}, "spec": {"ttl": "1h"}}


def refusal(call, *args, **kwargs) -> ApiError:
    with pytest.raises(ApiError) as refused:
        call(*args, **kwargs)
    return refused.value


def causes(error: ApiError) -> list[tuple[str, str]]:
    return [(cause["field"], cause["reason"]) for cause in (error.details or {})["causes"]]


# Creating


def test_a_created_object_carries_what_only_the_server_writes(store):
    created = store.create("backups", backup(uid="mine", generation=7, creationTimestamp="2001-01-01T00:00:00Z"), "velero")
    metadata = created["metadata"]
    assert (created["apiVersion"], created["kind"]) == ("velero.io/v1", "Backup")
    assert metadata["creationTimestamp"] == "2026-11-22T12:00:00Z"
    assert metadata["generation"] == 1
    assert metadata["uid"] != "mine"
    assert metadata["resourceVersion"] == str(store.revision)


def test_a_created_object_may_carry_status(store):
    assert store.create("backups", backup() | {"status": {"phase": "New"}}, "velero")["status"] == {"phase": "New"}


def test_a_taken_name_is_refused(store):
    store.create("backups", backup(), "velero")
    error = refusal(store.create, "backups", backup(), "velero")
    assert (error.code, error.reason, error.message) == (409, "AlreadyExists", 'backups.velero.io "nightly" already exists')
    assert error.details == {"name": "nightly", "group": "velero.io", "kind": "backups"}


def test_the_same_name_in_another_namespace_is_another_object(store):
    store.create("backups", backup(), "velero")
    store.create("backups", backup(), "other")
    assert [item["metadata"]["namespace"] for item in store.list("backups")] == ["other", "velero"]
    assert len(store.list("backups", "velero")) == 1


def test_a_generated_name_has_five_random_letters(store):
    names = {store.create("backups", {"metadata": {"generateName": "b-"}}, "velero")["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("b-") and len(name) == 7 for name in names)


def test_a_generated_name_is_at_most_63_characters_long(store):
    created = store.create("backups", {"metadata": {"generateName": "x" * 70}}, "velero")
    assert len(created["metadata"]["name"]) == 63


def test_an_object_needs_a_namespace_that_exists(store):
    error = refusal(store.create, "backups", backup(), "nowhere")
    assert (error.code, error.message) == (404, 'namespaces "nowhere" not found')


def test_an_object_of_another_namespace_is_refused(store):
    error = refusal(store.create, "backups", backup(namespace="default"), "velero")
    assert (error.code, error.reason) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("document", "code"),
    [({"kind": "Restore", **backup()}, 422), ({"apiVersion": "velero.io/v2", **backup()}, 400)],
)
def test_an_object_of_another_type_is_refused(store, document, code):
    assert refusal(store.create, "backups", document, "velero").code == code


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"name": "Bad_Name"}, "metadata.name"),
        ({"name": "x" * 254}, "metadata.name"),
        ({}, "metadata.name"),
        ({"name": "a", "labels": {"a b": "x"}}, "metadata.labels"),
        ({"name": "a", "labels": {"a": "bad value!"}}, "metadata.labels"),
        ({"name": "a", "labels": {"a": "x" * 64}}, "metadata.labels"),
        ({"name": "a", "annotations": {"/x": ""}}, "metadata.annotations"),
        ({"name": "a", "annotations": {"x": "y" * 300_000}}, "metadata.annotations"),
        ({"name": "a", "finalizers": ["x y"]}, "metadata.finalizers"),
        ({"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}, "metadata.ownerReferences.uid"),
    ],
)
def test_malformed_metadata_is_refused_by_field(store, metadata, field):
    error = refusal(store.create, "backups", {"metadata": metadata}, "velero")
    assert (error.code, error.reason) == (422, "Invalid")
    assert [name for name, _ in causes(error)] == [field]


def test_names_may_be_253_characters_long_and_have_dots(store):
    name = "a." * 126 + "b"
    assert store.create("backups", backup(name), "velero")["metadata"]["name"] == name


def test_namespace_names_have_no_dots(store):
    assert refusal(store.create, "namespaces", {"metadata": {"name": "a.b"}}).message.endswith("must not contain dots")


def test_metadata_of_a_wrong_type_is_not_an_object_of_the_kind(store):
    error = refusal(store.create, "backups", backup(labels={"a": 1}), "velero")
    assert error.code == 400
    assert error.message == (
        'Backup in version "v1" cannot be handled as a Backup: '
        "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
    )


def test_the_schema_is_enforced(store):
    error = refusal(store.create, "backups", {**backup(), "spec": {"ttl": 1}, "status": {"phase": ""}}, "velero")
    assert error.code == 422
    assert sorted(causes(error)) == [("spec.ttl", "FieldValueTypeInvalid"), ("status.phase", "FieldValueNotSupported")]


def test_unknown_fields_are_dropped_and_told(store):
    unknown: list[str] = []
    document = {**backup(odd=1), "spec": {"foo": 1, "hooks": {"bar": 2}}}
    created = store.create("backups", document, "velero", unknown=unknown)
    assert created["spec"] == {"hooks": {}}
    assert unknown == ["metadata.odd", "spec.foo", "spec.hooks.bar"]


def test_unknown_fields_are_refused_where_the_client_is_strict(store):
    error = refusal(store.create, "backups", {**backup(), "spec": {"foo": 1}, "bar": 2}, "velero", strict=True)
    assert error.code == 400
    assert error.message.endswith('strict decoding error: unknown field "bar", unknown field "spec.foo"')


def test_nulls_are_dropped_or_kept_as_on_a_real_server(store):
    spec = {"ttl": None, "hooks": None, "snapshotVolumes": None, "orderedResources": {"a": None, "b": "c"}}
    created = store.create("backups", {**backup(), "spec": spec}, "velero", strict=True)
    assert created["spec"] == {"snapshotVolumes": None, "orderedResources": {"b": "c"}}


def test_a_client_cannot_choose_the_version_of_a_new_object(store):
    assert refusal(store.create, "backups", backup(resourceVersion="5"), "velero").code == 500


def test_a_secret_is_stored_in_base64(store):
    created = store.create("secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}}, "velero")
    assert (created["data"], created["type"], "stringData" in created) == ({"a": "Yg==", "c": "ZA=="}, "Opaque", False)


def test_what_a_caller_does_with_its_copy_does_not_reach_the_store(store):
    document = backup()
    created = store.create("backups", document, "velero")
    document["spec"]["ttl"] = created["spec"]["ttl"] = store.list("backups")[0]["spec"]["ttl"] = "9h"
    assert store.get("backups", "nightly", "velero")["spec"]["ttl"] == "1h"


# Changing


def test_every_write_of_any_kind_counts_one_version(store):
    start = store.revision
    store.create("backups", backup(), "velero")
    store.create("configmaps", {"metadata": {"name": "c"}}, "default")
    store.delete("backups", "nightly", "velero")
    assert store.revision == start + 3


def test_a_patch_merges_and_counts_a_generation(store):
    store.create("backups", backup(labels={"a": "1", "b": "2"}), "velero")
    patched = store.patch("backups", "nightly", {"metadata": {"labels": {"a": None}}, "status": {"phase": "New"}}, "velero")
    assert patched["metadata"]["labels"] == {"b": "2"}
    assert patched["spec"] == {"ttl": "1h"}
    assert patched["metadata"]["generation"] == 2


def test_a_change_of_metadata_is_no_new_generation(store):
    store.create("backups", backup(), "velero")
    assert store.patch("backups", "nightly", {"metadata": {"labels": {"a": "b"}}}, "velero")["metadata"]["generation"] == 1


def test_a_patch_that_changes_nothing_is_no_write(store):
    created = store.create("backups", backup(), "velero")
    patch = {"spec": {"ttl": "1h", "unknown": 1}, "metadata": {"generation": 99, "creationTimestamp": None}}
    assert store.patch("backups", "nightly", patch, "velero") == created


@pytest.mark.parametrize("metadata", [{"resourceVersion": "1"}, {"resourceVersion": "1", "labels": {"a": "b"}}])
def test_a_patch_of_another_version_conflicts(store, metadata):
    store.create("backups", backup(), "velero")
    error = refusal(store.patch, "backups", "nightly", {"metadata": metadata}, "velero")
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message.startswith('Operation cannot be fulfilled on backups.velero.io "nightly": the object has been mod')


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"uid": "x"}, 422),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, 422),
        ({"name": "x"}, 400),
        ({"namespace": "x"}, 400),
    ],
)
def test_some_metadata_cannot_be_changed(store, metadata, code):
    store.create("backups", backup(), "velero")
    assert refusal(store.patch, "backups", "nightly", {"metadata": metadata}, "velero").code == code


def test_a_replacement_names_its_version(store):
    created = store.create("backups", backup(), "velero")
    assert refusal(store.replace, "backups", "nightly", backup(), "velero").code == 422
    replaced = store.replace("backups", "nightly", {**created, "spec": {}}, "velero")
    assert replaced["spec"] == {}
    assert refusal(store.replace, "backups", "nightly", created, "velero").code == 409


def test_a_built_in_object_may_be_replaced_unconditionally(store):
    store.create("configmaps", {"metadata": {"name": "c"}, "data": {"a": "1"}}, "velero")
    assert store.replace("configmaps", "c", {"metadata": {"name": "c"}}, "velero").get("data") is None


def test_the_status_of_a_pod_is_written_apart(store):
    store.create("pods", {"metadata": {"name": "p"}, "status": {"phase": "Running"}}, "velero")
    assert store.get("pods", "p", "velero")["status"] == {"phase": "Pending"}
    store.patch("pods", "p", {"status": {"phase": "Running"}}, "velero")
    assert store.get("pods", "p", "velero")["status"] == {"phase": "Pending"}
    store.patch("pods", "p", {"spec": {"nodeName": "n"}, "status": {"phase": "Running"}}, "velero", subresource="status")
    running = store.get("pods", "p", "velero")
    assert (running["status"], running.get("spec")) == ({"phase": "Running"}, None)


# Deleting


def test_a_delete_meets_its_preconditions_or_fails(store):
    created = store.create("backups", backup(), "velero")["metadata"]
    assert refusal(store.delete, "backups", "nightly", "velero", uid="x").code == 409
    assert refusal(store.delete, "backups", "nightly", "velero", resource_version="1").code == 409
    assert store.delete("backups", "nightly", "velero", uid=created["uid"], resource_version=created["resourceVersion"]).gone
    assert refusal(store.delete, "backups", "nightly", "velero").code == 404


def test_finalizers_hold_an_object_until_they_are_gone(store):
    store.create("backups", backup(finalizers=["x.io/a", "x.io/b"]), "velero")
    marked = store.delete("backups", "nightly", "velero")
    assert not marked.gone
    assert marked.object["metadata"]["deletionTimestamp"] == "2026-11-22T12:00:00Z"
    assert marked.object["metadata"]["generation"] == 2
    assert store.delete("backups", "nightly", "velero").object == marked.object
    store.patch("backups", "nightly", {"metadata": {"finalizers": ["x.io/a"]}}, "velero")
    assert store.find("backups", "nightly", "velero") is not None
    store.patch("backups", "nightly", {"metadata": {"finalizers": None}}, "velero")
    assert store.find("backups", "nightly", "velero") is None


def test_an_object_that_is_being_deleted_takes_no_further_finalizers(store):
    store.create("backups", backup(finalizers=["x.io/a"]), "velero")
    store.delete("backups", "nightly", "velero")
    error = refusal(store.patch, "backups", "nightly", {"metadata": {"finalizers": ["x.io/a", "x.io/b"]}}, "velero")
    assert causes(error) == [("metadata.finalizers", "FieldValueForbidden")]


def test_a_namespace_goes_with_its_content(store):
    store.create("backups", backup(), "other")
    store.create("configmaps", {"metadata": {"name": "c"}}, "other")
    assert store.delete("namespaces", "other").object["status"] == {"phase": "Terminating"}
    assert store.find("namespaces", "other") is None
    assert store.list("backups") == []


def test_a_namespace_waits_for_finalizers_and_takes_nothing_new(store):
    store.create("backups", backup(finalizers=["x.io/a"]), "other")
    store.delete("namespaces", "other")
    error = refusal(store.create, "backups", backup("second"), "other")
    assert (error.code, causes(error)) == (403, [("metadata.namespace", "NamespaceTerminating")])
    store.patch("backups", "nightly", {"metadata": {"finalizers": None}}, "other")
    assert store.find("namespaces", "other") is None


def test_namespaces_of_the_system_stay(store):
    assert refusal(store.delete, "namespaces", "default").code == 403


# Listing


def test_pages_show_the_list_as_it_was_at_the_first_one(store):
    for name in ("a", "b", "c"):
        store.create("backups", backup(name), "velero")
    first = store.page("backups", limit=2)
    assert first.remaining == 1
    store.delete("backups", "c", "velero")
    store.create("backups", backup("bb"), "velero")
    store.patch("backups", "a", {"spec": {"ttl": "2h"}}, "velero")
    second = store.page("backups", limit=2, after=first.start, revision=first.revision)
    assert [item["metadata"]["name"] for item in second.items] == ["c"]
    assert (second.revision, second.start) == (first.revision, None)


def test_a_page_of_an_expired_version_is_refused(store):
    store.create("backups", backup(), "velero")
    revision = store.revision - 1
    store.compact()
    error = refusal(store.page, "backups", revision=revision)
    assert (error.code, error.reason) == (410, "Expired")


def test_a_list_at_a_version_to_come_is_refused(store):
    error = refusal(store.page, "backups", revision=store.revision + 1)
    assert (error.code, error.retry_after) == (504, 1)


# Watching


def seen(watch):
    return [(event.type, event.object["metadata"]["name"]) for event in watch.take()]


def test_a_watch_without_a_version_begins_with_what_exists(store):
    store.create("backups", backup(), "velero")
    watch = store.watch("backups")
    store.create("backups", backup("second"), "velero")
    assert seen(watch) == [("ADDED", "nightly"), ("ADDED", "second")]


def test_a_watch_replays_the_changes_since_its_version(store):
    store.create("backups", backup(), "velero")
    since = store.revision
    store.patch("backups", "nightly", {"spec": {"ttl": "2h"}}, "velero")
    store.delete("backups", "nightly", "velero")
    store.create("restores", {"metadata": {"name": "r"}}, "velero")
    assert seen(store.watch("backups", since=since)) == [("MODIFIED", "nightly"), ("DELETED", "nightly")]


def test_a_deleted_object_is_shown_as_it_was_with_the_version_of_its_end(store):
    watch = store.watch("backups")
    store.create("backups", backup(), "velero")
    store.delete("backups", "nightly", "velero")
    last = watch.take()[-1].object
    assert (last["spec"], last["metadata"]["resourceVersion"]) == ({"ttl": "1h"}, str(store.revision))


def test_a_selection_sees_objects_enter_and_leave(store):
    watch = store.watch("backups", "velero", labels="tier=gold")
    store.create("backups", backup(), "velero")
    store.create("backups", backup(labels={"tier": "gold"}), "other")
    for tier in ("gold", "gold", "lead", None, "gold"):
        store.patch("backups", "nightly", {"metadata": {"labels": {"tier": tier}, "annotations": {"n": str(tier)}}}, "velero")
    store.patch("backups", "nightly", {"spec": {"ttl": "2h"}}, "velero")
    store.delete("backups", "nightly", "velero")
    assert [kind for kind, _ in seen(watch)] == ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"]


def test_an_object_that_leaves_a_selection_is_shown_as_it_was_selected(store):
    store.create("backups", backup(labels={"tier": "gold"}), "velero")
    watch = store.watch("backups", labels="tier=gold", since=store.revision)
    store.patch("backups", "nightly", {"metadata": {"labels": {"tier": "lead"}}}, "velero")
    [event] = watch.take()
    assert (event.type, event.object["metadata"]["labels"]) == ("DELETED", {"tier": "gold"})
    assert event.object["metadata"]["resourceVersion"] == str(store.revision)


def test_a_version_that_was_compacted_is_expired(store):
    since = store.revision - 1
    store.compact()
    error = refusal(store.watch, "backups", since=since)
    assert (error.code, error.reason) == (410, "Expired")
    assert error.message == f"too old resource version: {since} ({store.revision})"
    assert seen(store.watch("backups", since=store.revision)) == []


def test_an_open_watch_survives_a_compaction(store):
    watch = store.watch("backups", since=store.revision)
    store.create("backups", backup("a"), "velero")
    store.compact()
    store.create("backups", backup("b"), "velero")
    assert seen(watch) == [("ADDED", "a"), ("ADDED", "b")]


def test_only_so_much_history_is_kept_of_each_kind():
    store = Store(history=5)
    store.create("namespaces", {"metadata": {"name": "velero"}})
    restores = store.revision
    for number in range(30):
        store.create("backups", backup(f"b{number}"), "velero")
        at_least = min(5, number + 1)
        assert len(seen(store.watch("backups", since=store.revision - at_least))) == at_least
    assert refusal(store.watch, "backups", since=store.revision - 15).code == 410
    assert seen(store.watch("restores", since=restores)) == []


def test_a_restore_takes_objects_away_without_an_event_and_the_version_falls(store):
    store.create("backups", backup("kept"), "velero")
    snapshot = store.snapshot()
    store.create("backups", backup("lost"), "velero")
    store.delete("backups", "kept", "velero")
    watch = store.watch("backups", since=store.revision)
    store.restore(snapshot)
    assert [item["metadata"]["name"] for item in store.list("backups")] == ["kept"]
    assert store.revision == snapshot.revision
    assert refusal(watch.take).code == 410


def test_a_watch_from_a_version_to_come_is_silent_until_the_counter_is_past_it(store):
    watch = store.watch("backups", since=store.revision + 2)
    for name in ("a", "b", "c"):
        store.create("backups", backup(name), "velero")
    assert seen(watch) == [("ADDED", "c")]


async def test_a_watch_is_an_asynchronous_iterator_that_close_ends(store):
    watch = store.watch("backups")
    names = []

    async def read():
        async for event in watch:
            names.append(event.object["metadata"]["name"])
            if len(names) == 2:
                watch.close()

    reader = asyncio.create_task(read())
    store.create("backups", backup("a"), "velero")
    await asyncio.sleep(0)
    store.create("backups", backup("b"), "velero")
    await asyncio.wait_for(reader, 60)
    assert names == ["a", "b"]


async def test_a_reader_that_waits_learns_of_a_restore(store):
    watch = store.watch("backups", since=store.revision)
    reader = asyncio.create_task(anext(watch))
    await asyncio.sleep(0)
    store.restore(store.snapshot())
    with pytest.raises(ApiError) as refused:
        await asyncio.wait_for(reader, 60)
    assert refused.value.code == 410
