"""What the API server does with writes of Velero's kinds."""

import pytest

from tests.conformance.manifests import of_velero, unique
from tests.conformance.stage import Cluster, refusal
from tests.e2e.real.api import velero_path

BACKUPS = velero_path("backups")


def test_already_exists(writer: Cluster) -> None:
    """A second create of a name is refused with 409 AlreadyExists, and changes nothing."""
    name = unique("again")
    first = writer.rest(name)
    error = refusal(lambda: writer.rest(name, ttl="1h"))

    assert (error.status, error.body["reason"]) == (409, "AlreadyExists")
    assert error.body["message"] == f'backups.velero.io "{name}" already exists'
    assert error.body["details"] == {"name": name, "group": "velero.io", "kind": "backups"}
    assert writer.get("backups", name) == first


def test_not_found(writer: Cluster) -> None:
    """A Backup that is not there is 404 NotFound, to read, to patch and to delete."""
    name = unique("absent")
    calls = (
        lambda: writer.get("backups", name),
        lambda: writer.patch("backups", name, {"metadata": {"labels": {"a": "b"}}}),
        lambda: writer.delete("backups", name),
    )
    for call in calls:
        error = refusal(call)
        assert (error.status, error.body["reason"]) == (404, "NotFound")
        assert error.body["message"] == f'backups.velero.io "{name}" not found'


def test_missing_namespace(writer: Cluster) -> None:
    """Nothing can be created in a namespace that is not there: 404 about the namespace."""
    backup = of_velero("Backup", unique("lost"), metadata={"namespace": "nowhere"}, spec={})
    error = refusal(lambda: writer.api.create(backup))

    assert error.status == 404
    assert error.body["message"] == 'namespaces "nowhere" not found'


def test_empty_phase(writer: Cluster) -> None:
    """A create with an empty phase is refused with 422, for the schema lists the phases."""
    name = unique("empty-phase")
    error = refusal(lambda: writer.create("Backup", name, spec={}, status={"phase": ""}))

    assert (error.status, error.body["reason"]) == (422, "Invalid")
    assert [cause["field"] for cause in error.body["details"]["causes"]] == ["status.phase"]
    assert error.body["details"]["causes"][0]["reason"] == "FieldValueNotSupported"
    assert not writer.exists("backups", name)


def test_wrong_type(writer: Cluster) -> None:
    """A field of the wrong type is refused with 422, which names the field and both types."""
    error = refusal(lambda: writer.create("Backup", unique("typed"), spec={"includedNamespaces": "default"}))

    assert (error.status, error.body["reason"]) == (422, "Invalid")
    cause = error.body["details"]["causes"][0]
    assert (cause["reason"], cause["field"]) == ("FieldValueTypeInvalid", "spec.includedNamespaces")
    assert cause["message"] == ('Invalid value: "string": spec.includedNamespaces in body must be of type array: "string"')


@pytest.mark.parametrize("name", ["Upper", "under_score", "a" * 254, "-dash"], ids=["upper-case", "underscore", "long", "dash"])
def test_bad_name(writer: Cluster, name: str) -> None:
    """A name that is no DNS subdomain is refused with 422."""
    error = refusal(lambda: writer.rest(name))

    assert (error.status, error.body["reason"]) == (422, "Invalid")
    assert {cause["field"] for cause in error.body["details"]["causes"]} == {"metadata.name"}


def test_bad_label(writer: Cluster) -> None:
    """A label value of more than 63 characters is refused with 422."""
    labels = {"team": "a" * 64}
    error = refusal(lambda: writer.create("Backup", unique("label"), metadata={"labels": labels}, spec={}))

    assert (error.status, error.body["reason"]) == (422, "Invalid")
    assert error.body["details"]["causes"][0]["field"] == "metadata.labels"


def test_unknown_fields(writer: Cluster) -> None:
    """Unknown fields are dropped with a warning; with fieldValidation=Strict they are refused with 400."""
    spec = {"includedNamespaces": ["default"], "colour": "green"}
    backup = of_velero("Backup", unique("pruned"), spec=spec, status={"phase": "Completed"})
    answer = writer.api.request("POST", BACKUPS, backup)
    strict = of_velero("Backup", unique("strict"), spec=spec)
    error = refusal(lambda: writer.api.request("POST", BACKUPS, strict, params={"fieldValidation": "Strict"}))

    assert answer.json()["spec"] == {"includedNamespaces": ["default"]}
    assert answer.headers["warning"] == '299 - "unknown field \\"spec.colour\\""'
    assert (error.status, error.body["reason"]) == (400, "BadRequest")
    assert 'unknown field "spec.colour"' in error.body["message"]


def test_nulls(writer: Cluster) -> None:
    """An explicit null is accepted, also strictly: dropped where the schema knows no null, kept where it does."""
    spec = {"includedNamespaces": ["default"], "ttl": None, "hooks": None, "storageLocation": None, "snapshotVolumes": None}
    backup = of_velero("Backup", unique("nulls"), spec=spec, status={"phase": "Completed"})
    stored = writer.api.request("POST", BACKUPS, backup, params={"fieldValidation": "Strict"}).json()

    assert stored["spec"] == {"includedNamespaces": ["default"], "snapshotVolumes": None}


def test_no_status_subresource(writer: Cluster) -> None:
    """There is no /status: 404 to read and to write. A create may carry a status, and a plain patch changes it."""
    name = unique("no-subresource")
    created = writer.rest(name)
    path = f"{velero_path('backups', name)}/status"
    patched = writer.patch("backups", name, {"status": {"phase": "Failed"}})

    assert refusal(lambda: writer.api.get(path)).status == 404
    assert refusal(lambda: writer.api.patch(path, {"status": {}})).status == 404
    assert created["status"] == {"phase": "Completed"}
    assert patched["status"] == {"phase": "Failed"}
    assert patched["metadata"]["generation"] == created["metadata"]["generation"] + 1


def test_merge_patch(writer: Cluster) -> None:
    """A merge patch adds and replaces, removes what is null, and leaves the version alone if it changes nothing."""
    name = unique("merged")
    created = writer.rest(name)
    labelled = writer.patch("backups", name, {"metadata": {"labels": {"a": "1", "b": "2"}}})
    changed = writer.patch("backups", name, {"metadata": {"labels": {"a": None, "b": "3"}}})
    same = writer.patch("backups", name, {"metadata": {"labels": {"b": "3"}}})

    assert labelled["metadata"]["labels"] == {"a": "1", "b": "2"}
    assert changed["metadata"]["labels"] == {"b": "3"}
    assert changed["metadata"]["generation"] == created["metadata"]["generation"]
    assert int(created["metadata"]["resourceVersion"]) < int(changed["metadata"]["resourceVersion"])
    assert same["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]


def test_conflict(writer: Cluster) -> None:
    """A PUT from an older version is refused with 409 Conflict, and one without a version with 422."""
    name = unique("conflict")
    created = writer.rest(name)
    writer.patch("backups", name, {"metadata": {"labels": {"a": "1"}}})
    unversioned = {**created, "metadata": {"name": name, "namespace": "velero"}}
    stale = refusal(lambda: writer.api.request("PUT", velero_path("backups", name), created))
    blind = refusal(lambda: writer.api.request("PUT", velero_path("backups", name), unversioned))

    assert (stale.status, stale.body["reason"]) == (409, "Conflict")
    assert stale.body["message"] == (
        f'Operation cannot be fulfilled on backups.velero.io "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert (blind.status, blind.body["reason"]) == (422, "Invalid")


def test_generated_name(writer: Cluster) -> None:
    """A generateName gets five characters, of those that make no words."""
    prefix = f"{unique('generated')}-"
    backup = of_velero("Backup", "", metadata={"generateName": prefix}, spec={}, status={"phase": "Completed"})
    del backup["metadata"]["name"]
    name = writer.api.create(backup)["metadata"]["name"]

    assert name.startswith(prefix)
    assert len(name) == len(prefix) + 5
    assert set(name.removeprefix(prefix)) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_delete_with_precondition(writer: Cluster) -> None:
    """A delete that names another uid is refused with 409 and deletes nothing; the next object of a name has another uid."""
    name = unique("precondition")
    first = writer.rest(name)
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    error = refusal(lambda: writer.api.request("DELETE", velero_path("backups", name), options))
    assert (error.status, error.body["reason"]) == (409, "Conflict")
    assert writer.get("backups", name) == first

    writer.delete("backups", name)
    assert writer.rest(name)["metadata"]["uid"] != first["metadata"]["uid"]


def test_server_set_fields(writer: Cluster) -> None:
    """What the server sets cannot be chosen: uid, creationTimestamp and generation of a create are replaced."""
    chosen = {"uid": "chosen", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 9}
    created = writer.create("Backup", unique("server-set"), metadata=chosen, spec={}, status={"phase": "Completed"})["metadata"]

    assert created["uid"] != "chosen"
    assert not created["creationTimestamp"].startswith("2001")
    assert created["generation"] == 1
