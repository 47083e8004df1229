"""From decisions to commands in the stream. What cannot be sent is left where it is; it holds up nobody else."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from services.scheduler.deciding import Order
from services.scheduler.measures import BROKEN, DRIFT
from services.scheduler.ports import Facts, Ports
from services.scheduler.triggers import trigger
from shared.contracts.schedules import Schedule, Tick
from shared.contracts.scopes import BY_ENVIRONMENT
from shared.contracts.selectors import Environments, environments_of
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import CommandTakenError, CommandTooLargeError, CommandUnreadableError
from shared.runtime import logging

log = structlog.get_logger(__name__)

TOO_LARGE: Final = "CommandTooLarge"
"""Why a slot was never sent: its schedule has more to say than a message can carry. It ends as Undelivered, in time."""

REMEMBERED: Final = timedelta(days=1)
"""So long after its deadline a command that is not known to be stored is published all the same, so that its end is told."""


@dataclass(slots=True)
class Published:
    """The ticks of which the stream has the commands, or the code for which it never will; and whether it did not answer."""

    ticks: dict[str, str | None] = field(default_factory=dict)
    away: Unavailable | None = None


async def publish(ports: Ports, orders: Sequence[Order], done: Published) -> None:
    """Store the commands of these slots, all at the same time, and add what came of it to `done`."""
    await asyncio.gather(*(_publish(ports, order, done) for order in orders))


async def _publish(ports: Ports, order: Order, done: Published) -> None:
    tick = order.tick
    try:
        subject, envelope = trigger(order.schedule, tick, _environments(order), ports.clock())
        await ports.publisher.publish_command(subject, envelope)
    except (CommandTakenError, CommandUnreadableError):
        done.ticks[tick.id] = None  # it is there: that is all that was wanted
    except CommandTooLargeError:
        done.ticks[tick.id] = TOO_LARGE
        BROKEN.labels("publish").inc()
        log.error("command not sent", **_about(tick, TOO_LARGE))  # noqa: TRY400 - there is nothing to trace
    except Unavailable as away:
        done.away = away
    except Exception as error:  # noqa: BLE001 - whatever is odd about one schedule, the others go on
        BROKEN.labels("publish").inc()
        log.error("command not sent", **_about(tick, type(error).__name__))  # noqa: TRY400 - its words may hold what a person wrote
    else:
        done.ticks[tick.id] = None
        DRIFT.observe(max(0.0, (ports.clock() - tick.due_at).total_seconds()))


def _about(tick: Tick, reason: str) -> dict[str, str]:
    return {logging.OBJECT: tick.schedule, logging.OPERATION: tick.id, logging.REASON: reason}


async def republish(ports: Ports, stored: Collection[str], done: Published) -> None:
    """Publish what was decided and is not known to be stored (by the memory, or here), from the schedules as they are now.

    A schedule that is gone, or on its way out, sends nothing any more.

    Raises Unavailable when the memory does not answer.
    """
    async for page in ports.memory.unpublished(ports.clock() - REMEMBERED):
        await publish(ports, await _orders(ports, [tick for tick in page if tick.id not in stored]), done)


async def _orders(ports: Ports, ticks: Sequence[Tick]) -> list[Order]:
    """Read the schedules; when something about one of many is odd in a way that nobody has foreseen, each by itself."""
    names = sorted({tick.schedule for tick in ticks})
    try:
        known = {str(facts.document["_id"]): facts for facts in await ports.memory.facts(names)}
    except Unavailable:
        raise
    except Exception as error:
        if len(names) == 1:
            BROKEN.labels("publish").inc()
            log.exception("schedule set aside", **{logging.OBJECT: names[0], logging.REASON: type(error).__name__})
            return []
        each = [await _orders(ports, [tick for tick in ticks if tick.schedule == name]) for name in names]
        return [order for orders in each for order in orders]
    read = ((known.get(tick.schedule), tick) for tick in ticks)
    orders = [Order(facts, schedule, tick) for facts, tick in read if facts and (schedule := _readable(facts))]
    return [order for order in orders if not order.schedule.deleting]


def _readable(facts: Facts) -> Schedule | None:
    try:
        return Schedule.of(facts.document)
    except Exception:  # noqa: BLE001 - anything may lie in a document; the look has said so
        return None


def _environments(order: Order) -> Environments | None:
    return environments_of(order.facts.registration) if isinstance(order.schedule.template.scope, BY_ENVIRONMENT) else None
