"""Choose the stage, and let scenarios that wait for a minute's tick of Velero's wait side by side."""

from collections.abc import Iterator
from concurrent.futures import Future
from threading import Timer

import pytest

from tests.conformance.real import RealStage
from tests.conformance.simulated import SimulatedStage
from tests.conformance.stage import ROLES, Cluster, Stage
from tests.e2e.real.fixtures import skip_unless_available

STAGES = ("simulated", "real")
MARKERS = (
    "slow: waits for something that Velero does once a minute",
    "only(stage, because): cannot run on the other stage",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stage", choices=STAGES, default=STAGES[0], help="what the conformance scenarios run on")


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def chosen(config: pytest.Config) -> str:
    # The option is unknown when pytest was started without naming this folder.
    return str(config.getoption("stage", STAGES[0]))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what cannot run on the stage. On the real one put the slow ones last: by then they have waited long enough."""
    for item in items:
        if (mark := item.get_closest_marker("only")) and mark.args[0] != chosen(config):
            item.add_marker(pytest.mark.skip(reason=mark.kwargs["because"]))
    if chosen(config) == "real":
        for item in items:
            item.add_marker(pytest.mark.timeout(400))
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The three clusters, for the whole session."""
    if chosen(request.config) == "simulated":
        with SimulatedStage() as stage:
            yield stage
        return
    skip_unless_available()
    with RealStage(tmp_path_factory.mktemp("stage")) as stage:
        begin_slow_scenarios(request.session, stage)
        yield stage


def begin_slow_scenarios(session: pytest.Session, stage: Stage) -> None:
    """Begin every slow scenario now, where a minute is a minute; each test then waits for its own."""
    slow = [item for item in session.items if isinstance(item, pytest.Function) and item.get_closest_marker("slow")]
    for number, item in enumerate(slow):
        item.stash[BEGUN] = begin(item, stage, after=number * STAGGER)


BEGUN = pytest.StashKey[Future[None]]()


STAGGER = 5.0
"""Seconds between two beginnings. When many Backups begin at once, Velero's plugin fails now and then, and its queue may start
one twice."""


def begin(item: pytest.Function, stage: Stage, *, after: float) -> Future[None]:
    """Run a scenario in a thread that does not outlive the session. It may ask for clusters only."""
    clusters = {role: getattr(stage, role) for role in item.fixturenames if role in ROLES}
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            item.obj(**clusters)
        except BaseException as error:  # noqa: BLE001 (the test raises it)
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    timer = Timer(after, run)
    timer.daemon = True
    timer.start()
    return outcome


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if (outcome := pyfuncitem.stash.get(BEGUN, None)) is None:
        return None
    outcome.result()
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show with a failure what the real Veleros complained of."""
    report = yield
    stage = getattr(item, "funcargs", {}).get("stage")
    if report.when == "call" and report.failed and isinstance(stage, RealStage):
        report.sections.append(("errors in the logs of Velero", stage.complaints()))
    return report


@pytest.fixture(scope="session")
def writer(stage: Stage) -> Cluster:
    """The cluster that owns the shared bucket."""
    return stage.writer


@pytest.fixture(scope="session")
def reader(stage: Stage) -> Cluster:
    """The cluster whose location on the shared bucket is ReadOnly."""
    return stage.reader


@pytest.fixture(scope="session")
def fragile(stage: Stage) -> Cluster:
    """The cluster that may be hurt, if it is mended."""
    return stage.fragile


@pytest.fixture(autouse=True)
def _nobody_looks_any_more(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the locations that a scenario has made in `fragile` validated seldom from then on: each look starts a plugin."""
    yield
    if "fragile" in request.fixturenames:
        request.getfixturevalue("fragile").look_seldom()
