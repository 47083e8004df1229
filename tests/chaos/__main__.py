"""`make chaos N=200 [SEED=7]`: faults and requests at random for N rounds, then the invariants. Exit 1 when one is broken."""

import argparse
import contextlib
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.asking import Answer, People, people
from tests.chaos.invariants import INVARIANTS, broken
from tests.chaos.plan import SCHEDULES, Round, plan
from tests.chaos.world import World, world
from tests.e2e.product import until

_SETTLING = 180.0
"""Seconds within which everything must have come to rest after the last fault was undone."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, metavar="N", help="how many faults (default: 50)")
    parser.add_argument("--seed", type=int, help="repeat the plan of an earlier run (default: a new one, which is printed)")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this folder")
    return parser.parse_args()


def storm(world: World, crowd: People, rounds: list[Round]) -> None:
    """Run the rounds: a fault, requests into it, a pause in which older faults end."""
    for this in rounds:
        world.count_the_dead()
        world.hurt(this.fault)
        print(f"{this.number:4}  {this.fault.kind:15} {this.fault.victim:10} {this.fault.seconds:3.1f} s", flush=True)
        time.sleep(this.lead)
        for request in this.requests:
            crowd.ask(request)
        if this.wish is not None:
            crowd.want(this.wish)
        rest = time.monotonic() + this.pause
        while (left := rest - time.monotonic()) > 0:
            world.heal()
            time.sleep(min(0.05, left))


def settle(world: World, crowd: People) -> list[Answer]:
    """Undo every fault, and wait until every request has its answer and everything is at rest."""
    world.heal(everything=True)
    answers = crowd.answers()
    crowd.rest()
    world.heal(everything=True)
    until("every service is ready again", lambda: not world.unready() or None)
    operations = sorted({answer.operation for answer in answers})
    until("everything has come to rest", lambda: world.settled(operations), _SETTLING)
    until("every schedule is shown as it is", world.shown)
    until("every listener is up to date", lambda: heard_all(world))
    world.count_the_dead()
    return answers


def heard_all(world: World) -> bool:
    """Tell whether each listener has heard of the end of every backup that is listed."""
    rows = {row["id"]: row["status"] for row in world._rows()}
    return all(
        rows.items() <= {data["id"]: data["status"] for _, event, data in list(listener.events) if event}.items()
        for listener in world.listeners
    )


def run(seed: int, number: int, directory: Path) -> list[str]:
    """Run a plan and return what was broken."""
    rounds = plan(seed, number)
    with world(directory) as here:
        begun = time.monotonic()
        try:
            with people(here.product) as crowd:
                for timed in SCHEDULES:
                    crowd.have(timed)
                storm(here, crowd, rounds)
                over = time.monotonic()
                answers = settle(here, crowd)
                rest = time.monotonic()
            findings = broken(evidence := here.evidence(answers))
        except AssertionError as given_up:
            here.count_the_dead()
            return [str(given_up), *here.unready(), *here.died]
        outcomes = Counter((o["refusal"] or {}).get("code", o["state"]) for o in evidence.operations.values())
        tries = sum(answer.tries for answer in answers)
    print(f"\n{len(answers)} requests in {tries} tries became {len(evidence.operations)} operations: {dict(outcomes)}")
    slots = Counter[str]()
    for tick in (tick for kept in evidence.keeping for tick in kept.ticks):
        slots[tick["result"] or tick["decision"]] += tick["count"]
    print(f"{slots.total()} slots of {len(evidence.keeping)} schedules: {dict(slots)}")
    print(f"{len(evidence.events)} events, {len(evidence.states)} announcements")
    print(f"{over - begun:.0f} s of faults; {rest - over:.0f} s later everything was at rest")
    return findings


def main() -> None:
    """Run, judge, and say how to do it again."""
    options = arguments()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    again = f"make chaos N={options.rounds} SEED={seed}"
    print(f"{options.rounds} rounds, seed {seed} (again: {again})", flush=True)
    with contextlib.ExitStack() as stack:
        directory = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leeward-chaos-")))
        findings = run(seed, options.rounds, directory)
    if findings:
        print(f"\nBROKEN ({again}):", *findings[:50], sep="\n  ")
        sys.exit(1)
    print(f"\nAll {len(INVARIANTS)} invariants hold ({again}).")


if __name__ == "__main__":
    main()
