"""What was asked for and what was answered: facts that may arrive in any order. Pure.

Each fact is set once: of two that tell of the same thing the earlier one stays, so that a repetition changes nothing.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from services.status.operations import orders
from services.status.rows import Facts, Limits, after
from services.status.values import cut, mapping, text, words
from shared.contracts.envelope import Envelope
from shared.contracts.events import Accepted, Finished, Rejected, Step
from shared.contracts.names import LABEL_BACKUP_ID, Noun
from shared.contracts.refusals import Code, Refusal

NAMES: Final = ("cluster", "command", "accepted", "rejected", "steps", "finished")
"""The keys of an operation's row that hold its facts."""

_ANSWERS: Final = ("accepted", "rejected", "finished")
"""Those of them that end the waiting for an answer."""
_MOST_STEPS, _LONGEST_DETAIL = 200, 1024

Learn = Callable[[Facts], Facts]
"""How a message adds to the facts of a row: order-free, and the same when done twice."""


def commanded(command: Envelope[Any]) -> Learn:
    """Learn what was asked for, by whom and until when."""
    return _once("command", command, orders.asked(command))


def accepted(answer: Envelope[Accepted]) -> Learn:
    """Learn that the cluster has the object, and what a person should know all the same."""
    made, noun = answer.data.object, answer.data.noun
    fact: dict[str, Any] = {"noun": noun, "name": made.name, "notices": [each.wire() for each in answer.data.notices]}
    if noun == Noun.DELETION:
        labels = words(mapping(made.object.get("metadata")).get("labels"))
        fact |= {"backup": text(labels.get(LABEL_BACKUP_ID)), "name": _name_deleted(made.object) or made.name}
    return _once("accepted", answer, fact)


def _name_deleted(request: Facts) -> str | None:
    return text(mapping(request.get("spec")).get("backupName"))


def rejected(answer: Envelope[Rejected]) -> Learn:
    """Learn that the cluster said no."""
    return _once("rejected", answer, {"refusal": answer.data.refusal.wire()})


def finished(answer: Envelope[Finished]) -> Learn:
    """Learn that work whose end no object shows has ended."""
    return _once("finished", answer, answer.data.wire())


def stepped(answer: Envelope[Step]) -> Learn:
    """Learn how far it has come. One step with two details was told twice; told again alike it is as old as it was."""
    told = {"step": cut(answer.data.step, _LONGEST_DETAIL) or "", "detail": cut(answer.data.words, _LONGEST_DETAIL) or ""}

    def learn(facts: Facts) -> Facts:
        step = {**told, "at": answer.time, "cluster": answer.cluster}
        first: dict[tuple[str, str, str], Facts] = {}
        for each in sorted([*(facts.get("steps") or []), step], key=lambda s: (s["at"], s["step"], s["detail"], s["cluster"])):
            first.setdefault((each["step"], each["detail"], each["cluster"]), each)
        return _own({"cluster": answer.cluster, **facts, "steps": list(first.values())[:_MOST_STEPS]})

    return learn


def _once(name: str, message: Envelope[Any], fact: dict[str, Any]) -> Learn:
    def learn(facts: Facts) -> Facts:
        known = facts.get(name)
        if known is not None and (known["at"], known["cluster"]) <= (message.time, message.cluster):
            return facts
        fact_of = {**fact, "at": message.time, "cluster": message.cluster}
        return _own({"cluster": message.cluster, **facts, name: fact_of})

    return lambda facts: facts if _foreign(facts, message.cluster) else learn(facts)


def _foreign(facts: Facts, cluster: str) -> bool:
    """Tell whether a cluster has no say in an operation: only the one that was asked has, whatever another one claims."""
    asked = facts.get("command")
    return asked is not None and asked["cluster"] != cluster


def _own(facts: Facts) -> Facts:
    """Drop what clusters have told that were not asked, once it is known who was."""
    asked = facts.get("command")
    if asked is None:
        return facts
    kept = {
        key: fact
        for key, fact in facts.items()
        if not (isinstance(fact, dict) and _foreign(facts, fact.get("cluster", asked["cluster"])))
    }
    steps = [step for step in facts.get("steps") or [] if not _foreign(facts, step["cluster"])]
    return {**kept, "cluster": asked["cluster"], **({"steps": steps} if "steps" in facts else {})}


def overdue(facts: Facts, now: datetime, limits: Limits) -> bool:
    """Tell whether the deadline has passed for so long without an answer that none is expected any more."""
    if any(facts.get(answer) for answer in _ANSWERS):
        return False
    deadline = answer_due(facts, limits)
    return deadline is not None and deadline <= now


def answer_due(facts: Facts, limits: Limits) -> datetime | None:
    """Return when silence becomes Expired; None for a command without a deadline, or not seen yet.

    What was begun in time goes on: each step may take a while.
    """
    silent = after((facts.get("command") or {}).get("deadline"), limits.expire_after)
    begun = [moment for step in facts.get("steps") or () if (moment := after(step["at"], limits.step_after))]
    return max(silent, *begun) if silent and begun else silent


def refusal(facts: Facts) -> Refusal | None:
    """Return the cluster's no, unless it has said yes: then the yes counts, whichever came first."""
    no, end = facts.get("rejected"), facts.get("finished")
    yes = facts.get("accepted") or (end and end["succeeded"])
    return Refusal.read(no["refusal"]) if no and not yes else None


def ran_out(facts: Facts, now: datetime, limits: Limits) -> bool:
    """Tell whether the request ended because its deadline passed, by the executor's word or by everybody's silence."""
    no = refusal(facts)
    return no.code == Code.DEADLINE_EXCEEDED if no else overdue(facts, now, limits)
