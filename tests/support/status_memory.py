"""The status service without servers: a memory in dicts, a publisher that keeps what was said, and a clock that stands."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from services.status.captures import whole_captures
from services.status.clusters.replicas import Estate, place, sharing
from services.status.objects import Record, joined
from services.status.ports import Applied, Listening, Maker, Ports, verdict
from services.status.rows import Limits
from services.status.schedules.grounds import Ground, ground
from services.status.schedules.projection import Decided, Made
from shared.contracts.documents import from_document
from shared.contracts.names import Noun
from shared.contracts.schedules import Decision, Tick
from shared.contracts.subjects import Subject, parse
from shared.contracts.views import BackupRef
from shared.messaging.consumer import Delivery
from tests.support.messages import NOW


@dataclass
class Memory:
    """What Remembers promises, over dicts."""

    objects: dict[str, Record] = field(default_factory=dict)
    pages: dict[str, dict] = field(default_factory=dict)
    rows: dict[tuple[Noun, str], dict] = field(default_factory=dict)
    transitions: dict[str, dict] = field(default_factory=dict)
    captures: dict[str, dict] = field(default_factory=dict)
    registered: set[str] = field(default_factory=set)
    schedules: dict[str, dict] = field(default_factory=dict)
    ticks: list[Tick] = field(default_factory=list)
    forgotten: Counter = field(default_factory=Counter)

    async def apply(self, seen: Record) -> Applied:
        known = self.objects.get(seen.id)
        self.objects[seen.id] = joined(known, seen)
        return Applied(verdict(known, seen), known, self.objects[seen.id])

    def _gone(self, key: str, at: datetime) -> None:
        known = self.objects[key]
        if known.gone_at is None or known.gone_at > at:
            self.objects[key] = replace(known, gone_at=at)

    async def settle(self, seen: Record) -> None:
        known = self.objects[seen.id]
        found = [page["at"] for page in self.pages.values() if _misses(page, seen)]
        if found and (known.epoch, known.rv) == (seen.epoch, seen.rv):
            self._gone(seen.id, min(found))

    async def keep_page(self, page) -> None:
        known = self.pages.setdefault(page["_id"], dict(page))
        known["at"] = min(known["at"], page["at"])

    async def miss(self, page) -> set[str]:
        missing = [key for key, known in self.objects.items() if _misses(page, known)]
        for key in missing:
            self._gone(key, page["at"])
        return {self.objects[key].identity for key in missing if self.objects[key].gone_at == page["at"]}

    async def records(self, identity: str) -> list[Record]:
        return [known for known in self.objects.values() if known.identity == identity]

    async def stalled(self, cluster: str, before: datetime) -> str | None:
        waiting = [
            known
            for known in self.objects.values()
            if (known.cluster, known.noun, known.phase, known.gone_at, known.unreadable)
            == (cluster, "backup", None, None, None)
            and known.created_at
            and known.created_at <= before
        ]
        first = min(waiting, key=lambda known: known.created_at, default=None)
        return f"{first.namespace}/{first.name}" if first else None

    async def identity(self, cluster: str, noun: str, uid: str) -> str | None:
        known = self.objects.get(f"{cluster}/{noun}/{uid}")
        return known.identity if known else None

    async def silence(self, cluster: str) -> str | None:
        return self.rows.get((Noun.CLUSTER, cluster), {}).get("silence")

    async def unaware(self, noun: Noun, cluster: str, silence: str | None) -> set[str]:
        waiting = {
            known.identity
            for known in self.objects.values()
            if (known.cluster, known.noun, known.phase, known.gone_at) == (cluster, noun, None, None)
        }
        rows = {i: self.rows[noun, i] for i in waiting if (noun, i) in self.rows}
        return {i for i, row in rows.items() if row["silence"] != silence}

    async def formerly(self, noun: Noun, row_id: str) -> list[str]:
        return [i for (n, i), row in self.rows.items() if n is noun and row_id in row["aliases"]]

    async def removals(self, restore_ids) -> list[dict]:
        rows = [row for (noun, _), row in self.rows.items() if noun is Noun.OPERATION and row["command"]]
        return _copied([row for row in rows if row["command"].get("restore") in restore_ids])

    async def estate(self) -> Estate:
        places = [place(row["item"]) for (noun, _), row in self.rows.items() if noun is Noun.LOCATION]
        return Estate(frozenset(self.registered), frozenset(places))

    async def estate_of(self, cluster: str) -> Estate:
        estate = await self.estate()
        return Estate(estate.registered & {cluster}, frozenset(p for p in estate.places if p.cluster == cluster))

    async def sharing(self, cluster: str):
        rows = [row for (noun, _), row in self.rows.items() if noun is Noun.LOCATION and row["listed"]]
        online = {i for (noun, i), row in self.rows.items() if noun is Noun.CLUSTER and row["item"]["status"] == "Online"}
        known = self.registered | online | {cluster}
        return sharing(cluster, [place(row["item"]) for row in rows if row["item"]["cluster"] in known])

    def _there(self, cluster: str, location: str) -> list[Record]:
        known = self.objects.values()
        return [o for o in known if (o.cluster, o.noun, o.location) == (cluster, "backup", location)]

    async def owners(self, cluster: str, location: str) -> set[str | None]:
        return {known.owner for known in self._there(cluster, location)} - {cluster}

    async def misjudged(self, cluster: str, location: str, owner: str | None, *, replica: bool) -> set[str]:
        there = {known.identity for known in self._there(cluster, location) if known.owner == owner}
        return {i for i in there if self.rows.get((Noun.BACKUP, i), {"item": {}})["item"].get("replica") is not replica}

    async def keep_capture(self, part) -> None:
        known = self.captures.setdefault(part["_id"], dict(part))
        if known["sequence"] < part["sequence"]:
            self.captures[part["_id"]] = dict(part)

    async def captured(self, cluster: str, uids) -> list[str]:
        return whole_captures(p for p in self.captures.values() if p["cluster"] == cluster and p["uid"] in uids)

    async def phase_reached(self, seen: Record, *, moved: bool) -> None:
        if seen.phase is not None:
            first = {"rv": seen.rv, "at": seen.observed_at}
            new = {"kind": "Phase", "to": seen.phase, "backupId": seen.identity, "object": seen.id} | first
            stored = self.transitions.setdefault(f"{seen.cluster}/{seen.uid}/{seen.epoch}/{seen.phase}", new)
            if (stored["rv"], stored["at"]) > (seen.rv, seen.observed_at):
                stored.update(first)
        if not moved and self.objects[seen.id].identity == seen.identity:
            return
        for transition in self.transitions.values():
            if transition.get("object") == seen.id:
                transition["backupId"] = self.objects[seen.id].identity

    async def status_reached(self, row_id: str, entry) -> None:
        new = {"kind": "Status", "to": entry["to"], "at": entry["at"], "backupId": row_id}
        self.transitions.setdefault(f"{row_id}/status/{entry['seq']}", new)

    async def schedule(self, schedule_id: str):
        return _copied(self.schedules.get(schedule_id))

    async def ground(self, cluster: str) -> Ground:
        return (await self.grounds()).get(cluster) or Ground()

    async def grounds(self) -> dict[str, Ground]:
        places = [row["item"] for (noun, _), row in self.rows.items() if noun is Noun.LOCATION and row["listed"]]
        states = {i: row for (noun, i), row in self.rows.items() if noun is Noun.CLUSTER}
        return {
            name: ground({} if name in self.registered else None, states.get(name), [p for p in places if p["cluster"] == name])
            for name in self.registered | states.keys() | {p["cluster"] for p in places}
        }

    async def namespaces(self, cluster: str):
        state = self.rows.get((Noun.CLUSTER, cluster), {})
        if state.get("namespaces") is None or state["inventory"]["truncated"]:
            return None
        return {each["name"]: each["labels"] for each in from_document(state["namespaces"])}

    async def made(self, maker: Maker) -> Made:
        rows = [row for (noun, _), row in self.rows.items() if noun is Noun.BACKUP and _made_by(row["item"], maker)]
        shown = [row["item"] for row in rows if row["item"]["namespace"]]
        last = max(
            (row["item"] for row in rows if row["listed"]), key=lambda item: (item["createdAt"], item["id"]), default=None
        )
        return Made(
            any=bool(shown),
            last_at=max((item["createdAt"] for item in shown if item["createdAt"]), default=None),
            last=BackupRef.read(last) if last else None,
            outcomes=Counter(row["item"]["outcome"] for row in rows if row["item"]["outcome"]),
        )

    async def decided(self, schedule_id: str) -> Decided:
        mine = [tick for tick in self.ticks if tick.schedule == schedule_id]
        skipped = [tick for tick in mine if tick.decision is Decision.SKIPPED]
        obeyed: Counter = Counter()
        for tick in skipped:
            obeyed[tick.skip] += tick.count
        return Decided(
            missed=sum(tick.count for tick in mine if tick.decision is Decision.MISSED),
            skipped=sum(tick.count for tick in skipped),
            last_skipped_at=max((tick.to for tick in skipped), default=None),
            obeyed=dict(obeyed),
        )

    def _listed_schedules(self) -> dict[str, dict]:
        return {i: row for (noun, i), row in self.rows.items() if noun is Noun.SCHEDULE and row["listed"]}

    async def schedule_clusters(self) -> set[str]:
        return {row["cluster"] for row in self._listed_schedules().values()}

    async def misplaced(self, cluster: str, standing: Ground) -> set[str]:
        rows = {i: row for i, row in self._listed_schedules().items() if row["cluster"] == cluster}
        others = {i for i, row in rows.items() if row["ground"] != standing.fingerprint}
        return others | {i for i, row in rows.items() if row["namespaces"] not in {None, standing.spaces}}

    async def outdated(self, since: datetime) -> set[str]:
        changed = {i for i, wanted in self.schedules.items() if wanted["changedAt"] >= since}
        return self._behind() & (changed | {i for i, row in self._listed_schedules().items() if row["item"]["deleting"]})

    async def walk(self, after: str) -> tuple[set[str], str]:
        return self._behind(), ""

    def _behind(self) -> set[str]:
        rows = {i: row["version"] for i, row in self._listed_schedules().items() if row["item"]["managedBy"] == "Leeward"}
        return {i for i in self.schedules.keys() | rows.keys() if self.schedules.get(i, {}).get("version") != rows.get(i)}

    async def row(self, noun: Noun, row_id: str):
        return _copied(self.rows.get((noun, row_id)))

    async def save(self, noun: Noun, row_id: str, current, change):
        rev, current = (current["rev"] if current else None), self.rows.get((noun, row_id))
        if (current["rev"] if current else None) != rev:
            return None
        news = [change.announcement] if change.announcement else []
        row = (current or {"_id": row_id, "rev": 0, "unannounced": []}) | _copied(dict(change.fields))
        row |= {"rev": row["rev"] + 1, "statusSeq": change.status_seq, "unannounced": [*row["unannounced"], *news]}
        self.rows[noun, row_id] = row
        return _copied(row)

    async def forget(self, noun: Noun, row_id: str, rev: int) -> bool:
        current = self.rows.get((noun, row_id))
        if current is None or current["rev"] != rev or current["unannounced"]:
            return False
        del self.rows[noun, row_id]
        self.forgotten[noun, row_id] += 1
        return True

    async def announced(self, noun: Noun, row_id: str, seq: int) -> None:
        if row := self.rows.get((noun, row_id)):
            row["unannounced"] = [entry for entry in row["unannounced"] if entry["seq"] != seq]

    async def told(self, backup_id: str, shows) -> None:
        if row := self.rows.get((Noun.BACKUP, backup_id)):
            row["told"] = shows

    async def due(self, noun: Noun, now: datetime, limit: int) -> list[str]:
        return [i for (n, i), row in self.rows.items() if n is noun and row["recheckAt"] and row["recheckAt"] <= now][:limit]

    async def unannounced(self, noun: Noun, before: datetime, limit: int) -> list[dict]:
        rows = [row for (n, _), row in self.rows.items() if n is noun and any(e["at"] <= before for e in row["unannounced"])]
        return _copied(rows[:limit])


def _copied(document: Any) -> Any:
    """A document of one's own, as from the database; what it holds besides mappings and lists never changes."""
    if isinstance(document, dict):
        return {key: _copied(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_copied(value) for value in document]
    return document


def _made_by(item, maker: Maker) -> bool:
    schedule = item["schedule"] or {}
    mine = schedule.get("id") == maker.id if maker.id else not schedule.get("id") and schedule.get("name") == maker.name
    return bool(mine) and not item["replica"] and item["cluster"] == maker.cluster


def _misses(page, seen: Record) -> bool:
    return (
        (page["cluster"], page["noun"]) == (seen.cluster, seen.noun)
        and page["fromUid"] <= seen.uid
        and (page["toUid"] is None or seen.uid < page["toUid"])
        and seen.uid not in page["uids"]
        and (seen.epoch < page["epoch"] or (seen.epoch == page["epoch"] and seen.rv <= page["listRv"]))
    )


class Contradiction(BaseException):
    """One id for two messages: the stream would swallow the second one. No handler may catch this."""


@dataclass
class Speaker:
    """A publisher that keeps what was said, once for each id, as the stream does."""

    said: dict[str, tuple[str, Any]] = field(default_factory=dict)
    told: list[tuple[str, Any]] = field(default_factory=list)

    async def publish(self, subject: str, envelope) -> None:
        if self.said.setdefault(envelope.id, (subject, envelope)) != (subject, envelope):
            raise Contradiction(f"{self.said[envelope.id]} and {subject, envelope}")

    async def tell(self, subject: str, envelope) -> None:
        self.told.append((subject, envelope))

    def statuses(self, noun: str) -> list[str]:
        """The statuses announced of things of that noun, in order."""
        return [subject.split(".")[4] for subject, _ in self.said.values() if subject.split(".")[3] == noun]


@dataclass
class Ticking:
    """A clock that moves a millisecond whenever it is looked at, as between any two changes of a real row."""

    now: datetime

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@dataclass
class Desk:
    """A status service at rest: hand it messages, move its clock, look at its rows."""

    memory: Any = field(default_factory=Memory)
    speaker: Any = field(default_factory=Speaker)
    now: datetime = NOW
    limits: Limits = field(default_factory=Limits)
    listening_for: timedelta = timedelta(hours=1)
    clock: Callable[[], datetime] | None = None

    def __post_init__(self) -> None:
        listening = Listening(self.now - self.listening_for)
        self.ports = Ports(self.memory, self.speaker, self.clock or (lambda: self.now), self.limits, listening)

    async def hear(self, routes, subject: str, envelope, stored_at: datetime | None = None, sequence: int = 1) -> None:
        """Hear a message, stored (by the broker's clock) then; unless told otherwise, its sender's clock is right."""
        await routes[envelope.type](envelope, delivery(subject, stored_at or envelope.time, sequence), self.ports)


def delivery(subject: str, stored_at: datetime, sequence: int) -> Delivery:
    address: Subject = parse(subject)
    return Delivery(address, sequence=sequence, stored_at=stored_at, deliveries=1)


def documents(memory):
    """What must not depend on order: everything but the counting of changes, which tells how it came about."""
    counting = {"rev", "statusSeq", "unannounced", "item"}
    rows = {
        key: {**{k: v for k, v in row.items() if k not in counting}, "item": {**row["item"], "revision": None}}
        for key, row in memory.rows.items()
    }
    phases = {key: t for key, t in memory.transitions.items() if t["kind"] == "Phase"}
    return {"objects": memory.objects, "rows": rows, "phases": phases, "captures": memory.captures}


def alike(one, other):
    for part, documents_of_one in one.items():
        assert set(documents_of_one) == set(other[part])
        for key, document in documents_of_one.items():
            assert document == other[part][key], key
