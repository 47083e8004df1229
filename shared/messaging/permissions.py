"""Who may say and hear what, as data: one user per service and one per cluster, each with its own subjects and nothing else.

Permissions alone do not hold: NATS checks what a user publishes, never the reply subject it asks to be answered on, and
JetStream answers to whatever it is given. So every user but the administrator lives in an account of its own, named like
it, without JetStream. Each subject it may publish is a service that `HUB` (JetStream and the administrator) offers to this
account; answers come back into the account that asked, where nobody else listens. The rules stand a second time as
permissions of the user, so that a forbidden word is refused aloud and not merely unheard.

What this cannot hold: whoever may create a consumer names where it delivers, inside HUB. That is the gateway alone.

`server_config` writes it in the configuration language of nats-server, so that tests, the embedded stack and production run
under the same rules. Why it is as it is: docs/adr/0010.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shared.messaging.topology import COMMANDS, EPOCHS, EVENTS, LEASES, STATE, STATUS_COMMANDS, STATUS_EVENTS, executor_consumer

GATEWAY, SCHEDULER, STATUS, EXECUTOR, ADMIN = "gateway", "scheduler", "status", "executor", "admin"
HUB = "HUB"
"""The account that has JetStream."""

_RPC_IN_FLIGHT = 1000
_LIVE = "lw.live.>"
_HINTS = "lw.hint.>"
_API, _HUB_API = "$JS.API.", "$HUB.API."
_MANY_ANSWERS = f"{_API}CONSUMER.MSG.NEXT."


def cluster_user(cluster: str) -> str:
    """Return the user name of the agent in a cluster."""
    return f"cluster-{cluster}"


@dataclass(frozen=True, slots=True)
class User:
    """A user of NATS, by what leaves and enters its account; everything else stays inside."""

    name: str
    says: tuple[str, ...]
    """What it may publish into HUB."""
    tells: tuple[str, ...] = ()
    """What it says to whoever hears it, past JetStream: streams of its own account."""
    hears: tuple[str, ...] = ()
    """What others tell."""
    serves: tuple[str, ...] = ()
    """What it may be asked and answer. Each subject by one user only: not every nats-server imports one from two accounts."""
    asks: tuple[str, ...] = ()
    """What others serve."""

    @property
    def account(self) -> str:
        """Return the account it lives in: its own, or HUB for the administrator."""
        return HUB if self.name == ADMIN else self.name

    @property
    def permissions(self) -> dict[str, object]:
        """Return the same rules as nats-server takes them for a user inside its account."""
        publish = [_in_account(subject) for subject in (*self.says, *self.tells, *self.asks)]
        rules: dict[str, object] = {"publish": publish, "subscribe": [f"_INBOX_{self.name}.>", *self.hears, *self.serves]}
        if self.serves:
            rules["allow_responses"] = {"max": _RPC_IN_FLIGHT, "expires": "1m"}
        return rules


def users(clusters: Iterable[str]) -> list[User]:
    """Return every user of an installation that serves these clusters."""
    names = sorted(set(clusters))
    gateway = User(
        GATEWAY,
        says=(
            "lw.cmd.>",
            f"$JS.API.STREAM.MSG.GET.{COMMANDS}",
            f"$JS.API.STREAM.INFO.{COMMANDS}",
            # A cluster registered at run time gets its consumer from here.
            f"$JS.API.CONSUMER.CREATE.{COMMANDS}.*.lw.cmd.>",
            f"$JS.API.STREAM.INFO.{STATE}",
            f"$JS.API.CONSUMER.CREATE.{STATE}.>",
            f"$JS.API.CONSUMER.DELETE.{STATE}.*",
            f"$JS.API.CONSUMER.MSG.NEXT.{STATE}.*",
            f"lw.dlq.{STATE}.feed",
        ),
        tells=(_HINTS,),
        hears=(_LIVE,),
        asks=("lw.rpc.>", "lw.hub.>"),
    )
    scheduler = User(
        SCHEDULER,
        says=(
            "lw.cmd.*.schedule.trigger.*",
            f"$JS.API.STREAM.MSG.GET.{COMMANDS}",
            *_uses_key(LEASES, "scheduler"),
        ),
        tells=(_HINTS,),
        hears=(_HINTS,),
    )
    status = User(
        STATUS,
        says=(
            "lw.state.>",
            *_reads_messages_of(EVENTS, STATUS_EVENTS),
            *_reads_messages_of(COMMANDS, STATUS_COMMANDS),
            *_uses_key(LEASES, "status.sweep"),
        ),
        tells=(_LIVE,),
        hears=(_HINTS,),
    )
    hub = User(
        EXECUTOR,
        says=tuple(dict.fromkeys(rule for name in names for rule in _cluster_says(name))) or ("lw.evt.none",),
        serves=tuple(f"lw.hub.{name}.>" for name in names),
    )
    agents = [User(cluster_user(name), _cluster_says(name), serves=(f"lw.rpc.{name}.>",)) for name in names]
    return [User(ADMIN, says=(">",), hears=(">",)), gateway, scheduler, status, hub, *agents]


def server_config(
    clusters: Iterable[str], passwords: Mapping[str, str], *, host: str, port: int, store: str, monitor_port: int | None = None
) -> str:
    """Write a nats-server configuration with JetStream, every account, and every user's permissions.

    `passwords` maps user names to passwords or bcrypt hashes; a user without one is left out.
    """
    present = [user for user in users(clusters) if user.name in passwords]
    lines = [
        f"listen: {json.dumps(f'{host}:{port}')}",
        f"jetstream {{ store_dir: {json.dumps(store)} }}",
        *([f"http: {json.dumps(f'{host}:{monitor_port}')}"] if monitor_port else []),
        "accounts {",
    ]
    for account in dict.fromkeys(user.account for user in present):
        lines += _account(account, present, passwords)
    return "\n".join([*lines, "}", ""])


def _reads_messages_of(stream: str, consumer: str) -> tuple[str, ...]:
    """Look a consumer up, pull from it, ack; both forms of the ack subject (nats-server 2.14 onwards may send the second).

    `_` stands for a JetStream without a domain; a wildcard there would cover acks of other consumers in the first form.
    """
    return (
        f"$JS.API.CONSUMER.INFO.{stream}.{consumer}",
        f"{_MANY_ANSWERS}{stream}.{consumer}",
        f"$JS.ACK.{stream}.{consumer}.>",
        f"$JS.ACK._.*.{stream}.{consumer}.>",
        f"lw.dlq.{stream}.{consumer}",
    )


def _uses_key(bucket: str, key: str) -> tuple[str, ...]:
    """Read and write one key of a bucket."""
    return (
        f"$JS.API.STREAM.INFO.KV_{bucket}",
        f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{key}",
        f"$KV.{bucket}.{key}",
    )


def _cluster_says(cluster: str) -> tuple[str, ...]:
    return (
        f"lw.evt.{cluster}.>",
        f"$JS.API.DIRECT.GET.{EVENTS}.lw.evt.{cluster}.>",
        *_reads_messages_of(COMMANDS, executor_consumer(cluster)),
        *_uses_key(LEASES, f"executor.{cluster}"),
        *_uses_key(EPOCHS, cluster),
    )


def _account(name: str, present: list[User], passwords: Mapping[str, str]) -> Iterator[str]:
    """Write one account, an entry a line."""
    members = [user for user in present if user.account == name]
    guests = [user for user in present if user.account != HUB]
    entries = [{"user": u.name, "password": passwords[u.name], "permissions": u.permissions} for u in members]
    exports, imports = (_hub_offers(guests), []) if name == HUB else (_offers(members, guests), _takes(members, guests))
    yield f"  {json.dumps(name)}: {{"
    # Every account has `$JS.API.>` from the server, which would answer beside HUB that it has no JetStream: so another name.
    yield "    jetstream: enabled" if name == HUB else f"    mappings: {json.dumps({f'{_API}>': f'{_HUB_API}>'})}"
    for title, items in (("users", entries), ("exports", exports), ("imports", imports)):
        yield f"    {title}: ["
        yield from (f"      {json.dumps(item)}" for item in items)
        yield "    ]"
    yield "  }"


def _hub_offers(guests: list[User]) -> list[dict[str, object]]:
    """Return what HUB exports: each subject to the accounts whose user may say exactly that."""
    subjects = dict.fromkeys(subject for user in guests for subject in user.says)
    return [
        {
            "service": subject,
            "response": "stream" if subject.startswith(_MANY_ANSWERS) else "singleton",
            "accounts": [user.account for user in guests if subject in user.says],
        }
        for subject in subjects
    ]


def _offers(members: list[User], guests: list[User]) -> list[dict[str, object]]:
    """Return what another account exports: what it tells and serves, to those who hear and ask it."""
    offered: list[dict[str, object]] = []
    for user in members:
        offered += [{"stream": told, "accounts": [u.account for u in guests if _covered(told, u.hears)]} for told in user.tells]
        offered += [{"service": own, "accounts": [u.account for u in guests if _covered(own, u.asks)]} for own in user.serves]
    return offered


def _takes(members: list[User], guests: list[User]) -> list[dict[str, object]]:
    """Return what another account than HUB imports: what it says from HUB, what it hears and asks from the others."""
    taken: list[dict[str, object]] = []
    for user in members:
        taken += [{"service": {"account": HUB, "subject": said}, "to": _in_account(said)} for said in user.says]
        for other in guests:
            if other.account == user.account:
                continue  # what it tells itself never leaves the account
            told = [subject for subject in other.tells if _covered(subject, user.hears)]
            served = [subject for subject in other.serves if _covered(subject, user.asks)]
            taken += [{"stream": {"account": other.account, "subject": subject}} for subject in told]
            taken += [{"service": {"account": other.account, "subject": subject}} for subject in served]
    return taken


def _covered(subject: str, rules: Iterable[str]) -> bool:
    return any(subject.startswith(rule.removesuffix(">")) for rule in rules)


def _in_account(subject: str) -> str:
    """Return a subject of HUB as it is called inside any other account."""
    return subject.replace(_API, _HUB_API, 1) if subject.startswith(_API) else subject
