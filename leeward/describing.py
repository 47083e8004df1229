"""What became of a request, an operation or a cluster, for people."""

from collections.abc import Mapping
from typing import Any

from leeward import specs, telling, words
from leeward.columns import dig
from leeward.errors import CliError, Exit
from leeward.nouns import Noun
from leeward.output import Output
from leeward.problems import ApiError, as_typed
from leeward.waiting import Seen, step
from shared.contracts.phases import OperationState
from shared.runtime import clock

Item = Mapping[str, Any]


def asked(output: Output, seen: Seen) -> Exit | None:
    """Say what has become of a request that nobody waits for."""
    if seen.ended:
        return ended(output, seen)
    noun, answer = seen.noun, seen.item or seen.operation or {}
    cluster = words.plain(answer.get("cluster"))
    if not output.table:
        output.data(answer)
        return None
    if seen.item is not None:
        output.line(f"{noun.name} {words.plain(answer.get('name'))} {noun.begun} cluster {cluster}")
    else:
        until = words.moment(answer.get("deadline"), seconds=True)
        output.line(f"{noun.name} asked for, cluster {cluster} has not answered yet (it has until {until})")
    output.say(f"id {seen.id}: `leeward {noun.name} wait {seen.id}` waits for it")
    return None


def ended(output: Output, seen: Seen) -> Exit:
    """Say how a backup or a restore ended, and return the exit code that says so.

    Raises CliError when the cluster never made it.
    """
    if not output.table:
        made = seen.item is not None and bool(seen.item.get("outcome"))
        output.data(seen.item if made or seen.operation is None else seen.operation)
    if seen.operation is not None and (seen.item is None or not seen.item.get("outcome")):
        raise _not_made(seen.operation, seen.noun)
    if output.table and seen.item is not None:
        output.facts(telling.short(seen.item))
        if seen.exit_code is not Exit.OK:
            output.say(f"`leeward {seen.noun.name} describe {seen.id}` shows all that is known")
    return seen.exit_code


def _not_made(operation: Item, noun: Noun) -> CliError:
    refusal, cluster = operation.get("refusal"), words.plain(operation.get("cluster"))
    if operation.get("state") == OperationState.EXPIRED:
        until = words.moment(operation.get("deadline"), seconds=True)
        return CliError(
            f"cluster {cluster} did not take the request in time (until {until}): {noun.nothing}",
            hints=[f"`leeward cluster get {cluster}` shows whether it answers; --deadline gives it longer"],
        )
    if isinstance(refusal, Mapping):
        return ApiError.of(refusal, cluster=cluster)
    return CliError(f"cluster {cluster}: {noun.nothing} ({words.plain(operation.get('state'))})")


def operation(output: Output, item: Item) -> None:
    """Print all that is known of an operation."""
    output.facts(
        {
            "Id": item.get("id"),
            "Kind": item.get("kind"),
            "Cluster": item.get("cluster"),
            "State": item.get("state"),
            "Why": as_typed(words.plain(dig(item, "refusal", "detail"))),
            "Asked By": item.get("principal"),
            "Asked": words.moment(item.get("createdAt"), seconds=True),
            "Deadline": words.moment(item.get("deadline"), seconds=True),
            "Cluster Last Seen": words.moment(item.get("clusterLastSeenAt"), seconds=True),
            "Made": dig(item, "object", "name"),
        }
    )
    steps = [f"{words.moment(s.get('at'), seconds=True)}  {step(s)}" for s in item.get("steps") or []]
    output.section("Steps", steps)
    output.section("Findings", telling.findings(item))
    output.section("Notes", telling.notices(item, {}))


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
            "Node Agent": dig(item, "velero", "nodeAgent"),
            "Production": specs.selector(item.get("productionSelector")),
            "Non-production": specs.selector(item.get("nonProductionSelector")),
            "Data Movers": item.get("dataMovers"),
            "Registered By": item.get("createdBy"),
            "Registered": words.moment(item.get("createdAt"), seconds=True),
            "As Of": words.ago(item.get("asOf"), now),
        }
    )
    output.section("Problems", telling.problems(item.get("problems") or []))
