"""Documents and messages into views. Pure. One that cannot be read is told apart, never allowed to take others with it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from services.gateway.clusters.environments import Held, environment, environments
from services.gateway.schemas import ClusterNamespace, ClusterSettings, ClusterView
from shared.contracts.base import Wire
from shared.contracts.commands import RestoreCreate
from shared.contracts.documents import from_document
from shared.contracts.envelope import TYPE_PREFIX, TYPE_SUFFIX, Envelope
from shared.contracts.events import KindInfo, NamespaceInfo, SealingKey
from shared.contracts.phases import ClusterStatus, OperationState
from shared.contracts.selectors import Environments
from shared.contracts.views import BackupDetail, ClusterItem, OperationItem, RestoreDetail

V = TypeVar("V", bound=Wire)
D = TypeVar("D", BackupDetail, RestoreDetail)
NOUNS: dict[type[Wire], str] = {BackupDetail: "backup", RestoreDetail: "restore"}
Document = Mapping[str, Any]


class UnreadableError(ValueError):
    """A stored document is not what this version takes it to be."""


def view(model: type[V], document: Any) -> V:
    """Read a view from its document.

    Raises UnreadableError.
    """
    try:
        return model.read(from_document(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise UnreadableError(f"{'/'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def backup_detail(document: Document, transitions: Iterable[Document]) -> BackupDetail:
    """Return a backup with all that is known of it, as `detail` does."""
    return detail(BackupDetail, document, transitions)


def detail(model: type[D], document: Document, transitions: Iterable[Document]) -> D:
    """Return a thing with all that is known of it; an unreadable detail leaves what the list shows, and says so.

    Raises UnreadableError when not even that can be read.
    """
    item = document.get("item")
    if not isinstance(item, Mapping):
        raise UnreadableError("no item")
    facts = {"transitions": _history(document, item, transitions), "asOf": document.get("asOf")}
    try:
        return view(model, {**item, **(document.get("detail") or {}), **facts})
    except (UnreadableError, TypeError) as error:
        return view(model, {**item, "unreadable": f"the record of this {NOUNS[model]}: {error}"})


def _history(document: Document, item: Document, transitions: Iterable[Document]) -> list[Document]:
    """Return the changes of a thing, also those that its row tells already and its history does not yet.

    Status writes a row first, because people wait for it. What it has not announced lies in the row, with its time; a phase
    that is not in the history was seen when the row was last told anything.
    """
    known = [t for t in transitions if _is_transition(t)]
    unwritten = [{**change, "kind": "Status"} for change in document.get("unannounced") or () if isinstance(change, Mapping)]
    if (phase := item.get("phase")) and all(t["to"] != phase for t in known if t["kind"] == "Phase"):
        unwritten.append({"kind": "Phase", "to": phase, "at": document.get("asOf")})
    told = {(t["kind"], t["to"], t["at"]) for t in known}
    missing = [t for t in unwritten if _is_transition(t) and (t["kind"], t["to"], t["at"]) not in told]
    return sorted([*known, *missing], key=lambda t: t["at"]) if missing else known


def _is_transition(document: Document) -> bool:
    return {"to"} <= set(document) and document.get("kind") in {"Phase", "Status"} and isinstance(document.get("at"), datetime)


def queued(command: Envelope[Any]) -> OperationItem:
    """Return the operation of a command that nobody has answered yet."""
    return OperationItem(
        id=str(command.operationid),
        kind=command.type.removeprefix(TYPE_PREFIX).removesuffix(TYPE_SUFFIX),
        cluster=command.cluster,
        principal=command.principal,
        state=OperationState.QUEUED,
        findings=command.data.findings if isinstance(command.data, RestoreCreate) else [],
        created_at=command.time,
        deadline=command.expiresat,
    )


def cluster(name: str, registration: Document | None, state: Document | None) -> ClusterView:
    """Join what was registered with what reports; at least one of them is there.

    Raises UnreadableError.
    """
    facts: dict[str, Any] = dict((state or {}).get("item") or {"status": ClusterStatus.NEVER_SEEN.value})
    if registration is None:
        return view(ClusterView, {**facts, "id": name, "status": ClusterStatus.UNREGISTERED.value})
    wanted = {field: registration.get(field) for field in ("version", "createdBy", "createdAt")}
    return view(ClusterView, {**facts, **_said(registration), **wanted, "id": name})


SETTINGS_FIELDS = ("displayName", "productionSelector", "nonProductionSelector", "dataMovers")


def _said(registration: Document) -> dict[str, Any]:
    """Return the settings that somebody has made; one that is younger than the registration is missing there."""
    return {field: registration[field] for field in SETTINGS_FIELDS if field in registration}


def last_seen(state: Document | None) -> datetime | None:
    """Return when a cluster was last seen by what it reports; None if it never did, or that cannot be read."""
    try:
        return view(ClusterItem, state.get("item")).last_seen_at if state else None
    except UnreadableError:
        return None


def settings(registration: Document) -> ClusterSettings:
    """Return what a person has said about a cluster.

    Raises UnreadableError.
    """
    return view(ClusterSettings, _said(registration))


def selectors(registration: Document | None) -> Environments:
    """Return what puts a namespace of a cluster into an environment; the usual, where nobody has said otherwise.

    Raises UnreadableError.
    """
    wanted = settings(registration or {})
    return environments(wanted.production_selector, wanted.non_production_selector)


def namespaces(state: Document | None, wanted: ClusterSettings) -> dict[str, ClusterNamespace]:
    """Return the namespaces of a cluster by name, leaving out what cannot be read."""
    rows: dict[str, ClusterNamespace] = {}
    for entry in _entries(state, "namespaces"):
        try:
            found = view(ClusterNamespace, entry)
        except UnreadableError:
            continue
        place = environment(found.labels, wanted.production_selector, wanted.non_production_selector)
        rows[found.name] = found.model_copy(update={"environment": place})
    return rows


def inventory(state: Document | None) -> Held | None:
    """Return the namespaces that a cluster has told of; None if it has told of none yet."""
    told = (state or {}).get("inventoryAt")
    if not isinstance(told, datetime):
        return None
    rows: dict[str, dict[str, str]] = {}
    for entry in _entries(state, "namespaces"):
        try:
            found = view(NamespaceInfo, entry)
        except UnreadableError:
            continue
        rows[found.name] = found.labels
    held = (state or {}).get("inventory")
    return Held(rows, told, isinstance(held, Mapping) and held.get("truncated") is True)


def sealing_key(state: Document | None) -> SealingKey | None:
    """Return the key to which a cluster wants credentials sealed; None if it has told none that can be read."""
    held = (state or {}).get("inventory")
    try:
        return view(SealingKey, held.get("sealingKey")) if isinstance(held, Mapping) else None
    except UnreadableError:
        return None


def kinds(state: Document | None) -> dict[str, KindInfo]:
    """Return the kinds of a cluster by `name.group`, leaving out what cannot be read."""
    rows: dict[str, KindInfo] = {}
    for entry in _entries(state, "kinds"):
        try:
            found = view(KindInfo, entry)
        except UnreadableError:
            continue
        rows[f"{found.name}.{found.group}"] = found
    return rows


def _entries(state: Document | None, name: str) -> list[Any]:
    entries = (state or {}).get(name)
    return entries if isinstance(entries, list) else []
