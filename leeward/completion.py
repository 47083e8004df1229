"""What the shell offers when Tab is pressed. Fails silently and fast: a prompt must never hang or show an error."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import typer

from shared.contracts.phases import BackupStatus, LocationStatus, Outcome, RestoreStatus, ScheduleStatus

_PATIENCE = 2.0
_OFFERED = 100
STATUSES: Mapping[str, str] = {s.lower(): s.value for s in BackupStatus if s is not BackupStatus.REFUSED}
"""Statuses as people type them, and as the API calls them."""
SCHEDULE_STATUSES: Mapping[str, str] = {s.lower(): s.value for s in ScheduleStatus if s is not ScheduleStatus.DELETED}
RESTORE_STATUSES: Mapping[str, str] = {s.lower(): s.value for s in RestoreStatus}
LOCATION_STATUSES: Mapping[str, str] = {s.lower(): s.value for s in LocationStatus if s is not LocationStatus.DELETED}
DECISIONS: Mapping[str, str] = {d.lower(): d for d in ("Triggered", "Skipped", "Paused", "Invalid", "Missed", "Superseded")}
"""As above. Their own words stand with the models, which take their time to load."""
_SORTS = ("name", "createdAt", "expiresAt", "size", "status", "cluster")
_RESTORE_SORTS = ("name", "createdAt", "status", "cluster")
_SCHEDULE_SORTS = ("name", "cluster", "status", "nextRunAt", "lastBackupAt", "createdAt")


def _among(words: list[str]) -> Callable[[str], list[str]]:
    """Offer words, also to who types them in lower case: Typer drops what does not begin as typed."""

    def offer(incomplete: str) -> list[str]:
        begun = [word for word in words if word.startswith(incomplete)]
        return begun or [word.lower() for word in words if word.lower().startswith(incomplete)]

    return offer


statuses = _among(list(STATUSES.values()))
outcomes = _among([o.value for o in Outcome])
schedule_statuses = _among(list(SCHEDULE_STATUSES.values()))
location_statuses = _among(list(LOCATION_STATUSES.values()))
restore_statuses = _among(list(RESTORE_STATUSES.values()))
restore_sorts = _among([f"{sign}{name}" for sign in ("", "-") for name in _RESTORE_SORTS])
modes = _among(["hub", "agent"])
decisions = _among(list(DECISIONS.values()))
schedule_sorts = _among([f"{sign}{name}" for sign in ("", "-") for name in _SCHEDULE_SORTS])
sorts = _among([f"{sign}{name}" for sign in ("", "-") for name in _SORTS])


def clusters(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the clusters."""
    return [name for name in _ask(ctx, "/clusters", {"limit": 500}, "id") if name.startswith(incomplete)]


def backups(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the newest backups whose names begin so."""
    return _named(ctx, "/backups", ctx.params.get("from_cluster" if "from_cluster" in ctx.params else "cluster"), incomplete)


def restores(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the newest restores whose names begin so."""
    return _named(ctx, "/restores", ctx.params.get("cluster"), incomplete)


def schedules(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the schedules whose names begin so."""
    return _named(ctx, "/schedules", ctx.params.get("from_cluster" if "from_cluster" in ctx.params else "cluster"), incomplete)


def locations_of_command(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the storage locations whose names begin so; the snapshot locations where these are meant."""
    snapshots = ctx.parent is not None and ctx.parent.info_name == "snapshot-location"
    things = "/snapshot-locations" if snapshots else "/storage-locations"
    return _named(ctx, things, ctx.params.get("cluster"), incomplete)


def _named(ctx: typer.Context, path: str, cluster: Any, incomplete: str) -> list[str]:
    params = {"search": incomplete or None, "cluster": cluster, "limit": _OFFERED}
    return list(dict.fromkeys(name for name in _ask(ctx, path, params, "name") if name.startswith(incomplete)))


def zones(_ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the time zones that this machine knows."""
    return sorted(name for name in available_timezones() if name.lower().startswith(incomplete.lower()))


def namespaces(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the namespaces of the cluster that is named; the last of several with commas."""
    return _last(incomplete, _ask(ctx, f"/clusters/{ctx.params.get('cluster')}/namespaces", {"limit": 500}, "name"))


def kinds(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer what can be chosen in the cluster that is named."""
    return _last(incomplete, _ask(ctx, f"/clusters/{ctx.params.get('cluster')}/resources", {"limit": 500}, "name"))


def locations(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the storage locations of the cluster that is named."""
    params = {"cluster": ctx.params.get("cluster"), "limit": 500}
    return _last(incomplete, _ask(ctx, "/storage-locations", params, "name"))


def _last(incomplete: str, words: list[str]) -> list[str]:
    """Offer what goes on behind the last comma."""
    before, comma, begun = incomplete.rpartition(",")
    return sorted({f"{before}{comma}{word}" for word in words if word.startswith(begun)})


FIELDS: Mapping[str, Callable[..., list[str]]] = {
    "--cluster": clusters,
    "--backup": backups,
    "--schedule": schedules,
    "--existing-resource-policy": _among(["none", "update"]),
    "--access-mode": _among(["ReadWrite", "ReadOnly"]),
    "--provider": _among(["aws", "azure", "gcp"]),
    "--namespace": namespaces,
    "--exclude-namespace": namespaces,
    "--storage-location": locations,
    "--timezone": zones,
    "--concurrency": _among(["forbid", "allow"]),
    "--misfire": _among(["latest", "all", "none"]),
    **{
        f"--{verb}-{which}resources": kinds
        for verb in ("include", "exclude")
        for which in ("", "cluster-scoped-", "namespace-scoped-")
    },
}
"""What is offered for the values of the options that fill a request."""


def _ask(ctx: typer.Context, path: str, params: Mapping[str, Any], key: str) -> list[str]:
    with contextlib.suppress(Exception):
        from leeward.client import Client  # noqa: PLC0415 - only who asks waits for it
        from leeward.settings import Given, find  # noqa: PLC0415 - as above

        async def ask() -> list[str]:
            given = Given(*(ctx.params.get(name) for name in ("url", "token_file", "ca_file")))
            async with asyncio.timeout(_PATIENCE), Client(find(given, os.environ, Path.cwd())) as client:
                return [str(item[key]) for item in (await client.get(path, params))["items"]]

        return asyncio.run(ask())
    return []
