"""What a cluster showed, as we remember it: one record for each object, readable whatever its values are. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from services.status.values import instant, mapping, storable, text, words
from shared.contracts import ids
from shared.contracts.documents import from_document, to_document
from shared.contracts.events import Measured, Observed, RestoreMeasured, Snapshot
from shared.contracts.names import ANNOTATION_NAME, LABEL_BACKUP_ID, LABEL_CLUSTER, LABEL_OPERATION_ID, OWN_PREFIX, Noun
from shared.contracts.phases import PHASE_OUTCOME

FOUND: Final = "found"
"""The key, beside an object's own, of what was found out about it."""

_NOBODYS: Final = (Noun.LOCATION, Noun.SNAPSHOT_LOCATION, Noun.SCHEDULE)
"""What is what it is called, whoever made it: no operation has a part in it."""

Made = tuple[int, int, str]
"""What was true of an object at a version: epoch, resource version, and the phase or the operation."""


@dataclass(frozen=True, slots=True)
class Record:
    """An object as last shown, and what it was before.

    `ended` is the newest phase that ended its work, `made_by` the first operation that it was said to be of: neither is lost
    when a later version does not say it any more. `claims` are all such operations (of a deletion: the backups that it was
    said to be of), `known_as` the ids by which it was to be seen whenever none was known.
    """

    cluster: str
    noun: str
    uid: str
    epoch: int
    rv: int
    namespace: str
    name: str
    observed_at: datetime
    object: dict[str, Any]
    deleted: bool = False
    gone_at: datetime | None = None
    ended: Made | None = None
    made_by: Made | None = None
    claims: frozenset[str] = frozenset()
    known_as: frozenset[str] = frozenset()
    truncated: bool = False
    unreadable: str | None = None

    @property
    def id(self) -> str:
        """The key of the record: uids are unique within a cluster, and a kind keeps its objects in one range."""
        return record_id(self.cluster, self.noun, self.uid)

    @property
    def order(self) -> tuple[int, int, bool]:
        """What decides which of two observations is the newer one; a deletion comes after what it deleted."""
        return self.epoch, self.rv, self.deleted

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The object's metadata."""
        return mapping(self.object.get("metadata"))

    @property
    def spec(self) -> Mapping[str, Any]:
        """The object's spec."""
        return mapping(self.object.get("spec"))

    @property
    def status(self) -> Mapping[str, Any]:
        """The object's status."""
        return mapping(self.object.get("status"))

    @property
    def labels(self) -> dict[str, str]:
        """The object's labels, as far as they are labels, and about this object."""
        return self._about_this(words(self.metadata.get("labels")))

    @property
    def annotations(self) -> dict[str, str]:
        """The object's annotations, as far as they are annotations, and about this object."""
        return self._about_this(words(self.metadata.get("annotations")))

    def _about_this(self, marks: dict[str, str]) -> dict[str, str]:
        """Leave out what Leeward said of an object of another name, of which somebody made this copy."""
        asked_for = words(self.metadata.get("annotations")).get(ANNOTATION_NAME, self.name)
        return marks if asked_for == self.name else {k: v for k, v in marks.items() if not k.startswith(OWN_PREFIX)}

    @property
    def phase(self) -> str | None:
        """Velero's phase; None while there is none, and for one that is not a word."""
        return text(self.status.get("phase"))

    @property
    def created_at(self) -> datetime | None:
        """When the object (not the backup) was made."""
        return instant(self.metadata.get("creationTimestamp"))

    @property
    def owner(self) -> str | None:
        """The cluster for which Leeward made the object; None for what was made past Leeward."""
        return self.cluster if self.operation else self.labels.get(LABEL_CLUSTER)

    @property
    def location(self) -> str | None:
        """The storage location that a backup names."""
        return text(self.spec.get("storageLocation"))

    @property
    def operation(self) -> str | None:
        """The operation that made the object here. A copy of another cluster's backup is nobody's operation here."""
        return self.made_by[2] if self.made_by else None

    @property
    def identity(self) -> str:
        """The id under which people see the object now."""
        return _IDENTITIES[self.noun](self)

    @property
    def matters(self) -> bool:
        """Tell whether anybody will see it: of the deletions, only those that a person asked Leeward for."""
        return self.noun != Noun.DELETION or bool(self.claims)

    @property
    def candidates(self) -> frozenset[str]:
        """Return every id by which this object may have been shown."""
        return self.known_as | self.claims | {self.identity}


def record_id(cluster: str, noun: str, uid: str) -> str:
    """Return the key of the record of an object."""
    return f"{cluster}/{noun}/{uid}"


def record(cluster: str, noun: str, observed: Observed, seen_at: datetime, operation: str | None = None) -> Record:
    """Return what an observation says, made fit to be stored; `operation` is the one that is said to have made the object."""
    shown = Record(
        cluster=cluster,
        noun=noun,
        uid=observed.uid,
        epoch=observed.epoch,
        rv=observed.resource_version,
        namespace=observed.namespace,
        name=observed.name,
        observed_at=seen_at,
        object=storable(observed.object),
        deleted=observed.deleted,
        gone_at=seen_at if observed.deleted else None,
        truncated=observed.truncated,
        unreadable=observed.unreadable,
    )
    if noun in _NOBODYS:
        return shown
    maker = operation or _labelled(shown, LABEL_OPERATION_ID)
    maker = maker if maker and ids.is_token(maker) else None
    shown = replace(shown, made_by=(shown.epoch, shown.rv, maker) if maker else None)
    if noun == Noun.DELETION:
        about = _labelled(shown, LABEL_BACKUP_ID)
        return replace(shown, claims=frozenset({about} if about and ids.is_token(about) else ()))
    return replace(
        shown,
        ended=(shown.epoch, shown.rv, shown.phase) if shown.phase in PHASE_OUTCOME else None,
        claims=frozenset({maker} if maker else ()),
        known_as=frozenset(() if maker else _EXTERNAL_IDS[noun](shown)),
    )


def measurement(cluster: str, measured: Measured | RestoreMeasured, seen_at: datetime, sequence: int) -> Record:
    """Return what was found out about a backup or a restore, as a record beside its own.

    Of two the one that was stored later counts.
    """
    if isinstance(measured, RestoreMeasured):
        noun, about, name = Noun.RESTORE_MEASUREMENT, measured.restore, "restore"
    else:
        noun, about, name = Noun.MEASUREMENT, measured.backup, "backup"
    shown = record(cluster, noun, about, seen_at)
    found = measured.model_dump(mode="json", by_alias=True, exclude={name})
    return replace(shown, rv=sequence, object={**shown.object, FOUND: storable(found)})


def joined(known: Record | None, seen: Record) -> Record:
    """Return what is known of an object after one more observation: the same in any order of them, and however often."""
    if known is None:
        return seen
    newer = seen if seen.order > known.order else known
    observed_at, gone_at = newer.observed_at, newer.gone_at
    if seen.order == known.order:
        observed_at = min(known.observed_at, seen.observed_at)
        gone_at = min(known.gone_at, seen.gone_at) if known.gone_at and seen.gone_at else known.gone_at
    return replace(
        newer,
        observed_at=observed_at,
        gone_at=gone_at,
        ended=max((r.ended for r in (known, seen) if r.ended), default=None),
        made_by=min((r.made_by for r in (known, seen) if r.made_by), default=None),
        claims=known.claims | seen.claims,
        known_as=known.known_as | seen.known_as,
    )


def _labelled(shown: Record, label: str) -> str | None:
    return shown.labels.get(label) if shown.labels.get(LABEL_CLUSTER) == shown.cluster else None


def _made_here(shown: Record) -> str:
    """Return the operation that made it here; else the id that it has without one (architecture, section 4)."""
    return shown.operation or _EXTERNAL_IDS[shown.noun](shown)[-1]


def _ids_of_backup(shown: Record) -> list[str]:
    """Return the ids of a backup that Leeward did not ask for: of its uid and, which then counts, of its start."""
    unstarted = ids.unstarted_backup_id(shown.cluster, shown.namespace, shown.name, shown.uid)
    start = text(shown.status.get("startTimestamp"))
    return [unstarted, *([ids.started_backup_id(shown.cluster, shown.namespace, shown.name, start)] if start else [])]


def _ids_of_restore(shown: Record) -> list[str]:
    """Return the id of a restore that Leeward did not ask for."""
    return [ids.restore_id(shown.cluster, shown.namespace, shown.name, shown.uid)]


_EXTERNAL_IDS: Final[dict[str, Callable[[Record], list[str]]]] = {
    Noun.BACKUP: _ids_of_backup,
    Noun.MEASUREMENT: _ids_of_backup,
    Noun.RESTORE: _ids_of_restore,
    Noun.RESTORE_MEASUREMENT: _ids_of_restore,
}
"""The ids of what Leeward did not ask for, the one that counts last."""
_IDENTITIES: Final[dict[str, Callable[[Record], str]]] = {
    **dict.fromkeys(_EXTERNAL_IDS, _made_here),
    Noun.DELETION: lambda shown: min(shown.claims, default=shown.id),
    Noun.LOCATION: lambda shown: ids.location_id(shown.cluster, shown.name),
    Noun.SNAPSHOT_LOCATION: lambda shown: ids.snapshot_location_id(shown.cluster, shown.name),
    Noun.SCHEDULE: lambda shown: ids.velero_schedule_id(shown.cluster, shown.name),
}
SHOWN_IN: Final[dict[str, Noun]] = {
    Noun.BACKUP: Noun.BACKUP,
    Noun.MEASUREMENT: Noun.BACKUP,
    Noun.DELETION: Noun.BACKUP,
    Noun.RESTORE: Noun.RESTORE,
    Noun.RESTORE_MEASUREMENT: Noun.RESTORE,
    Noun.LOCATION: Noun.LOCATION,
    Noun.SNAPSHOT_LOCATION: Noun.SNAPSHOT_LOCATION,
    Noun.SCHEDULE: Noun.SCHEDULE,
}
"""The nouns of which records are kept, and that of the row in which each is to be seen."""


def document(shown: Record) -> dict[str, Any]:
    """Return the record as it lies in the collection `objects`."""
    return {
        "_id": shown.id,
        "cluster": shown.cluster,
        "noun": shown.noun,
        "namespace": shown.namespace,
        "name": shown.name,
        "uid": shown.uid,
        "epoch": shown.epoch,
        "rv": shown.rv,
        "deleted": shown.deleted,
        "goneAt": shown.gone_at,
        "identity": shown.identity,
        "phase": shown.phase,
        "ended": list(shown.ended) if shown.ended else None,
        "madeBy": list(shown.made_by) if shown.made_by else None,
        "claims": sorted(shown.claims),
        "knownAs": sorted(shown.known_as),
        "createdAt": shown.created_at,
        "owner": shown.owner,
        "location": shown.location,
        "observedAt": shown.observed_at,
        "truncated": shown.truncated,
        "unreadable": shown.unreadable,
        "object": to_document(shown.object),
    }


def read(stored: Mapping[str, Any]) -> Record:
    """Undo `document`."""
    ended, made_by = stored["ended"], stored["madeBy"]
    return Record(
        cluster=stored["cluster"],
        noun=stored["noun"],
        uid=stored["uid"],
        epoch=stored["epoch"],
        rv=stored["rv"],
        namespace=stored["namespace"],
        name=stored["name"],
        observed_at=stored["observedAt"],
        object=from_document(stored["object"]),
        deleted=stored["deleted"],
        gone_at=stored["goneAt"],
        ended=(ended[0], ended[1], ended[2]) if ended else None,
        made_by=(made_by[0], made_by[1], made_by[2]) if made_by else None,
        claims=frozenset(stored["claims"]),
        known_as=frozenset(stored["knownAs"]),
        truncated=stored["truncated"],
        unreadable=stored["unreadable"],
    )


def newest(records: Sequence[Record]) -> Record | None:
    """Return the record that speaks for several of one identity: one that exists before those that went, then the newest."""
    return max(records, key=lambda shown: (shown.gone_at is None, shown.order, shown.uid), default=None)


def page(cluster: str, noun: str, snapshot: Snapshot, seen_at: datetime, *, key: str) -> dict[str, Any]:
    """Return a page of a snapshot as it is remembered, for the observations that come after it but are older."""
    return {
        "_id": key,
        "cluster": cluster,
        "noun": noun,
        "epoch": snapshot.epoch,
        "listRv": snapshot.list_rv,
        "fromUid": snapshot.from_uid or "",
        "toUid": snapshot.to_uid,
        "uids": snapshot.uids,
        "at": seen_at,
    }
