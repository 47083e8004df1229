"""Hand the tests one fleet a session; where it cannot run they are skipped, but never silently in CI."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.real import layout
from tests.e2e.real.fleet import Fleet


def unavailable() -> str:
    """Why the real tier cannot run here; empty if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the real tier needs Linux and root: each Velero gets a network namespace"
    if missing := layout.missing():
        return f"not built: {', '.join(missing)}; run `python -m tests.e2e.real.build`"
    return ""


def skip_unless_available() -> None:
    """Skip where the real tier cannot run, but fail where it must."""
    if reason := unavailable():
        if os.environ.get("CI") == "true" or os.environ.get("LEEWARD_E2E_REQUIRED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two clusters, `eu1` and `us1`. All tests share them: use your own namespaces and names, and mend what you break."""
    skip_unless_available()
    with Fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet
