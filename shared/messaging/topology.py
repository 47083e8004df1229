"""Streams, buckets and consumers as data, and the one idempotent command that makes them so."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from shared.contracts import subjects
from shared.messaging.connection import available

COMMANDS: Final = "LW_COMMANDS"
EVENTS: Final = "LW_EVENTS"
STATE: Final = "LW_STATE"
DEAD_LETTERS: Final = "LW_DLQ"
LEASES: Final = "lw_leases"
EPOCHS: Final = "lw_epochs"

STATUS_EVENTS: Final = "status"
STATUS_COMMANDS: Final = "status-audit"

_DAY: Final = 24 * 3600.0
_MOST_CONSUMERS: Final = 100_000
"""Of a stream: one a cluster. Where nothing is said, nats-server 2.15 and later stop at 1000."""


def executor_consumer(cluster: str) -> str:
    """Return the name of the consumer through which one cluster gets its commands."""
    return f"executor-{cluster}"


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream: kept by age, never by what was read, because it is the record. Ages in seconds."""

    name: str
    subjects: tuple[str, ...]
    max_age: float
    max_msgs_per_subject: int = -1
    duplicate_window: float = 120.0
    """How long a repeated message id is dropped."""


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """A key-value bucket. `ttl` in seconds; None keeps for ever."""

    name: str
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable pull consumer with explicit acks; `max_deliver` -1 redelivers for ever."""

    stream: str
    name: str
    filter: str
    max_deliver: int = -1


STREAMS: tuple[StreamSpec, ...] = (
    StreamSpec(COMMANDS, ("lw.cmd.>",), 14 * _DAY),
    StreamSpec(EVENTS, ("lw.evt.>",), 30 * _DAY, max_msgs_per_subject=64),
    StreamSpec(STATE, ("lw.state.>",), 90 * _DAY, duplicate_window=_DAY),
    StreamSpec(DEAD_LETTERS, ("lw.dlq.>", "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"), 90 * _DAY),
)

CONSUMERS: tuple[ConsumerSpec, ...] = (
    ConsumerSpec(EVENTS, STATUS_EVENTS, "lw.evt.>", max_deliver=100),
    ConsumerSpec(COMMANDS, STATUS_COMMANDS, "lw.cmd.>", max_deliver=100),
)


@dataclass(frozen=True, slots=True)
class Timing:
    """What depends on how patient an installation is, in seconds. Tests shorten them; production keeps them."""

    ack_wait: float = 30.0
    lease_ttl: float = 15.0
    replicas: int = 1


@dataclass(slots=True)
class Ensured:
    """What `ensure` found and did, by name."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


async def ensure(js: JetStreamContext, clusters: Iterable[str] = (), timing: Timing = Timing()) -> Ensured:
    """Make streams, buckets and consumers what the tables say. Safe to run at any time, any number of times."""
    done = Ensured()
    for stream in STREAMS:
        await _ensure_stream(js, stream, timing, done)
    for bucket in (BucketSpec(LEASES, timing.lease_ttl), BucketSpec(EPOCHS)):
        await _ensure_bucket(js, bucket, timing, done)
    for consumer in (*CONSUMERS, *(cluster_consumer(cluster) for cluster in clusters)):
        known = await _exists(js, consumer)
        await _ensure_consumer(js, consumer, timing)
        (done.unchanged if known else done.created).append(f"{consumer.stream}/{consumer.name}")
    return done


def cluster_consumer(cluster: str) -> ConsumerSpec:
    """Return the consumer through which a cluster gets its commands."""
    return ConsumerSpec(COMMANDS, executor_consumer(cluster), subjects.commands_of(cluster))


async def ensure_cluster(js: JetStreamContext, cluster: str, timing: Timing = Timing()) -> None:
    """Make the consumer of a cluster; it gets the commands published before it existed, too.

    Raises Unavailable when NATS does not answer.
    """
    with available():
        await _ensure_consumer(js, cluster_consumer(cluster), timing)


async def _ensure_stream(js: JetStreamContext, spec: StreamSpec, timing: Timing, done: Ensured) -> None:
    wanted = api.StreamConfig(
        name=spec.name,
        subjects=list(spec.subjects),
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        max_age=spec.max_age,
        max_msgs_per_subject=spec.max_msgs_per_subject,
        num_replicas=timing.replicas,
        max_consumers=_MOST_CONSUMERS,
        duplicate_window=spec.duplicate_window,
        allow_direct=True,
        deny_delete=spec.name in {COMMANDS, EVENTS},
    )
    await _ensure(js, wanted, spec.name, done)


async def _ensure(js: JetStreamContext, wanted: api.StreamConfig, name: str, done: Ensured) -> None:
    """Make a stream what it should be, and note under which name what that took."""
    try:
        found = (await js.stream_info(wanted.name or "")).config
    except NotFoundError:
        await js.add_stream(wanted)
        done.created.append(name)
        return
    asked = {f.name: getattr(wanted, f.name) for f in dataclasses.fields(wanted) if getattr(wanted, f.name) is not None}
    if all(getattr(found, key) == value for key, value in asked.items()):
        done.unchanged.append(name)
    else:
        await js.update_stream(found.evolve(**asked))
        done.updated.append(name)


async def _ensure_bucket(js: JetStreamContext, spec: BucketSpec, timing: Timing, done: Ensured) -> None:
    """Make a bucket by its stream: as the client makes them, but without rollups.

    With them, whoever may write one key could have the broker erase all others (`Nats-Rollup: all`).
    """
    age = spec.ttl or 0.0
    wanted = api.StreamConfig(
        name=f"KV_{spec.name}",
        subjects=[f"$KV.{spec.name}.>"],
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.NEW,
        max_age=age,
        max_msgs_per_subject=1,
        num_replicas=timing.replicas,
        duplicate_window=min(age or 120.0, 120.0),  # which may not be longer than the age
        allow_direct=True,
        allow_rollup_hdrs=False,
        deny_delete=True,
    )
    await _ensure(js, wanted, spec.name, done)


async def _exists(js: JetStreamContext, spec: ConsumerSpec) -> bool:
    try:
        await js.consumer_info(spec.stream, spec.name)
    except NotFoundError:
        return False
    return True


async def _ensure_consumer(js: JetStreamContext, spec: ConsumerSpec, timing: Timing) -> None:
    # Creating a durable consumer that exists with this configuration is a no-op; with another one it is an update.
    await js.add_consumer(
        spec.stream,
        api.ConsumerConfig(
            name=spec.name,
            durable_name=spec.name,
            filter_subject=spec.filter,
            ack_policy=api.AckPolicy.EXPLICIT,
            deliver_policy=api.DeliverPolicy.ALL,
            ack_wait=timing.ack_wait,
            max_ack_pending=256,
            max_deliver=spec.max_deliver,
        ),
    )
