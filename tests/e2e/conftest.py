"""One fleet of real clusters and one installation of the product for the whole session."""

from collections.abc import Iterator

import pytest

from tests.e2e.product import Product
from tests.e2e.real.fleet import Fleet

pytest_plugins = ("tests.e2e.real.fixtures",)


@pytest.fixture(scope="session")
def product(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Gateway, status and one executor for both clusters, as processes."""
    with Product(tmp_path_factory.mktemp("product"), fleet.kubeconfig) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the end of every process's log with a failure, also of those that the test has stopped, and of every Velero's."""
    report = yield
    given = getattr(item, "funcargs", {})
    if report.failed and "product" in given:
        directories = [given["product"].directory, *(cluster.directory for cluster in given["fleet"].clusters.values())]
        for log in sorted(log for directory in directories for log in directory.glob("*.log")):
            report.sections.append((f"{log.parent.name}/{log.name}", log.read_text(errors="replace")[-2000:]))
    return report
