"""Looking at schedules: the list, one line, all that is known, every slot, and what an expression would mean."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from leeward import arguments, completion, filters, finding, listing, words
from leeward.arguments import InCluster
from leeward.columns import SCHEDULES, TICKS
from leeward.errors import CliError, Exit
from leeward.filters import Filter
from leeward.problems import ApiError
from leeward.schedules import telling
from leeward.schedules.arguments import NameOrId, NamesOrIds
from leeward.session import Session

_NEXT, _LAST = 5, 5
"""Slots to come, and slots that have been, which `describe` shows."""
_MOST = 100
"""Slots that one preview tells."""


FILTERS: Sequence[Filter] = (
    filters.CLUSTER,
    filters.status(completion.SCHEDULE_STATUSES, completion.schedule_statuses),
    Filter("--storage-location", "storageLocation", "LOCATION", "Whose backups go there.", completion.locations),
    Filter("--managed-by", "managedBy", "WHO", "Kept by Leeward, or by Velero in a cluster.", form=str.capitalize),
    filters.SEARCH,
    filters.sort("E.g. nextRunAt,name", "name", completion.schedule_sorts),
)
LIST = listing.Listing("/schedules", SCHEDULES, "schedules", kinds=("schedule",))
WORDS = """List the schedules of the whole fleet.

Also those that Velero keeps itself. A filter given twice means either, different filters mean both.
"""


async def get(session: Session, schedule: NameOrId, cluster: InCluster = None) -> None:
    """Show a schedule in one line; -o json has all of it."""
    found = await finding.schedule(session.client, schedule, cluster)
    session.output.one(SCHEDULES, found)


async def describe(session: Session, schedule: NamesOrIds = None, *, cluster: InCluster = None) -> None:
    """Show all that is known of schedules.

    What is wrong first, then when they run, what they made, and what became of the last slots.
    """
    found = await finding.schedules(session.client, schedule or [], cluster)
    if not session.output.table:
        session.output.data(found[0] if len(found) == 1 else {"items": found})
        return
    for number, item in enumerate(found):
        if number:
            session.output.line("\n")
        telling.show(session.output, item, await _coming(session, item), await _gone_by(session, item))


async def _coming(session: Session, item: dict[str, Any]) -> dict[str, Any]:
    """Return the next slots of a schedule, as far as its expression has a meaning here."""
    count = min(_NEXT + int(item.get("skipNext") or 0), _MOST)
    try:
        body = {"cron": item["cron"], "timezone": item.get("timezone") or "UTC", "count": count}
        answer: dict[str, Any] = await session.client.post("/schedules/preview", body)
    except ApiError as error:
        if error.exit_code is not Exit.USAGE:  # it has no meaning, which the reasons say
            raise
        return {}
    return answer


async def _gone_by(session: Session, item: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what became of the last slots; nobody here decides those of Velero's own."""
    if item.get("managedBy") == "Velero":
        return []
    page = await session.client.get(finding.path("schedules", item["id"], "ticks"), {"limit": _LAST})
    items: list[dict[str, Any]] = page["items"]
    return items


async def ticks(
    session: Session,
    schedule: NameOrId,
    *,
    cluster: InCluster = None,
    decision: Annotated[
        list[str],
        typer.Option("--decision", "-d", metavar="DECISION", help="Decided so.", autocompletion=completion.decisions),
    ] = [],  # noqa: B006 - Typer copies it
    after: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Slots from then on.")] = None,
    before: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Slots until then.")] = None,
    limit: arguments.Limit = None,
    cursor: arguments.Cursor = None,
    everything: arguments.All = False,
) -> None:
    """List what became of every slot of a schedule.

    The newest come first. Neighbours that ended alike and ran nothing stand in one line. They are kept for 400 days.
    """
    found = await finding.schedule(session.client, schedule, cluster)
    if found.get("managedBy") == "Velero":
        raise CliError(f"{found['name']} is a Schedule of Velero's own: what it leaves out, nobody writes down")
    params = {
        "decision": [completion.DECISIONS.get(d.lower(), d) for d in decision],
        "from": arguments.moment(after, "--from"),
        "to": arguments.moment(before, "--to"),
        "limit": limit,
        "cursor": cursor,
    }
    next_run = words.moment(found.get("nextRunAt"))
    advice = f"the first one is {next_run}" if next_run != words.UNKNOWN else ""
    of = listing.Listing(finding.path("schedules", found["id"], "ticks"), TICKS, "slots yet", advice)
    await listing.show(session, of, params, everything=everything)


async def preview(
    session: Session,
    cron: Annotated[str, typer.Argument(metavar="CRON", help="'minute hour day month weekday', or @hourly … @yearly.")],
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone",
            "--tz",
            metavar="ZONE",
            help="Where it is that time, e.g. Europe/Berlin (usually UTC).",
            autocompletion=completion.zones,
        ),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", metavar="N", help="How many to show, 1 to 100 [API: 10].")] = None,
) -> None:
    """Show when a cron expression would run.

    In its own time zone, and with what to know before trusting it. Nothing is made.
    """
    body = {key: value for key, value in {"cron": cron, "timezone": timezone, "count": count}.items() if value is not None}
    try:
        answer = await session.client.post("/schedules/preview", body)
    except ApiError as error:
        raise error.told({"/cron": "CRON", "/timezone": "--timezone", "/count": "--count"}, body) from error
    if session.output.table:
        telling.preview(session.output, answer)
    else:
        session.output.data(answer)
