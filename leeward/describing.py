"""What became of a request, an operation or a cluster, for people."""

from collections.abc import Mapping
from typing import Any

from leeward import detail, words
from leeward.columns import dig
from leeward.errors import CliError, Exit
from leeward.output import Output
from leeward.problems import ApiError
from leeward.waiting import Seen
from shared.contracts.phases import OperationState
from shared.runtime import clock

Item = Mapping[str, Any]


def asked(output: Output, seen: Seen) -> Exit | None:
    """Say what has become of a request that nobody waits for."""
    if seen.ended:
        return ended(output, seen)
    answer = seen.backup or seen.operation or {}
    if not output.table:
        output.data(answer)
        return None
    if seen.backup is not None:
        output.line(f"backup {words.plain(answer.get('name'))} is being made in cluster {words.plain(answer.get('cluster'))}")
    else:
        until = words.moment(answer.get("deadline"), seconds=True)
        output.line(
            f"backup asked for, cluster {words.plain(answer.get('cluster'))} has not answered yet (it has until {until})"
        )
    output.say(f"id {seen.id}: `leeward backup wait {seen.id}` waits for it")
    return None


def ended(output: Output, seen: Seen) -> Exit:
    """Say how a backup ended, and return the exit code that says so.

    Raises CliError when the cluster never made one.
    """
    if not output.table:
        output.data(seen.backup if seen.backup and seen.operation is None else seen.operation or seen.backup)
    if seen.operation is not None and (seen.backup is None or not seen.backup.get("outcome")):
        raise _not_made(seen.operation)
    if output.table and seen.backup is not None:
        output.facts(detail.short(seen.backup))
        if seen.exit_code is not Exit.OK:
            output.say(f"`leeward backup describe {seen.id}` shows all that is known")
    return seen.exit_code


def _not_made(operation: Item) -> CliError:
    refusal, cluster = operation.get("refusal"), words.plain(operation.get("cluster"))
    if operation.get("state") == OperationState.EXPIRED:
        until = words.moment(operation.get("deadline"), seconds=True)
        return CliError(
            f"cluster {cluster} did not take the request in time (until {until}): no backup was made",
            hints=[f"`leeward cluster get {cluster}` shows whether it answers; --deadline gives it longer"],
        )
    if isinstance(refusal, Mapping):
        return ApiError.of(refusal, cluster=cluster)
    return CliError(f"cluster {cluster} made no backup: {words.plain(operation.get('state'))}")


def operation(output: Output, item: Item) -> None:
    """Print all that is known of an operation."""
    output.facts(
        {
            "Id": item.get("id"),
            "Kind": item.get("kind"),
            "Cluster": item.get("cluster"),
            "State": item.get("state"),
            "Why": dig(item, "refusal", "detail"),
            "Asked By": item.get("principal"),
            "Asked": words.moment(item.get("createdAt"), seconds=True),
            "Deadline": words.moment(item.get("deadline"), seconds=True),
            "Cluster Last Seen": words.moment(item.get("clusterLastSeenAt"), seconds=True),
            "Made": dig(item, "object", "name"),
        }
    )
    steps = [
        f"{words.moment(s.get('at'), seconds=True)}  {s.get('step')}  {s.get('detail', '')}".rstrip()
        for s in item.get("steps") or []
    ]
    output.section("Steps", steps)
    output.section("Notes", detail.notices(item, {}))


def cluster(output: Output, item: Item) -> None:
    """Print all that is known of a cluster."""
    now = clock.now()
    output.facts(
        {
            "Name": item.get("id"),
            "Display Name": item.get("displayName"),
            "Status": item.get("status"),
            "Last Seen": words.ago(item.get("lastSeenAt"), now),
            "Mode": item.get("mode"),
            "Kubernetes": item.get("kubernetesVersion"),
            "Velero": dig(item, "velero", "version"),
            "Velero Namespace": dig(item, "velero", "namespace"),
            "Plugins": dig(item, "velero", "plugins"),
            "Production": detail.selector(item.get("productionSelector")),
            "Non-production": detail.selector(item.get("nonProductionSelector")),
            "Data Movers": item.get("dataMovers"),
            "Registered By": item.get("createdBy"),
            "Registered": words.moment(item.get("createdAt"), seconds=True),
            "As Of": words.ago(item.get("asOf"), now),
        }
    )
    found = [f"{p.get('code')}: {p.get('message', '')}" for p in item.get("problems") or []]
    output.section("Problems", found)
