"""`python -m tests.conformance.fidelity`: write docs/fidelity.md from the scenarios."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.conformance.limits import DIFFERENCES, NOT_COVERED
from tests.conformance.stage import ROLES

Scenario = Callable[..., Any]

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "fidelity.md"

INTRODUCTION = """# How true the simulator is

Written by `python -m tests.conformance.fidelity`; do not edit.

Each scenario below is written once, in `tests/conformance`, and run on two stages: on a real kube-apiserver with a real Velero
(`make e2e`), which is right by definition, and on the simulator (`make test`), which has to behave the same. So what these
tables say of Velero was seen, and a simulator that drifts away fails a test.

Scenarios know nothing of the stage: they speak HTTP to an API server, follow objects by watches, fetch signed URLs, and have
hands to kill Velero, the API server and the storage. {count}
"""


def modules() -> Iterator[ModuleType]:
    """The modules that hold tests."""
    return (importlib.import_module(f"tests.conformance.{file.stem}") for file in sorted(HERE.glob("test_*.py")))


def scenarios(module: ModuleType) -> list[tuple[str, Scenario]]:
    """The scenarios of a module, in its order: those tests that ask for a cluster."""
    tests = ((name, item) for name, item in vars(module).items() if name.startswith("test_"))
    return [(name, test) for name, test in tests if set(ROLES) & set(inspect.signature(test).parameters)]


def sentence(documented: object) -> str:
    """The first line of a docstring. Raises ValueError where there is none."""
    text = inspect.getdoc(documented)
    if not text:
        raise ValueError(f"{documented} has no docstring")
    return text.splitlines()[0]


def marks(scenario: Scenario, name: str) -> list[Any]:
    """The marks of a name on a scenario."""
    return [mark for mark in getattr(scenario, "pytestmark", ()) if mark.name == name]


def cases(scenario: Scenario) -> int:
    """How often a scenario is run on one stage."""
    number = 1
    for mark in marks(scenario, "parametrize"):
        number *= len(mark.args[1])
    return number


def stages(scenario: Scenario) -> str:
    """Where a scenario is run."""
    for mark in marks(scenario, "only"):
        return f"{mark.args[0]} only: {mark.kwargs['because']}"
    return "both"


def text() -> str:
    """The whole page."""
    everything = [(module, found) for module in modules() if (found := scenarios(module))]
    all_scenarios = [scenario for _, found in everything for _, scenario in found]
    count = f"{len(all_scenarios)} scenarios, {sum(map(cases, all_scenarios))} cases."
    lines = [INTRODUCTION.format(count=count)]
    for module, found in everything:
        subject = module.__name__.rpartition(".test_")[2]
        lines += [f"## {subject.replace('_', ' ').capitalize().replace('Api', 'API')}", "", sentence(module), ""]
        lines += ["| scenario | what it proves | cases | stages |", "|---|---|---|---|"]
        lines += [row(name.removeprefix("test_").replace("_", " "), sentence(it), cases(it), stages(it)) for name, it in found]
        lines.append("")
    lines += ["## Not covered", "", "| what | why |", "|---|---|", *(row(*entry) for entry in NOT_COVERED.items()), ""]
    lines += ["## Known differences", "", "Deliberate, and without effect on what the scenarios check.", ""]
    lines += ["| what | how the simulator differs |", "|---|---|", *(row(*entry) for entry in DIFFERENCES.items())]
    return "\n".join(lines) + "\n"


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(text())
