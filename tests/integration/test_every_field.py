"""Every field of a BackupSpec reaches the cluster: nothing is lost, and nothing is changed but what docs/fields.md says."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.contracts.backupspec import DEFAULT_CSI_SNAPSHOT_TIMEOUT, DEFAULT_ITEM_OPERATION_TIMEOUT, DEFAULT_TTL
from shared.contracts.names import OWN_PREFIX
from tests.contract import fields
from tests.contract.fieldtables import ANY, Json
from tests.integration.executor_harness import location, snapshot_location
from tests.support import spec_values
from tests.support.line import Line
from tests.support.servers import MongoServer

pytestmark = pytest.mark.thorough

EXAMPLES = 5
POLICY = "version: v1\nvolumePolicies:\n- conditions: {capacity: '0,100Gi'}\n  action: {type: skip}\n"
FIELDS = [field.velero for field in fields.ALL if field.velero and field.pointer]
DEFAULTS = {
    "ttl": DEFAULT_TTL,
    "itemOperationTimeout": DEFAULT_ITEM_OPERATION_TIMEOUT,
    "csiSnapshotTimeout": DEFAULT_CSI_SNAPSHOT_TIMEOUT,
    "storageLocation": "default",
}
DURATIONS = {field.velero.rpartition(".")[2] for field in fields.ALL if field.velero and field.rule == "duration"}
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, mongo_server: MongoServer) -> Iterator[Line]:
    """A cluster in which everything that a request may name is there."""
    with Line(tmp_path_factory.mktemp("line"), mongo_server, spec_values.NAMESPACES) as running:
        running.api.create(location("archive", default=False))
        running.api.create(snapshot_location("elsewhere", spec_values.SNAPSHOT_LOCATIONS["elsewhere"]))
        for name in spec_values.POLICIES:
            running.api.create(of_velero_namespace("ConfigMap", name, data={"policy.yaml": POLICY}))
        agent = of_velero_namespace("Pod", "node-agent", spec={"containers": []})
        agent["metadata"]["labels"] = {"role": "node-agent"}
        running.api.create(agent)
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        running.api.patch("/api/v1/namespaces/velero/pods/node-agent/status", {"status": status})
        yield running


def of_velero_namespace(kind: str, name: str, **parts: Any) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "velero"}, **parts}


def expected(spec: Json, included: list[str], excluded: list[str]) -> Json:
    """What Velero is told of a spec that was asked for."""
    told = in_velero_words({**DEFAULTS, **spec}) | {
        "includedNamespaces": included,
        "excludedNamespaces": excluded,
        "volumeSnapshotLocations": sorted(spec_values.SNAPSHOT_LOCATIONS),
    }
    return dict(without_empty(told))


def in_velero_words(value: Any, name: str = "") -> Any:
    """Days are told as hours, and there is but one built-in data mover."""
    if isinstance(value, dict):
        return {key: in_velero_words(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [in_velero_words(part) for part in value]
    if name in DURATIONS and (days := re.fullmatch(r"(\d+)d(?:(\d+)h)?", value)):
        return f"{24 * int(days[1]) + int(days[2] or 0)}h"
    return "velero" if name == "datamover" else value


def without_empty(value: Any) -> Any:
    """To Velero, an empty list or object is the same as none."""
    if isinstance(value, dict):
        parts = {key: without_empty(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part not in ([], {}, None)}
    return [without_empty(part) for part in value] if isinstance(value, list) else value


def filled(spec: Json, path: str) -> bool:
    """Tell whether a field has a value somewhere in a spec."""
    values: list[Any] = [spec]
    for step in re.split(r"\.", path):
        below = [value[name] for value in values if (name := step.removesuffix("[]")) in value]
        values = [one for value in below for one in (value if step.endswith("[]") else [value])]
    return bool(values)


@pytest.mark.parametrize("field", FIELDS)
@settings(
    max_examples=EXAMPLES,
    phases=[Phase.generate],
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_a_field_reaches_the_cluster_as_it_was_asked_for(line: Line, field: str, data: st.DataObject) -> None:
    body, included, excluded = data.draw(spec_values.requests(field))
    body["name"] += f"-{next(numbers)}"
    told = expected(body["spec"], included, excluded)
    assert filled(told, field) or field == "excludedNamespaces"

    reply = line.ask(body)

    assert reply.backup is not None, reply.words
    assert without_empty(reply.backup["spec"]) == told
    metadata = reply.backup["metadata"]
    assert metadata["name"] == body["name"]
    assert {key: text for key, text in metadata["labels"].items() if not key.startswith(OWN_PREFIX)} == body["labels"]


RULED = [field for field in fields.ALL if field.rule and field.pointer and not field.pointer.startswith("/scope")]


@pytest.mark.parametrize("field", RULED, ids=[field.pointer.replace("/", ".") for field in RULED])
@settings(max_examples=1, phases=[Phase.generate], database=None, derandomize=True)
@given(data=st.data())
def test_what_a_rule_does_not_take_is_refused_by_its_name(line: Line, field: fields.Field, data: st.DataObject) -> None:
    body, _, _ = data.draw(spec_values.requests(field.velero))
    spoil(body, field.pointer, fields.RULES[field.rule].refused)
    before = line.names()

    reply = line.ask({**body, "name": f"spoilt-{next(numbers)}"})

    place = re.compile(field.pointer.replace(ANY, "0") + "(/.*)?")
    assert reply.backup is None
    assert any(place.fullmatch(pointer) for pointer in reply.fields), reply.words
    assert line.names() == before


def spoil(body: Json, pointer: str, value: Any) -> None:
    """Put a value into a place of a body, in the form that the place has."""
    *way, last = pointer.split("/")[1:]
    place: Any = body
    for step in way:
        place = place[0 if step == ANY else step]
    before = place.get(last)
    if isinstance(before, dict):
        value = dict.fromkeys(before or ["a"], value)
    elif isinstance(before, list) and not isinstance(value, list):
        value = [value]
    place[last] = value
