"""Finding things by what people call them."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from leeward import words
from leeward.errors import CliError, Exit
from leeward.problems import ApiError
from leeward.request import words as words_of
from shared.contracts.phases import BackupStatus, RestoreStatus

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client


_PAGE = 500
_SUGGESTIONS = 5


def path(*steps: str) -> str:
    """Return an address below the API; what people type never leaves its place in it."""
    return "".join(f"/{quote(step, safe='')}" for step in steps)


@dataclass(frozen=True, slots=True)
class _Way:
    """How one of several things that share a name is meant.

    `gone`: the statuses of those that no list shows by itself, and that are looked through as well.
    """

    things: str
    own: Callable[[Mapping[str, Any]], bool]
    gone: Sequence[str] = ()


_WAYS: Mapping[str, _Way] = {
    "backup": _Way("backups", lambda item: not item.get("replica"), [BackupStatus.DELETED]),  # other clusters see copies of it
    "restore": _Way("restores", lambda _item: True, [RestoreStatus.DELETED, RestoreStatus.REFUSED]),
    "schedule": _Way("schedules", lambda item: item.get("managedBy") != "Velero"),  # one of Velero's own beside ours
}


async def thing(
    client: "Client", noun: str, name_or_id: str, cluster: str | None, *, option: str = "--cluster"
) -> dict[str, Any]:
    """Return a thing in full, by its id or by its name; `option` is the one that names its cluster.

    A copy that another cluster still shows never stands for an original that was deleted: that one is returned, as it is.
    Raises CliError when there is none, or several of that name.
    """
    way = _WAYS[noun]
    found = await _by_id(client, way.things, name_or_id)
    if found is not None and cluster in {None, found.get("cluster")}:
        return found
    near = [item async for item in _named(client, way.things, name_or_id, cluster)]
    same = [item for item in near if item["name"] == name_or_id]
    copies = cluster is None and not any(map(way.own, same))
    if way.gone and (not same or copies):  # what is known of those that have gone is kept for a while
        gone = [item async for item in _named(client, way.things, name_or_id, cluster, status=way.gone)]
        begun = {item.get("startedAt") for item in same} - {None}
        same += [i for i in gone if i["name"] == name_or_id and (not same or (way.own(i) and i.get("startedAt") in begun))]
    same = [item for item in same if way.own(item)] or same
    only = _only(noun, name_or_id, cluster, same, near, option)
    answer: dict[str, Any] = await client.get(path(way.things, only["id"]))
    return answer


async def backup(client: "Client", name_or_id: str, cluster: str | None) -> dict[str, Any]:
    """Return a backup in full. As `thing`."""
    return await thing(client, "backup", name_or_id, cluster)


async def restore(client: "Client", name_or_id: str, cluster: str | None) -> dict[str, Any]:
    """Return a restore in full. As `thing`."""
    return await thing(client, "restore", name_or_id, cluster)


async def schedule(client: "Client", name_or_id: str, cluster: str | None) -> dict[str, Any]:
    """Return a schedule in full. As `thing`."""
    return await thing(client, "schedule", name_or_id, cluster)


async def restores(client: "Client", names: Sequence[str], cluster: str | None) -> list[dict[str, Any]]:
    """Return restores in full by names or ids; each once.

    Raises CliError when one of them cannot be found.
    """
    if not names:
        raise CliError("name restores", Exit.USAGE)
    found = [await restore(client, name, cluster) for name in names]
    return list({item["id"]: item for item in found}.values())


async def schedules(
    client: "Client", names: Sequence[str], cluster: str | None, *, everything: bool = False
) -> list[dict[str, Any]]:
    """Return schedules by names or ids, or all of a cluster that are Leeward's; each once.

    Raises CliError when one of them cannot be found.
    """
    if bool(names) == everything:
        raise CliError("name schedules, or take all of a cluster (--all --cluster C), one of both", Exit.USAGE)
    if not everything:
        found = [await schedule(client, name, cluster) for name in names]
    elif cluster is None:
        raise CliError("--all is every schedule of one cluster: name it (--cluster)", Exit.USAGE)
    else:
        pages = client.pages("/schedules", {"cluster": cluster, "limit": _PAGE})
        found = [item async for page in pages for item in page["items"] if item.get("managedBy") != "Velero"]
    return list({item["id"]: item for item in found}.values())


async def place(client: "Client", things: str, noun: str, name: str, cluster: str | None) -> dict[str, Any]:
    """Return a location as a list shows it, by its name.

    Raises CliError when there is none, or several clusters have one of that name.
    """
    near = [item async for item in _named(client, things, name, cluster)]
    return _only(noun, name, cluster, [item for item in near if item["name"] == name], near)


def _only(
    noun: str,
    name: str,
    cluster: str | None,
    same: Sequence[dict[str, Any]],
    near: Sequence[Mapping[str, Any]],
    option: str = "--cluster",
) -> dict[str, Any]:
    """Return the one that is called so; `near` are those that it may have been taken for.

    Raises CliError when there is none, or several.
    """
    if len(same) == 1:
        return same[0]
    where = f" in cluster {cluster}" if cluster else ""
    if not same:
        names = sorted({str(item["name"]) for item in near})[:_SUGGESTIONS]
        hints = [f"did you mean {', '.join(names)}?"] if names else [f"`leeward {noun} list` shows those that exist"]
        raise CliError(f"there is no {noun} {name}{where}", Exit.NOT_FOUND, hints=hints)
    rows = [
        f"cluster {item['cluster']}, {item['status']}"
        + (f", made {words.moment(item['createdAt'])}: id {item['id']}" if item.get("createdAt") else "")
        for item in same
    ]
    clusters = sorted({str(item["cluster"]) for item in same})
    several = [f"add {option} {' or '.join(clusters[:_SUGGESTIONS])}"] if len(clusters) == len(same) else []
    by_id = ["use an id"] if "createdAt" in same[0] else []
    advice = ", or ".join([*several, *by_id])
    raise CliError("\n  ".join([f"{len(same)} {noun}s are called {name}{where}", *rows]), Exit.USAGE, hints=[advice])


async def backups(
    client: "Client", names: Sequence[str], cluster: str | None, selector: str | None = None, *, everything: bool = False
) -> list[dict[str, Any]]:
    """Return backups in full by names or ids, or as a list shows them by labels, or all of them; each once.

    Raises CliError when one of them cannot be found.
    """
    ways = [bool(names), selector is not None, everything]
    if sum(ways) != 1:
        raise CliError("name backups, or choose them by labels (--selector), one of both", Exit.USAGE)
    if names:
        found = [await backup(client, name, cluster) for name in names]
    else:
        found = await _labelled(client, selector, cluster)
    return list({item["id"]: item for item in found}.values())


async def _labelled(client: "Client", selector: str | None, cluster: str | None) -> list[dict[str, Any]]:
    """Return the backups that have all of these labels; copies of other clusters' are left out."""
    terms = [term.partition("=") for term in words_of([selector])] if selector is not None else []
    if selector is not None and (not terms or not all(key for key, _, _ in terms)):
        raise CliError(f"--selector: {selector!r} is not written as key=value or key", Exit.USAGE)
    params = {"label": ["".join(terms[0])] if terms else None, "cluster": cluster, "limit": _PAGE}
    return [
        item
        async for page in client.pages("/backups", params)
        for item in page["items"]
        if not item.get("replica") and all(_has(item.get("labels") or {}, *term) for term in terms)
    ]


def _has(labels: Mapping[str, str], key: str, equals: str, value: str) -> bool:
    return labels.get(key) == value if equals else key in labels


async def _by_id(client: "Client", things: str, identity: str) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = await client.get(path(things, identity))
    except ApiError as error:
        if error.exit_code is not Exit.NOT_FOUND:
            raise
        return None
    return answer if "id" in answer else None  # `summary` is an address of its own


async def _named(client: "Client", things: str, name: str, cluster: str | None, **filters: Any) -> Any:
    params = {"search": name, "cluster": cluster, "limit": _PAGE, "sort": "name", **filters}
    async for page in client.pages(path(things), params):
        for item in page["items"]:
            yield item


async def known_clusters(client: "Client") -> list[str]:
    """Say which clusters there are, for somebody who has named another one; nothing if that cannot be said now."""
    with contextlib.suppress(CliError):
        names = [item["id"] async for page in client.pages("/clusters", {"limit": _PAGE}) for item in page["items"]]
        if not names:
            return ["there is no cluster yet: `leeward cluster add NAME` registers one"]
        return [f"clusters: {', '.join(names)}"]
    return []
