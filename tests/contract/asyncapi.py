"""`make schemas` writes docs/asyncapi.yaml, too: every message, where it goes, and who sends and receives it.

Types come from the catalogue, addresses from subjects.py, streams from the topology, and who sends and receives what from
the permissions: what is drawn here is what the broker enforces.
"""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from shared.contracts import subjects
from shared.contracts.catalogue import TYPES
from shared.contracts.envelope import CONTENT_TYPE, Envelope
from shared.messaging.permissions import EXECUTOR, GATEWAY, SCHEDULER, STATUS, User, users
from shared.messaging.topology import CONSUMERS, STATE, STREAMS, StreamSpec, cluster_consumer
from tests.contract.schemas import lenient

DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
GOLDEN = Path(__file__).parent / "golden"

SERVICES = {
    GATEWAY: "the HTTP API",
    SCHEDULER: "the clock: turns cron into triggers",
    EXECUTOR: "the hands in a cluster; an agent inside a cluster says and hears the same of its own cluster alone",
    STATUS: "the memory: folds what is seen into what people see",
}
PARAMETERS = {
    "cluster": "Id of the cluster: a DNS label.",
    "operationId": "Id of the request that the message belongs to.",
    "uid": "The object's uid: names may contain dots, and never become part of a subject.",
    "status": "The status that is reached, such as `Completed`.",
    "schedule": "Id of the schedule.",
    "id": "Id of the backup, restore, location, operation or cluster in the HTTP API.",
    "stream": "The stream that the message lay in.",
    "consumer": "The consumer that gave it up.",
}
_PLACE = "x-"
"""Marks a token of a subject as a parameter: subjects.py builds no subject with braces in it."""
_DAY = 24 * 3600
_FAMILIES = {"cmd": "command", "hub": "request"}


def place(name: str) -> str:
    return _PLACE + name


_OWN = {
    ("schedule", "hinted"): subjects.hint(place("schedule")),
    ("artifact", "read"): subjects.artifact(place("cluster"), agent=False),
    ("backup", "survey"): subjects.survey(place("cluster"), agent=False),
    ("restore", "look"): subjects.look(place("cluster"), agent=False),
    ("message", "buried"): subjects.dead_letter(place("stream"), place("consumer")),
}
"""Where messages go that no family has others like."""


def subject_of(kind: str) -> str:
    """Where messages of a type go, its parameters as placeholders."""
    noun, verb = kind.split(".")[2:4]
    cluster, operation = place("cluster"), place("operationId")
    if (noun, verb) in _OWN:
        return _OWN[noun, verb]
    match noun, verb:
        case "presence" | "inventory", "observed":
            return getattr(subjects, noun)(cluster)
        case _, "observed":
            return subjects.observed(cluster, noun, place("uid"))
        case _, "snapshot":
            return subjects.snapshot(cluster, noun)
        case _, "changed":
            return subjects.state(cluster, noun, place("status"), place("id"))
        case _, "progressed":
            return subjects.live(cluster, noun, place("id"))
        case "backup" | "restore", ("measured" | "captured"):
            return getattr(subjects, verb)(cluster, place("uid"), noun)
        case "operation", _:
            return subjects.operation(cluster, verb, operation)
        case _:
            return subjects.command(cluster, noun, verb, operation)


def name_of(kind: str) -> str:
    noun, verb = kind.split(".")[2:4]
    return noun + verb.capitalize()


def overlap(one: str, other: str) -> bool:
    """Tell whether some subject fits both patterns; a placeholder stands for any token."""
    left, right = one.split("."), other.split(".")
    for a, b in zip(left, right, strict=False):
        if ">" in {a, b}:
            return True
        if a != b and not {a[:2], b[:2]} & {"*", _PLACE}:
            return False
    return len(left) == len(right)


def stream_of(subject: str) -> StreamSpec | None:
    return next((s for s in STREAMS if any(overlap(p, subject) for p in s.subjects)), None)


def received(user: User) -> Iterator[str]:
    """What a user hears: past JetStream, through the durable consumers that it may pull from, or by following the feed."""
    yield from user.hears
    for spec in (*CONSUMERS, cluster_consumer(place("cluster"))):
        if f"$JS.API.CONSUMER.MSG.NEXT.{spec.stream}.{spec.name}" in user.says:
            yield spec.filter
    if f"$JS.API.CONSUMER.CREATE.{STATE}.>" in user.says:
        yield from next(s.subjects for s in STREAMS if s.name == STATE)


def document() -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Leeward's messages",
            "version": "1",
            "description": (
                "What Leeward's services say to each other over NATS, and the public feed of what changes (`lw.state.>`).\n\n"
                "Every message is a CloudEvent (1.0, structured JSON). The third token of a subject is the cluster, and an "
                "envelope that names another cluster than its subject is refused. Writers add no field that the contract does "
                "not know; readers skip what they do not know. A breaking change is a new type (`.v2`).\n\n"
                "Made from the models by `make schemas`; not written by hand."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "nats": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "NATS with JetStream; each service and each cluster is a user with subjects of its own.",
                "security": [{"$ref": "#/components/securitySchemes/user"}],
            }
        },
        "channels": {name_of(kind): channel(kind) for kind in TYPES},
        "operations": operations(),
        "components": {
            "messages": {name_of(kind): message(kind) for kind in TYPES},
            "schemas": schemas(),
            "securitySchemes": {"user": {"type": "userPassword", "description": "One user per service and per cluster."}},
        },
    }


def channel(kind: str) -> dict[str, Any]:
    subject, model = subject_of(kind), TYPES[kind]
    tokens = [token.removeprefix(_PLACE) for token in subject.split(".") if token.startswith(_PLACE)]
    stream = stream_of(subject)
    kept = "Not stored." if stream is None else f"Stored in `{stream.name}` for {stream.max_age / _DAY:.0f} days."
    if stream and stream.max_msgs_per_subject > 0:
        kept = f"{kept[:-1]}, the newest {stream.max_msgs_per_subject} of a subject."
    return {
        "address": re.sub(rf"\b{_PLACE}(\w+)", r"{\1}", subject),
        "title": ".".join(kind.split(".")[2:4]),
        "description": f"{_first_line(model)}\n\n{kept}",
        "servers": [{"$ref": "#/servers/nats"}],
        "messages": {name_of(kind): {"$ref": f"#/components/messages/{name_of(kind)}"}},
        **({"parameters": {token: {"description": PARAMETERS[token]} for token in tokens}} if tokens else {}),
    }


def message(kind: str) -> dict[str, Any]:
    model, golden = TYPES[kind], json.loads((GOLDEN / f"{kind}.json").read_text())["message"]
    what = _FAMILIES.get(subject_of(kind).split(".")[1], "event")
    return {
        "name": kind,
        "title": ".".join(kind.split(".")[2:4]),
        "summary": _first_line(model),
        "description": inspect.cleandoc(model.__doc__ or ""),
        "contentType": CONTENT_TYPE,
        "tags": [{"name": what}],
        "headers": {
            "type": "object",
            "description": "For the broker only: a reader needs none of them.",
            "properties": {
                "Nats-Msg-Id": {"type": "string", "description": "The CloudEvent's id, by which repetitions are dropped."},
                "content-type": {"type": "string", "const": CONTENT_TYPE},
                "traceparent": {"type": "string", "description": "As in the envelope (W3C Trace Context)."},
            },
        },
        "payload": {"$ref": f"#/components/schemas/{name_of(kind)}"},
        "examples": [{"name": "golden", "summary": "What `tests/contract/golden` keeps readable.", "payload": golden}],
    }


def operations() -> dict[str, Any]:
    """Who sends and who receives what: one operation for each service, direction and channel."""
    found: dict[str, Any] = {}
    for user in users([place("cluster")]):
        if user.name not in SERVICES:
            continue
        ways = {"send": (*user.says, *user.tells, *user.asks), "receive": (*received(user), *user.serves)}
        for action, patterns in ways.items():
            for kind in TYPES:
                if not any(p.startswith("lw.") and overlap(p, subject_of(kind)) for p in patterns):
                    continue
                name = name_of(kind)
                found[f"{user.name}{action.capitalize()}s{name[0].upper()}{name[1:]}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{name}"},
                    "title": f"{user.name} {action}s {'.'.join(kind.split('.')[2:4])}",
                    "tags": [{"name": user.name, "description": SERVICES[user.name]}],
                    "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
                }
    return found


def schemas() -> dict[str, Any]:
    """The envelope, the envelope of every type, and all that they are made of, each once."""
    envelopes = {kind: Envelope[model] for kind, model in TYPES.items()}  # type: ignore[valid-type]
    where, parts = models_json_schema(
        [(e, "validation") for e in envelopes.values()], ref_template="#/components/schemas/{model}"
    )
    defined = parts["$defs"]
    own = {kind: where[envelope, "validation"]["$ref"].rpartition("/")[2] for kind, envelope in envelopes.items()}
    named = {"Envelope": _envelope(defined[next(iter(own.values()))])}
    for kind in TYPES:
        particular = {"type": {"const": kind}, "data": defined[own[kind]]["properties"]["data"]}
        whole = [{"$ref": "#/components/schemas/Envelope"}, {"type": "object", "properties": particular, "required": ["data"]}]
        named[name_of(kind)] = {"title": kind, "allOf": whole}
    shared = {name: schema for name, schema in defined.items() if name not in own.values()}
    return {name: _plain(lenient(schema)) for name, schema in sorted({**named, **shared}.items())}


def _envelope(schema: dict[str, Any]) -> dict[str, Any]:
    """What the envelopes of all types have in common: everything but what is in them."""
    properties = {name: about for name, about in schema["properties"].items() if name != "data"}
    required = [name for name in schema["required"] if name != "data"]
    return {**schema, "title": "Envelope", "properties": properties, "required": required}


def _plain(node: Any) -> Any:
    """Without `discriminator`, which is OpenAPI's: AsyncAPI's means something else, and `oneOf` says it all."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if not (key == "discriminator" and "oneOf" in node)}
    return [_plain(value) for value in node] if isinstance(node, list) else node


def _first_line(model: type) -> str:
    return inspect.cleandoc(model.__doc__ or "").splitlines()[0]


class _Writer(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(writer: yaml.SafeDumper, value: str) -> yaml.Node:
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Writer.add_representer(str, _text)


def text() -> str:
    return yaml.dump(document(), Dumper=_Writer, sort_keys=False, allow_unicode=True, width=128)


if __name__ == "__main__":
    DOCUMENT.write_text(text())
