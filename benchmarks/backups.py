"""A fleet's backups in bulk, as status would have written them: 200 clusters, three months, and what is usual in between."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.contracts.documents import to_document
from shared.contracts.phases import UNLISTED, BackupStatus, Outcome
from shared.contracts.views import BackupItem, Creator, ScheduleRef, Size

CLUSTERS: Final = 200
UNTIL: Final = datetime(2026, 3, 1, tzinfo=UTC)
_SPAN: Final = timedelta(days=90)
_SEED: Final = 5
_APPS: Final = ("shop", "cart", "search", "billing", "identity", "ledger", "catalogue", "mail")
_PEOPLE: Final = ("anna", "ben", "chiara", "dimitri", "elif", "farid", "greta", "hugo", "ines", "jonas", "kira", "lars")
_STATUSES: Final = {
    (BackupStatus.COMPLETED, Outcome.COMPLETED): 690,
    (BackupStatus.PARTIALLY_FAILED, Outcome.PARTIALLY_FAILED): 40,
    (BackupStatus.FAILED, Outcome.FAILED): 30,
    (BackupStatus.EXPIRED, Outcome.COMPLETED): 80,
    (BackupStatus.EXPIRED, Outcome.PARTIALLY_FAILED): 5,
    (BackupStatus.DELETED, Outcome.COMPLETED): 130,
    (BackupStatus.CREATING, None): 12,
    (BackupStatus.DELETING, Outcome.COMPLETED): 8,
    (BackupStatus.REFUSED, None): 5,
}
_CREATORS: Final = {"Schedule": 80, "User": 14, "External": 6}
_LOCATIONS: Final = {"default": 85, "archive": 10, "offsite": 5}
_DAYS: Final = {7: 30, 30: 60, 90: 10}


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Return so many rows, the same ones each time, in no order."""
    chance = random.Random(_SEED)  # noqa: S311 - made-up figures, no secrets

    def one(weights: dict[Any, int]) -> Any:
        return chance.choices(list(weights), list(weights.values()))[0]

    for _ in range(count):
        # Some clusters have many backups, most have few.
        cluster = min(int(chance.expovariate(1 / (CLUSTERS / 4))), CLUSTERS - 1) if chance.random() < 1 / 2 else None
        status, outcome = one(_STATUSES)
        yield row(chance, chance.randrange(CLUSTERS) if cluster is None else cluster, status, outcome, one)


def row(chance: random.Random, cluster: int, status: BackupStatus, outcome: Outcome | None, one: Any) -> dict[str, Any]:
    """Return one backup's row, of a kilobyte or two."""
    app, kind, created = chance.choice(_APPS), one(_CREATORS), UNTIL - chance.random() * _SPAN
    created = created.replace(microsecond=created.microsecond // 1000 * 1000)
    schedule = f"nightly-{chance.randrange(40)}" if kind == "Schedule" else None
    size = int(chance.lognormvariate(20, 2)) if outcome and chance.random() < 7 / 10 else None
    item = BackupItem(
        id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        name=f"{app}-{created:%Y%m%d%H%M%S}",
        cluster=f"cluster-{cluster:03}",
        namespace="velero",
        created_by=Creator(kind=kind, name=schedule or (chance.choice(_PEOPLE) if kind == "User" else None)),
        status=status,
        outcome=outcome,
        phase=outcome.value if outcome else "InProgress",
        created_at=created,
        started_at=created + timedelta(seconds=2),
        completed_at=created + timedelta(seconds=90) if outcome else None,
        expires_at=created + timedelta(days=one(_DAYS)) if outcome else None,
        size=Size(metadata_bytes=90_000, volume_bytes=size, total_bytes=size + 90_000 if size else None),
        storage_location=one(_LOCATIONS),
        schedule=ScheduleRef(id=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{schedule}.{cluster}")), name=schedule)
        if schedule
        else None,
        labels={"team": app, "tier": chance.choice("123")},
        warnings=0,
        errors=0 if outcome is Outcome.COMPLETED else None,
        present=status not in UNLISTED,
        revision=int(created.timestamp() * 1000),
    )
    spec = {
        "includedNamespaces": [app, f"{app}-jobs"],
        "excludedResources": ["events", "events.events.k8s.io"],
        "storageLocation": item.storage_location,
        "volumeSnapshotLocations": ["aws"],
        "ttl": "720h0m0s",
        "csiSnapshotTimeout": "10m0s",
        "itemOperationTimeout": "72h0m0s",
        "hooks": {},
    }
    return {
        "_id": item.id,
        "cluster": item.cluster,
        "rev": 4,
        "statusSeq": item.revision,
        "listed": status not in UNLISTED,
        "aliases": [],
        "unannounced": [],
        "recheckAt": item.expires_at,
        "asOf": created,
        "item": to_document(item),
        "detail": to_document({"operationId": item.id, "scope": {"kind": "all"}, "requestedSpec": spec, "spec": spec}),
    }
