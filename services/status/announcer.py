"""Announcing: each change that people see goes to the state feed once, in order, and only then off the row's list."""

from services.status.ports import Document, Ports
from services.status.rows import HISTORIES, item_of
from shared.contracts import subjects
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Changed
from shared.contracts.names import Noun
from shared.runtime import tracing


async def announce(ports: Ports, noun: Noun, row: Document) -> None:
    """Publish what a row has not announced yet. Whoever repeats it publishes the same message, which the stream drops.

    Raises Unavailable when it is not known to be stored; it then stays on the list.
    """
    for entry in row.get("unannounced") or ():
        subject = subjects.state(row["cluster"], noun, entry["to"], row["_id"])
        with tracing.child(f"announce {noun}", {"leeward.row": row["_id"], "leeward.status": entry["to"]}):
            await ports.publisher.publish(subject, _envelope(noun, row, entry))
            if noun in HISTORIES:
                await ports.memory.status_reached(row["_id"], entry)
            await ports.memory.announced(noun, row["_id"], entry["seq"])


def _envelope(noun: Noun, row: Document, entry: Document) -> Envelope[Changed]:
    """Return the message. Its id names the noun, too: a backup and the operation that made it have one id."""
    return Envelope[Changed](
        id=f"{noun}/{row['_id']}/{entry['seq']}",
        source="/status",
        type=type_name(noun, "changed"),
        time=entry["at"],
        cluster=row["cluster"],
        operationid=row["_id"] if noun is Noun.OPERATION else None,
        data=Changed(
            id=row["_id"],
            seq=entry["seq"],
            from_=entry["from"],
            to=entry["to"],
            at=entry["at"],
            item=item_of(noun, entry["item"]).wire(),
        ),
    )
