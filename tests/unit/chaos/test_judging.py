"""The judge of a chaos run: an innocent run is found innocent, and each kind of harm is found."""

import copy
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.chaos.asking import Answer, body, headers
from tests.chaos.invariants import Evidence, broken
from tests.chaos.plan import FAULTS, LEAST, NEVER_NOW, OFTEN, RARER, SCHEDULES, WISHES, Request, plan
from tests.chaos.slots import Timekeeping
from tests.chaos.world import FAULTS as DOING


def innocent(mine="op0", theirs="op2"):
    good = Answer(Request(0, "backup", "eu1", "shop"), 201, {"id": mine, "operationId": mine}, 1)
    again = Answer(Request(1, "again", "eu1", "shop", of=0), 202, {"id": mine}, 2)
    taken = Answer(Request(2, "name taken", "eu1", "shop", of=0), 409, {"operationId": theirs}, 1)
    labels = {"leeward.dev/operation-id": "op0"}
    made = {"metadata": {"name": "chaos-0", "uid": "u0", "labels": labels}, "status": {"phase": "Completed"}}
    row = {"id": "op0", "cluster": "eu1", "name": "chaos-0", "status": "Completed", "phase": "Completed"}
    observed = {"data": {"uid": "u0", "object": {"metadata": {"labels": labels}}}}
    statuses = [(i, s) for i in ("op5", "op0") for s in ("Creating", "Completed")]
    heard = SimpleNamespace(events=[("backup", f"{i}-{s}", {"id": i, "status": s}) for i, s in statuses])
    return Evidence(
        answers=[good, again, taken],
        operations={
            "op0": {"state": "Succeeded", "refusal": None},
            "op2": {"state": "Rejected", "refusal": {"code": "NameTaken"}},
        },
        rows=[row, {"id": "op5", "cluster": "us1", "name": "prompt-1", "status": "Completed", "phase": "Completed"}],
        objects={"eu1": [made], "us1": [of_schedule()]},
        events=[
            ("lw.evt.eu1.backup.observed.u0", observed),
            ("lw.evt.eu1.operation.accepted.op0", {"data": {}}),
            ("lw.evt.eu1.operation.rejected.op2", {"data": {}}),
        ],
        states=[
            *chain("backup", "op0", "Creating", "Completed"),
            *chain("operation", "op0", "Queued", "Accepted", "Succeeded"),
            *chain("operation", "op2", "Queued", "Rejected"),
            *chain("backup", "op5", "Creating", "Completed"),
            *chain("schedule", "s1", "New", "Active"),
        ],
        dead=[],
        listeners=[heard],
        keeping=[timed()],
        died=[],
    )


SLOT = datetime(2026, 3, 1, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def timed():
    """A schedule of three slots: one that ran, one that was paused, one that was refused; and its backup `op5`."""
    eras = [
        {"from": SLOT - MINUTE, "cron": OFTEN},
        {"from": SLOT + MINUTE / 2, "cron": RARER},
        {"from": SLOT + 3 * MINUTE, "cron": NEVER_NOW},
    ]
    pauses = [{"from": SLOT - MINUTE / 2, "to": SLOT - MINUTE / 3}]
    document = {"_id": "s1", "name": "prompt", "cluster": "us1", "eras": eras, "pauses": pauses, "version": 4}
    shown = {"status": "Active", "version": 4, "reasons": []}
    backup = {"id": "op5", "name": "prompt-1", "status": "Completed"}
    ticks = [
        tick(SLOT + 2 * MINUTE, "Triggered", "op6", result="Overlap", refusal={"code": "Overlap"}),
        tick(SLOT, "Triggered", "op5", result="Accepted", backup=backup),
    ]
    return Timekeeping(document, shown, ticks)


def tick(slot, decision, identity, **facts):
    at = slot.isoformat()
    return {
        "id": identity,
        "from": at,
        "to": at,
        "count": 1,
        "decision": decision,
        "result": None,
        "refusal": None,
        "backup": None,
        **facts,
    }


def of_schedule():
    labels = {"leeward.dev/operation-id": "op5", "leeward.dev/schedule-id": "s1"}
    metadata = {"name": "prompt-1", "uid": "u5", "labels": labels, "annotations": {"leeward.dev/slot": SLOT.isoformat()}}
    return {"metadata": metadata, "status": {"phase": "Completed"}}


def chain(noun, identity, *statuses):
    before = [None, *statuses]
    return [
        (f"lw.state.eu1.{noun}.{to}.{identity}", {"data": {"id": identity, "seq": n, "from": before[n], "to": to}})
        for n, to in enumerate(statuses)
    ]


def test_an_innocent_run_is_found_innocent():
    assert broken(innocent()) == []


def test_of_two_requests_for_one_name_either_may_get_it():
    """A command that an executor died over comes again behind those that were asked for later."""
    assert broken(innocent(mine="op2", theirs="op0")) == []


HARM = {
    "a second object": lambda e: e.objects["eu1"].append(
        {**e.objects["eu1"][0], "metadata": {**e.objects["eu1"][0]["metadata"], "uid": "u1"}}
    ),
    "a second object that is gone": lambda e: e.events.append(
        ("lw.evt.eu1.backup.observed.u9", {"data": {**e.events[0][1]["data"], "uid": "u9"}})
    ),
    "a lost object": lambda e: e.objects["eu1"].clear(),
    "an object of a refusal": lambda e: e.objects["us1"].append(
        {"metadata": {"name": "x", "uid": "u2", "labels": {"leeward.dev/operation-id": "op2"}}, "status": {"phase": "New"}}
    ),
    "a wrong refusal": lambda e: e.operations["op2"].update(refusal={"code": "LocationUnknown"}),
    "a request without an end": lambda e: e.operations["op0"].update(state="Queued"),
    "another operation for the same key": lambda e: e.answers[1].body.update(id="op2"),
    "two answers": lambda e: e.events.append(("lw.evt.eu1.operation.rejected.op0", {"data": {}})),
    "a row twice": lambda e: e.rows.append(dict(e.rows[0])),
    "a row too few": lambda e: e.rows.clear(),
    "a wrong status": lambda e: e.rows[0].update(status="Failed"),
    "an announcement twice": lambda e: e.states.append(e.states[1]),
    "a lost announcement": lambda e: e.states.pop(0),
    "an operation's lost announcement": lambda e: e.states.pop(3),
    "a listener who missed the end": lambda e: e.listeners[0].events.pop(),
    "a listener who heard a thing twice": lambda e: e.listeners[0].events.append(e.listeners[0].events[-1]),
    "a slot without a decision": lambda e: e.keeping[0].ticks.pop(0),
    "two decisions of a slot": lambda e: e.keeping[0].ticks.append(e.keeping[0].ticks[0]),
    "a decision of no slot": lambda e: e.keeping[0].ticks.insert(0, tick(SLOT + MINUTE, "Paused", "op7")),
    "a wrong count": lambda e: e.keeping[0].ticks[0].update(count=2),
    "a slot that was fired and forgotten": lambda e: e.keeping[0].ticks[0].update(refusal=None, result="Pending"),
    "a backup of a slot that was left out": lambda e: e.keeping[0].ticks[1].update(decision="Paused", result=None),
    "a backup of no slot": lambda e: e.keeping[0].ticks[1].update(id="op9"),
    "two backups of a slot": lambda e: e.objects["us1"].append(copy.deepcopy(of_schedule())),
    "a schedule's wrong status": lambda e: e.keeping[0].shown.update(status="New"),
    "a schedule's old version": lambda e: e.keeping[0].shown.update(version=3),
    "a schedule's lost announcement": lambda e: e.states.pop(),
    "a dead letter": lambda e: e.dead.append(("lw.dlq.LW_EVENTS.status", {})),
    "a dead process": lambda e: e.died.append("status ended with 1"),
}


@pytest.mark.parametrize("harm", HARM)
def test_harm_is_found(harm):
    evidence = copy.deepcopy(innocent())
    HARM[harm](evidence)
    assert broken(evidence)


def test_a_seed_is_a_plan():
    assert plan(7, 60) == plan(7, 60) != plan(8, 60)
    requests = [request for this in plan(7, 200) for request in this.requests]
    assert [request.number for request in requests] == list(range(len(requests)))
    assert {this.fault.kind for this in plan(7, 200)} == set(FAULTS) == set(DOING)
    assert {this.wish.kind for this in plan(7, 200) if this.wish} == set(WISHES)


def test_however_short_a_plan_is_slots_fall_into_it():
    assert sum(this.lead + this.pause for this in plan(7, 3)) >= LEAST > 60
    assert len({timed.name for timed in SCHEDULES}) == len(SCHEDULES)


def test_a_repetition_sends_what_the_first_sent():
    for request in (r for this in plan(3, 100) for r in this.requests if r.kind == "again"):
        first = next(r for this in plan(3, 100) for r in this.requests if r.number == request.of)
        assert body(request) == body(first)
        assert headers(request)["Idempotency-Key"] == headers(first)["Idempotency-Key"]
