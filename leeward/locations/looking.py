"""Looking at locations: one line, all that is known, and finding one by its name."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from leeward import finding, telling, words
from leeward.arguments import InCluster
from leeward.columns import dig
from leeward.errors import CliError, Exit
from leeward.locations.arguments import Name, Names
from leeward.locations.sorts import Sort
from leeward.output import Output
from leeward.problems import ApiError
from leeward.session import Session
from shared.runtime import clock

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client

Item = Mapping[str, Any]
_OF_LOCATIONS = frozenset({"SharedBucket"})
"""Problems of a cluster that are about one of its storage locations."""


async def find(client: "Client", sort: Sort, name: str, cluster: str | None) -> dict[str, Any]:
    """Return a location by its name.

    Raises CliError when there is none, or several clusters have one of that name.
    """
    return await finding.place(client, sort.segment, sort.command, name, cluster)


async def find_all(client: "Client", sort: Sort, names: Sequence[str], cluster: str | None) -> list[dict[str, Any]]:
    """Return locations by their names; each once.

    Raises CliError when one of them cannot be found.
    """
    if not names:
        raise CliError(f"name {sort.words}s", Exit.USAGE)
    found = [await find(client, sort, name, cluster) for name in names]
    return list({(item["cluster"], item["name"]): item for item in found}.values())


async def get(sort: Sort, session: Session, name: Name, cluster: InCluster = None) -> None:
    """Show a {noun} in one line; -o json has all of it."""
    found = await find(session.client, sort, name, cluster)
    if session.output.table:
        session.output.rows(sort.columns, [found])
    else:
        session.output.data(found)


async def describe(sort: Sort, session: Session, name: Names = None, *, cluster: InCluster = None) -> None:
    """Show all that is known of {noun}s, and what is wrong with them."""
    found = await find_all(session.client, sort, name or [], cluster)
    if not session.output.table:
        session.output.data(found[0] if len(found) == 1 else {"items": found})
        return
    for number, item in enumerate(found):
        if number:
            session.output.line("\n")
        show(session.output, item, await _problems(session.client, item) if sort.validated else ())


async def _problems(client: "Client", item: Item) -> list[Item]:
    """Return what its cluster says is wrong with a location; nothing if that cannot be had."""
    with contextlib.suppress(ApiError):
        cluster = await client.get(finding.path("clusters", str(item["cluster"])))
        return [p for p in cluster.get("problems") or [] if p.get("code") in _OF_LOCATIONS and p.get("object") == item["name"]]
    return []


def show(output: Output, item: Item, problems: Sequence[Item] = ()) -> None:
    """Print all that is known of a location; `problems` are those of its cluster that are about it."""
    now, spec = clock.now(), item.get("spec") or {}
    secret = spec.get("credential") or {}
    output.facts(
        {
            "Name": item.get("name"),
            "Cluster": item.get("cluster"),
            "Status": item.get("status"),
            "Message": item.get("message"),
            "Mirror Of": f"cluster {words.plain(item['mirrorOf'])}, for a restore" if item.get("mirrorOf") else None,
            "Shared Bucket": "others may write into the same place" if item.get("sharedBucket") else None,
        }
    )
    output.section("Problems", telling.problems(problems))
    output.section(
        "Storage",
        {
            "Provider": item.get("provider"),
            "Bucket": item.get("bucket"),
            "Prefix": item.get("prefix"),
            "Access": item.get("accessMode"),
            "Default": item.get("default"),
            "Certificates": "of its own" if dig(spec, "objectStorage", "caCert") else None,
            "Credential": f"Secret {words.plain(secret.get('name'))}, key {words.plain(secret.get('key'))}" if secret else None,
            "Sync Period": spec.get("backupSyncPeriod"),
            "Validation Frequency": spec.get("validationFrequency"),
        },
    )
    output.section("Config", spec.get("config") or {})
    output.section(
        "Seen",
        {
            "Velero Namespace": item.get("namespace"),
            "Validated": words.ago(item.get("lastValidatedAt"), now),
            "Synced": words.ago(item.get("lastSyncedAt"), now),
        },
    )
