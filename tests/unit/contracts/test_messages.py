"""Envelopes: strict to write, lenient to read, and never another story than their subject tells."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.backupspec import BackupSpec
from shared.contracts.catalogue import UnreadableError, decode, encode
from shared.contracts.commands import BackupCreate
from shared.contracts.documents import from_document, to_document
from shared.contracts.events import Observed
from shared.contracts.notices import RULES as NOTICES
from shared.contracts.notices import About, notice
from shared.contracts.refusals import RULES, Code, Refusal, refusal
from tests.support.messages import backup_command, envelope

SUBJECT = subjects.command("eu1", "backup", "create", "op1")


def test_what_is_written_can_be_read():
    command = backup_command("op1", scope={"kind": "specific", "namespaces": ["shop"]}, ttl="30d")
    _, found = decode(SUBJECT, encode(command))
    assert found == command
    assert found.data.spec.ttl == "720h"


def test_a_reader_skips_what_it_does_not_know():
    raw = json.loads(encode(backup_command("op1")))
    raw["newattribute"] = 1
    raw["data"]["newField"] = {"a": 1}
    raw["data"]["spec"]["newOption"] = True
    _, found = decode(SUBJECT, json.dumps(raw).encode())
    assert found.data.name == "shop"


def test_a_writer_cannot_add_what_the_contract_does_not_know():
    with pytest.raises(ValidationError):
        BackupCreate(name="x", scope={"kind": "all"}, colour="red")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "dev.leeward.backup.create.v2"}, "unknown type"),
        ({"type": None}, "unknown type"),
        ({"type": "dev.leeward.backup.observed.v1"}, "data"),
        ({"cluster": "us1"}, "cluster 'us1'"),
        ({"operationid": "op2"}, "operation 'op2'"),
        ({"data": None}, "valid dictionary"),
        ({"time": "yesterday"}, "time"),
    ],
)
def test_a_message_that_contradicts_its_subject_is_refused(change, words):
    raw = {**json.loads(encode(backup_command("op1"))), **change}
    with pytest.raises(UnreadableError, match="(?i)" + words if words != "data" else "uid|epoch"):
        decode(SUBJECT, json.dumps(raw).encode())


def test_the_words_of_a_refused_message_do_not_repeat_its_values():
    raw = json.loads(encode(backup_command("op1")))
    raw["data"]["name"] = {"password": "hunter2"}
    with pytest.raises(UnreadableError) as error:
        decode(SUBJECT, json.dumps(raw).encode())
    assert "hunter2" not in str(error.value)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(payload):
    with pytest.raises(UnreadableError):
        decode(SUBJECT, payload)


def test_nulls_inside_a_kubernetes_object_survive_the_wire():
    body = {"metadata": {"name": "b"}, "spec": {"snapshotVolumes": None}}
    data = Observed(epoch=1, uid="u", resource_version=1, namespace="velero", name="b", object=body)
    _, found = decode(subjects.observed("eu1", "backup", "u"), encode(envelope("backup", "observed", data)))
    assert found.data.object == body


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"ttl": "banana"}, ("ttl",)),
        ({"ttl": "-1h"}, ("ttl",)),
        ({"labelSelector": {"matchLabels": {}}}, ("labelSelector",)),
        ({"labelSelector": {}}, ("labelSelector",)),
        ({"orLabelSelectors": [{"matchLabels": {}}]}, ("orLabelSelectors", 0)),
        ({"labelSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, ("labelSelector", "matchExpressions", 0)),
        ({"unknownField": 1}, ("unknownField",)),
        ({"uploaderConfig": {"parallelFilesUpload": 0}}, ("uploaderConfig", "parallelFilesUpload")),
        (
            {"hooks": {"resources": [{"name": "h", "pre": [{"exec": {"command": []}}]}]}},
            ("hooks", "resources", 0, "pre", 0, "exec", "command"),
        ),
        ({"storageLocation": "Not A Name"}, ("storageLocation",)),
        ({"resourcePolicy": {"kind": "secret", "name": "x"}}, ("resourcePolicy", "kind")),
        ({"includedResources": [""]}, ("includedResources", 0)),
    ],
)
def test_a_spec_that_velero_would_misread_is_refused_at_the_field(spec, where):
    with pytest.raises(ValidationError) as error:
        BackupSpec.model_validate(spec)
    assert error.value.errors()[0]["loc"] == where


def test_every_refusal_has_a_rule_and_fills_its_sentence():
    assert set(RULES) == set(Code)
    words = (
        "cluster name names namespaces location locations message provider deadline field kind kinds phase owner owners "
        "since schedule at reason patience users"
    )
    facts = dict.fromkeys(words.split(), "X")
    for code in Code:
        told = refusal(code, **facts)
        assert told.status in {409, 412, 422}
        assert "{" not in told.detail
        assert "{" not in told.pointer
    assert refusal(Code.LOCATION_READ_ONLY, pointer="", location="x").pointer == ""
    assert Refusal(code="FromTheFuture", pointer="", detail="no").status == 422


def test_every_notice_has_a_rule_and_fills_its_sentence():
    assert set(NOTICES) == set(About)
    facts = dict.fromkeys(("cluster", "field", "kinds", "message", "since"), "X")
    for about in About:
        told = notice(about, **facts)
        assert (told.code, "{" in told.detail + told.pointer) == (about, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "a.b", "$x", "kv", "labels", "annotations", "", "matchLabels"]) | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON.filter(lambda v: isinstance(v, dict)))
def test_any_object_survives_the_database_and_no_key_there_has_a_dot(value):
    value = {k: v for k, v in value.items() if k not in {"labels", "annotations", "matchLabels"}} | {"labels": {"a.b/c": "d"}}
    stored = to_document(_well_formed(value))
    assert from_document(stored) == _well_formed(value)
    assert not list(_odd_keys(stored))


def _well_formed(value, name=""):
    """Kubernetes' label maps are maps."""
    if isinstance(value, dict):
        return {k: _well_formed(v, k) for k, v in value.items()}
    if name in {"labels", "annotations", "matchLabels"}:
        return {}
    return [_well_formed(v) for v in value] if isinstance(value, list) else value


def _odd_keys(value):
    if isinstance(value, dict):
        yield from (k for k in value if "." in k or k.startswith("$") or not k)
        for v in value.values():
            yield from _odd_keys(v)
    elif isinstance(value, list):
        for v in value:
            yield from _odd_keys(v)
