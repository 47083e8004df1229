"""What messages do. The tables at the end are the whole behaviour of both consumers at a glance.

Whatever a cluster tells is dated by the broker: the clock of an executor may be wrong.
"""

from typing import Any, Final

from services.status.clusters import projection as clusters
from services.status.fold import capture, learn, miss, observe
from services.status.objects import SHOWN_IN, measurement, page, record
from services.status.operations import answers
from services.status.operations.orders import ORDERS
from services.status.ports import Ports
from services.status.rows import Stored
from services.status.values import in_milliseconds
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import (
    Accepted,
    Captured,
    Finished,
    Inventory,
    Measured,
    Observed,
    Presence,
    Rejected,
    RestoreMeasured,
    Snapshot,
    Step,
)
from shared.contracts.names import Noun
from shared.contracts.subjects import Subject
from shared.messaging.consumer import Delivery, Routes


async def observed(envelope: Envelope[Observed], delivery: Delivery, ports: Ports) -> None:
    """Keep what the cluster shows of one object."""
    await observe(ports, record(envelope.cluster, delivery.subject.noun, envelope.data, _stored(delivery).at))


async def snapshot(envelope: Envelope[Snapshot], delivery: Delivery, ports: Ports) -> None:
    """Find what vanished without a word: what is in the page's range, not newer and not named."""
    noun = Noun(delivery.subject.noun)
    await miss(ports, noun, page(envelope.cluster, noun, envelope.data, _stored(delivery).at, key=envelope.id))
    if noun is Noun.LOCATION and envelope.data.to_uid is None:
        await learn(ports, Noun.CLUSTER, envelope.cluster, clusters.located(_stored(delivery)))


async def measured(envelope: Envelope[Measured | RestoreMeasured], delivery: Delivery, ports: Ports) -> None:
    """Keep what was found out about a backup or a restore that has ended."""
    stored = _stored(delivery)
    await observe(ports, measurement(envelope.cluster, envelope.data, stored.at, stored.sequence))


async def captured(envelope: Envelope[Captured], delivery: Delivery, ports: Ports) -> None:
    """Keep a part of a text that outlives its backup or restore."""
    await capture(ports, Noun(delivery.subject.noun), envelope.cluster, envelope.data, _stored(delivery))


async def commanded(envelope: Envelope[Any], _delivery: Delivery, ports: Ports) -> None:
    """Keep who asked for what."""
    await learn(ports, Noun.OPERATION, _operation(envelope), answers.commanded(envelope))


async def accepted(envelope: Envelope[Accepted], delivery: Delivery, ports: Ports) -> None:
    """Keep that the cluster has the object; the object first, so that whoever hears of the operation finds what it made."""
    if envelope.data.noun in SHOWN_IN:
        operation, at = envelope.operationid, _stored(delivery).at
        await observe(ports, record(envelope.cluster, envelope.data.noun, envelope.data.object, at, operation))
    await learn(ports, Noun.OPERATION, _operation(envelope), answers.accepted(envelope))


async def rejected(envelope: Envelope[Rejected], _delivery: Delivery, ports: Ports) -> None:
    """Keep that the cluster said no."""
    await learn(ports, Noun.OPERATION, _operation(envelope), answers.rejected(envelope))


async def stepped(envelope: Envelope[Step], _delivery: Delivery, ports: Ports) -> None:
    """Keep how far a long operation has come."""
    await learn(ports, Noun.OPERATION, _operation(envelope), answers.stepped(envelope))


async def finished(envelope: Envelope[Finished], _delivery: Delivery, ports: Ports) -> None:
    """Keep that an operation has ended."""
    await learn(ports, Noun.OPERATION, _operation(envelope), answers.finished(envelope))


async def present(envelope: Envelope[Presence], delivery: Delivery, ports: Ports) -> None:
    """Keep the sign of life."""
    await learn(ports, Noun.CLUSTER, envelope.cluster, clusters.present(envelope, _stored(delivery)))


async def inventoried(envelope: Envelope[Inventory], delivery: Delivery, ports: Ports) -> None:
    """Keep what the cluster is and holds."""
    await learn(ports, Noun.CLUSTER, envelope.cluster, clusters.inventoried(envelope, _stored(delivery)))


def _operation(envelope: Envelope[Any]) -> str:
    return str(envelope.operationid)


def _stored(delivery: Delivery) -> Stored:
    return Stored(in_milliseconds(delivery.stored_at), delivery.sequence)


_WATCHED: Final = (Noun.BACKUP, Noun.DELETION, Noun.RESTORE, Noun.LOCATION, Noun.SNAPSHOT_LOCATION, Noun.SCHEDULE)
_LOOKED_INTO: Final = (Noun.BACKUP, Noun.RESTORE)


def event_key(envelope: Envelope[Any], subject: Subject) -> str:
    """Return what must stay in order: the messages of one object, of one operation, of one cluster's snapshots."""
    return f"{envelope.cluster}/{subject.noun}/{subject.id or subject.verb}"


def command_key(envelope: Envelope[Any], _subject: Subject) -> str:
    """Return the operation: it has one command."""
    return _operation(envelope)


EVENT_ROUTES: Final[Routes[Ports]] = {
    **{type_name(noun, "observed"): observed for noun in _WATCHED},
    **{type_name(noun, "snapshot"): snapshot for noun in _WATCHED},
    **{type_name(noun, "measured"): measured for noun in _LOOKED_INTO},
    **{type_name(noun, "captured"): captured for noun in _LOOKED_INTO},
    type_name("operation", "accepted"): accepted,
    type_name("operation", "rejected"): rejected,
    type_name("operation", "step"): stepped,
    type_name("operation", "finished"): finished,
    type_name("presence", "observed"): present,
    type_name("inventory", "observed"): inventoried,
}
COMMAND_ROUTES: Final[Routes[Ports]] = {type_name(*kind.split(".")): commanded for kind in ORDERS}
