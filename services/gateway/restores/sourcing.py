"""What is known of a restore before it is asked for, from the stored rows: the backup, where it lies, and the target."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.gateway import reading
from services.gateway.backups import creating
from services.gateway.details import BACKUPS, Document
from services.gateway.ports import Ports
from services.gateway.restores import preflight, queries
from services.gateway.restores.forms import CreateRestore
from services.gateway.restores.preflight import Known, Running
from services.gateway.web.answers import readable
from services.gateway.web.problems import ProblemError
from shared.contracts.commands import Origin
from shared.contracts.documents import Collection
from shared.contracts.phases import BackupStatus, ClusterStatus, ScheduleStatus
from shared.contracts.refusals import Code, refusal
from shared.contracts.restorespec import RestoreSpec
from shared.contracts.views import BackupDetail, ClusterItem, LocationItem, RestoreDetail, ScheduleItem

_MOST = 500
_MOST_RUNNING = 50
_MOST_COPIES = 10
_NAME_LIMIT = 253
_TELLING = 4
"""Characters of an operation's id that tell it from others of the same second."""


@dataclass(frozen=True, slots=True)
class Sourced:
    """What a request comes to: what is known of it, the ids of the backup, and the schedule that stands for the backup.

    `copy_ids`: those of the target's copy of another cluster's backup; empty where its Velero has not brought one. `answers`:
    whether the cluster of the backup is Online.
    """

    known: Known
    ids: list[str]
    copy_ids: list[str]
    answers: bool
    schedule: Origin | None


async def sourced(ports: Ports, wanted: CreateRestore, now: datetime, operation: str) -> Sourced:
    """Look everything up that is stored. `operation`: the id of the one that asks, from which comes a name that is not given.

    Raises the problems of what a request names and nobody knows; Unavailable.
    """
    schedule, row = await _backup_row(ports, wanted, now)
    backup = await BACKUPS.detail_of(ports, row)
    if wanted.cluster is None and backup.replica:
        raise _which_cluster(backup)
    target = wanted.cluster or backup.cluster
    if errors := await creating.unknown_cluster(ports, target):
        raise ProblemError("invalid-request", errors[0]["detail"], errors=errors, code=Code.CLUSTER_UNKNOWN)
    name = wanted.name or default_name(backup.name, now, operation)
    (origin, locations), state, source_state, taken, running, copies = await asyncio.gather(
        _locations(ports, backup, target),
        ports.store.cluster_state(target, "namespaces", "kinds"),
        ports.store.cluster_state(backup.cluster, "kinds"),
        _is_taken(ports, target, name),
        _running(ports, target),
        _copies(ports, backup, target),
    )
    held = reading.inventory(state)
    known = Known(
        now=now,
        name=name,
        target=target,
        spec=wanted.spec,
        backup=backup,
        origin=origin,
        locations=locations,
        credential=wanted.credential is not None,
        storage=wanted.storage is not None,
        cluster=_cluster(state),
        namespaces=frozenset(held.namespaces) if held else None,
        kinds=[*reading.kinds(state).values(), *reading.kinds(source_state).values()],
        name_taken=taken,
        running=running,
    )
    own = _cluster(source_state)
    answers = own is not None and own.status is ClusterStatus.ONLINE
    return Sourced(known, BACKUPS.ids_of(row), _copy_ids(known, copies), answers, schedule)


def default_name(backup: str, now: datetime, operation: str) -> str:
    """Return what a restore is called that was given no name; two of one second have two names."""
    suffix = f"-{now:%Y%m%d%H%M%S}-{operation[:_TELLING]}"
    return backup[: _NAME_LIMIT - len(suffix)].rstrip("-.") + suffix


# ---------------------------------------------------------------------- the backup


async def _backup_row(ports: Ports, wanted: CreateRestore, now: datetime) -> tuple[Origin | None, Document]:
    if wanted.backup is not None:
        row = await ports.store.row(Collection.BACKUPS, wanted.backup)
        if row is None:
            raise _unknown("backup", wanted.backup)
        return None, row
    schedule = await _schedule(ports, str(wanted.schedule))
    row = await _latest_good(ports, schedule, now)
    if row is None:
        no = refusal(Code.NO_GOOD_BACKUP, schedule=schedule.name)
        raise ProblemError(
            "refused", no.detail, errors=[{"pointer": no.pointer, "detail": no.detail}], status=no.status, code=no.code
        )
    return Origin(id=schedule.id, name=schedule.name), row


def _unknown(noun: str, row_id: str) -> ProblemError:
    words = f"There is no {noun} {row_id}."
    return ProblemError("invalid-request", words, errors=[{"pointer": f"/{noun}", "detail": words}])


def _which_cluster(backup: BackupDetail) -> ProblemError:
    words = f"This is cluster {backup.cluster}'s copy of a backup of another cluster: say into which cluster it is restored."
    return ProblemError("invalid-request", words, errors=[{"pointer": "/cluster", "detail": words}])


async def _schedule(ports: Ports, schedule_id: str) -> ScheduleItem:
    rows = await ports.store.pick(Collection.SCHEDULE_STATUS, [schedule_id], ("item",))
    for item in readable(rows, ScheduleItem)[0]:
        if isinstance(item, ScheduleItem) and item.status is not ScheduleStatus.DELETED:
            return item
    raise _unknown("schedule", schedule_id)


async def _latest_good(ports: Ports, schedule: ScheduleItem, now: datetime) -> Document | None:
    """Return the newest backup of a schedule that is Completed and still there, and no copy of another cluster's."""
    own: dict[str, str | None] = {"item.schedule.id": schedule.id}
    if schedule.managed_by == "Velero":
        own = {"item.schedule.name": schedule.name, "item.schedule.id": None}
    good = {
        "listed": True,
        **own,
        "item.cluster": schedule.cluster,
        "item.status": BackupStatus.COMPLETED.value,
        "item.present": True,
        "item.replica": False,
        "$or": [{"item.expiresAt": None}, {"item.expiresAt": {"$gt": now}}],
    }
    found = await ports.store.find(Collection.BACKUPS, good, queries.SORT, 1)
    return found[0] if found else None


# ---------------------------------------------------------------------- the target, and where the backup lies


def _cluster(state: Document | None) -> ClusterItem | None:
    try:
        return reading.view(ClusterItem, state.get("item")) if state else None
    except reading.UnreadableError:
        return None


async def _locations(ports: Ports, backup: BackupDetail, target: str) -> tuple[LocationItem | None, list[LocationItem]]:
    """Return the location of a backup, if it is known, and all of the target."""
    query = {"listed": True, "item.cluster": {"$in": sorted({backup.cluster, target})}}
    rows = await ports.store.find(Collection.LOCATIONS, query, [("item.cluster", 1), ("item.name", 1)], _MOST, ("item",))
    items = [item for item in readable(rows, LocationItem)[0] if isinstance(item, LocationItem)]
    own = (item for item in items if (item.cluster, item.name) == (backup.cluster, backup.storage_location))
    return next(own, None), [item for item in items if item.cluster == target]


async def _copies(ports: Ports, backup: BackupDetail, target: str) -> list[Document]:
    """Return what the target has that may be its copy of another cluster's backup: of that name, begun when it was."""
    if target == backup.cluster or backup.started_at is None:
        return []
    alike = {**queries.named(target, backup.name), "item.startedAt": backup.started_at, "item.replica": True}
    return await ports.store.find(Collection.BACKUPS, alike, queries.SORT, _MOST_COPIES)


def _copy_ids(known: Known, copies: Iterable[Document]) -> list[str]:
    """Return the ids of the copy that lies where the backup does."""
    through = known.reached_through
    lying = (row for row in copies if through and row["item"].get("storageLocation") == through.name)
    return next((BACKUPS.ids_of(row) for row in lying), [])


async def _is_taken(ports: Ports, cluster: str, name: str) -> bool:
    rows = await ports.store.find(
        Collection.RESTORES, {**queries.named(cluster, name), "item.present": True}, queries.SORT, 1, ("_id",)
    )
    return bool(rows)


async def _running(ports: Ports, cluster: str) -> list[Running]:
    """Return the restores that run in a cluster, with the namespaces that they go into, where these are known."""
    rows = await ports.store.find(Collection.RESTORES, queries.under_way(cluster), queries.SORT, _MOST_RUNNING)
    found: list[RestoreDetail] = []
    for row in rows:
        try:
            found.append(reading.detail(RestoreDetail, row, ()))
        except reading.UnreadableError:
            continue  # it is named by whoever lists it
    return [Running(each.name, await _goes_into(ports, each)) for each in found]


async def _goes_into(ports: Ports, restore: RestoreDetail) -> frozenset[str]:
    try:
        spec = reading.view(RestoreSpec, restore.requested_spec or restore.spec or {})
    except reading.UnreadableError:
        return frozenset()
    of_backup: frozenset[str] | None = None
    if not spec.included_namespaces and restore.backup.id is not None:
        row = await ports.store.row(Collection.BACKUPS, restore.backup.id)
        try:
            of_backup = preflight.namespaces_of(reading.detail(BackupDetail, row, ())) if row else None
        except reading.UnreadableError:
            of_backup = None
    return preflight.targets(spec, of_backup)
