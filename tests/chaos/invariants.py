"""What must hold when a run is over, judged from outside: the API, the clusters themselves, and the streams."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from tests.chaos import slots
from tests.chaos.asking import Answer
from tests.chaos.slots import Timekeeping
from tests.e2e.product import Listener

Json = dict[str, Any]

SHOWN: Final = {
    "Completed": "Completed",
    "PartiallyFailed": "PartiallyFailed",
    "Failed": "Failed",
    "FailedValidation": "Failed",
}
"""What people must see of a phase that has ended: said here once more, so that a wrong table in status is found."""

ALLOWED: Final[dict[str, set[str | None]]] = {
    "backup": {None, "LocationUnavailable"},
    "again": {None, "LocationUnavailable"},
    "name taken": {"NameTaken", "LocationUnavailable"},
    "no such location": {"LocationUnknown"},
    "no such namespace": {"NamespaceUnknown"},
}
"""With what a request may end: None = accepted."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was gathered after the end of a run."""

    answers: Sequence[Answer]
    operations: dict[str, Json]
    """Every operation as the API tells of it, by id."""
    rows: list[Json]
    """Every backup as the list shows it, whatever its status."""
    objects: dict[str, list[Json]]
    """Every Backup as the API server of a cluster shows it."""
    events: list[tuple[str, Json]]
    """LW_EVENTS: (subject, envelope)."""
    states: list[tuple[str, Json]]
    """LW_STATE, likewise."""
    dead: list[tuple[str, Json]]
    """LW_DLQ, likewise."""
    listeners: Sequence[Listener]
    keeping: Sequence[Timekeeping]
    """Every schedule."""
    died: list[str]
    """Processes that ended although nobody had killed them."""

    @property
    def accepted(self) -> dict[str, Answer]:
        """One answer for each operation that ended in an object."""
        return {a.operation: a for a in self.answers if self.operations[a.operation]["refusal"] is None}


def broken(evidence: Evidence) -> list[str]:
    """Return what does not hold, each as a sentence; nothing is what a run hopes for."""
    return [f"{name}: {finding}" for name, check in INVARIANTS.items() for finding in check(evidence)]


def _every_request_has_an_object_or_a_refusal(e: Evidence) -> Iterator[str]:
    made = {item["metadata"]["labels"]["leeward.dev/operation-id"] for items in e.objects.values() for item in items}
    accepted_names = {(a.request.cluster, a.request.name) for a in e.accepted.values()}
    for answer in e.answers:
        request, operation = answer.request, e.operations[answer.operation]
        code = (operation["refusal"] or {}).get("code")
        allowed = ALLOWED[request.kind]
        if request.kind == "name taken" and e.operations[_original(e, answer)]["refusal"]:
            allowed = allowed | {None}  # the name was free
        if _another_was_first(e, answer):
            allowed = allowed | {"NameTaken"}
        if code not in allowed:
            yield f"{request} ended as {operation['state']} {code}"
        if code is None and answer.operation not in made:
            yield f"{request} was accepted, and its cluster has no object of {answer.operation}"
        if code is not None and answer.operation in made:
            yield f"{request} was refused with {code}, and there is an object of it"
        if code == "NameTaken" and (request.cluster, request.name) not in accepted_names:
            yield f"{request} was refused for a name that nobody has"
        if operation["state"] not in {"Succeeded", "Failed", "Rejected"}:
            yield f"{request} is still {operation['state']}"


def _another_was_first(e: Evidence, answer: Answer) -> bool:
    """Tell whether the name went to another request for it.

    A command that an executor died over comes again after its time, behind those that were asked for later: of two requests
    for one name either may get it.
    """
    wanted = answer.request.cluster, answer.request.name
    return any((a.request.cluster, a.request.name) == wanted for a in e.accepted.values() if a.operation != answer.operation)


def _the_same_key_is_the_same_operation(e: Evidence) -> Iterator[str]:
    for answer in e.answers:
        if answer.request.kind == "again" and answer.operation != _original(e, answer):
            yield f"{answer.request} became operation {answer.operation}, its first became {_original(e, answer)}"


def _nothing_is_doubled(e: Evidence) -> Iterator[str]:
    incarnations: dict[str, set[str]] = defaultdict(set)
    for subject, envelope in e.events:
        if ".backup.observed." in subject:
            labels = envelope["data"]["object"]["metadata"].get("labels", {})
            if operation := labels.get("leeward.dev/operation-id"):
                incarnations[operation].add(envelope["data"]["uid"])
    for items in e.objects.values():
        for item in items:
            incarnations[item["metadata"]["labels"]["leeward.dev/operation-id"]].add(item["metadata"]["uid"])
    for operation, uids in incarnations.items():
        if len(uids) > 1:
            yield f"operation {operation} was made {len(uids)} times: {sorted(uids)}"
    for identity, times in Counter(row["id"] for row in e.rows).items():
        if times > 1:
            yield f"the list shows {identity} {times} times"


def _nothing_has_two_answers(e: Evidence) -> Iterator[str]:
    answered: dict[str, set[str]] = defaultdict(set)
    for subject, _ in e.events:
        parts = subject.split(".")
        if parts[3:4] == ["operation"] and parts[4] in {"accepted", "rejected"}:
            answered[parts[5]].add(parts[4])
    for operation, verbs in answered.items():
        if len(verbs) > 1:
            yield f"operation {operation} was both accepted and rejected"


def _the_list_is_what_the_clusters_have(e: Evidence) -> Iterator[str]:
    listed = {(row["cluster"], row["name"]): row for row in e.rows if row["status"] != "Refused"}
    for cluster, items in e.objects.items():
        for item in items:
            name, phase = item["metadata"]["name"], item.get("status", {}).get("phase")
            row = listed.pop((cluster, name), None)
            if row is None:
                yield f"{cluster}/{name} is in the cluster and not in the list"
            elif (row["status"], row["phase"]) != (SHOWN.get(phase), phase):
                yield f"{cluster}/{name} is {phase} in the cluster, the list shows {row['status']} ({row['phase']})"
            elif row["id"] != item["metadata"]["labels"]["leeward.dev/operation-id"]:
                yield f"{cluster}/{name} is listed as {row['id']}, which is not its operation"
    for cluster, name in listed:
        yield f"{cluster}/{name} is in the list and not in the cluster"


def _every_change_is_announced_once_and_in_order(e: Evidence) -> Iterator[str]:
    chains: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for subject, envelope in e.states:
        chains[subject.split(".")[3], envelope["data"]["id"]].append(envelope["data"])
    now = {("backup", row["id"]): row["status"] for row in e.rows}
    now |= {("schedule", kept.document["_id"]): kept.shown["status"] for kept in e.keeping}
    now |= {("operation", identity): operation["state"] for identity, operation in e.operations.items()}
    for (noun, identity), status in now.items():
        chain = chains[noun, identity]
        steps = [(change.get("from"), change["to"]) for change in chain]
        if len({change["seq"] for change in chain}) < len(chain):
            yield f"a change of {noun} {identity} was announced twice: {steps}"
        if not steps:
            yield f"{noun} {identity} was never announced"
        elif [before for before, _ in steps] != [None, *(to for _, to in steps[:-1])] or steps[-1][1] != status:
            yield f"the announcements of {noun} {identity} are {steps}, it is {status}"


def _every_listener_heard_every_change_once(e: Evidence) -> Iterator[str]:
    for number, listener in enumerate(e.listeners):
        heard: dict[str, list[str]] = defaultdict(list)
        for kind, event, data in listener.events:
            if kind == "backup" and event:
                heard[data["id"]].append(data["status"])
        for row in e.rows:
            said = heard[row["id"]]
            if said[-1:] != [row["status"]] and row["status"] != "Refused":
                yield f"listener {number} last heard {said} of {row['name']}, it is {row['status']}"
            if any(one == following for one, following in pairwise(said)):
                yield f"listener {number} heard {said} of {row['name']}"


def _nothing_was_given_up_on(e: Evidence) -> Iterator[str]:
    for subject, _ in e.dead:
        yield f"a dead letter on {subject}"


def _nobody_died_of_it(e: Evidence) -> Iterator[str]:
    yield from e.died


INVARIANTS: Final[dict[str, Callable[[Evidence], Iterator[str]]]] = {
    "every request has one object or a refusal": _every_request_has_an_object_or_a_refusal,
    "the same key is the same operation": _the_same_key_is_the_same_operation,
    "nothing is doubled": _nothing_is_doubled,
    "nothing has two answers": _nothing_has_two_answers,
    "the list is what the clusters have": _the_list_is_what_the_clusters_have,
    "every change is announced once and in order": _every_change_is_announced_once_and_in_order,
    "every listener heard every change once": _every_listener_heard_every_change_once,
    "every slot was decided once": lambda e: slots.every_slot_was_decided_once(e.keeping),
    "what was fired has an end": lambda e: slots.what_was_fired_has_an_end(e.keeping),
    "no slot has two backups": lambda e: slots.no_slot_has_two_backups_and_no_backup_has_no_slot(e.keeping, e.objects),
    "schedules are shown as they are": lambda e: slots.schedules_are_shown_as_they_are(e.keeping, e.objects),
    "nothing was given up on": _nothing_was_given_up_on,
    "no process died of it": _nobody_died_of_it,
}


def _original(e: Evidence, answer: Answer) -> str:
    return next(a.operation for a in e.answers if a.request.number == answer.request.of)
