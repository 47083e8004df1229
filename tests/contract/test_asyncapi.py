"""The published document of all messages equals the code, hangs together, and tells what the broker enforces."""

import re

import jsonschema
import pytest
import yaml

from shared.contracts.catalogue import TYPES
from tests.contract.asyncapi import DOCUMENT, name_of, overlap, subject_of, text
from tests.contract.test_contracts import golden

PUBLISHED = yaml.safe_load(DOCUMENT.read_text())


def refs(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for key, value in node.items():
            if key != "examples":
                yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def resolved(ref):
    assert ref.startswith("#/"), ref
    node = PUBLISHED
    for part in ref[2:].split("/"):
        node = node[part]
    return node


def services(action, kind):
    channel = {"$ref": f"#/channels/{name_of(kind)}"}
    found = (o for o in PUBLISHED["operations"].values() if o["action"] == action and o["channel"] == channel)
    return {operation["tags"][0]["name"] for operation in found}


def test_the_published_document_is_what_the_code_says():
    assert DOCUMENT.read_text() == text(), "the contract has changed: `make schemas`"


def test_it_has_what_asyncapi_3_requires():
    assert re.fullmatch(r"3\.\d+\.\d+", PUBLISHED["asyncapi"])
    assert {"title", "version"} <= PUBLISHED["info"].keys()
    for server in PUBLISHED["servers"].values():
        assert {"host", "protocol"} <= server.keys()
    for channel in PUBLISHED["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == channel.get("parameters", {}).keys()
    for operation in PUBLISHED["operations"].values():
        assert operation["action"] in {"send", "receive"}
        messages = resolved(operation["channel"]["$ref"])["messages"]
        of_channel = {f"{operation['channel']['$ref']}/messages/{name}" for name in messages}
        assert {message["$ref"] for message in operation["messages"]} <= of_channel


def test_every_reference_leads_somewhere():
    found = set(refs(PUBLISHED))
    assert len(found) > 2 * len(TYPES)
    for ref in found:
        assert resolved(ref), ref


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_is_a_message_on_one_channel_whose_address_its_golden_message_has(kind):
    names = [n for n, m in PUBLISHED["components"]["messages"].items() if m["name"] == kind]
    carrying = [
        channel
        for channel in PUBLISHED["channels"].values()
        if {"$ref": f"#/components/messages/{names[0]}"} in channel["messages"].values()
    ]
    assert len(names) == len(carrying) == 1
    subject, _ = golden(kind)
    address = re.sub(r"\\\{\w+\\\}", "[^.]+", re.escape(carrying[0]["address"]))
    assert re.fullmatch(address, subject)


@pytest.mark.parametrize("kind", TYPES)
def test_the_example_of_a_message_fits_its_payload_and_a_wrong_one_does_not(kind):
    message = PUBLISHED["components"]["messages"][name_of(kind)]
    validator = jsonschema.Draft202012Validator({**message["payload"], "components": PUBLISHED["components"]})
    (example,) = message["examples"]
    validator.validate(example["payload"])
    assert not validator.is_valid({**example["payload"], "type": "dev.leeward.other.thing.v1"})
    assert not validator.is_valid({key: value for key, value in example["payload"].items() if key != "data"})


@pytest.mark.parametrize("kind", TYPES)
def test_who_sends_and_receives_a_message_is_who_may(kind):
    family = subject_of(kind).split(".")[1]
    clock = {"scheduler"} if kind == "dev.leeward.schedule.trigger.v1" else set()
    assert (services("send", kind), services("receive", kind)) == {
        "cmd": ({"gateway"} | clock, {"executor", "status"}),
        "hint": ({"gateway", "scheduler"}, {"scheduler", "status"}),
        "evt": ({"executor"}, {"status"}),
        "state": ({"status"}, {"gateway"}),
        "live": ({"status"}, {"gateway"}),
        "hub": ({"gateway"}, {"executor"}),
        "dlq": ({"gateway", "executor", "status"}, set()),
    }[family]


@pytest.mark.parametrize(
    ("pattern", "subject", "fits"),
    [
        ("lw.evt.>", "lw.evt.x-cluster.presence", True),
        ("lw.cmd.>", "lw.evt.x-cluster.presence", False),
        ("lw.dlq.LW_STATE.feed", "lw.dlq.x-stream.x-consumer", True),
        ("lw.live.>", "lw.live", False),
        ("lw.evt.*", "lw.evt.x-cluster.presence", False),
    ],
)
def test_patterns_meet_as_nats_has_it(pattern, subject, fits):
    assert overlap(pattern, subject) is fits
