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
    """Show the end of every process's log with a failure."""
    report = yield
    if report.when == "call" and report.failed and (running := getattr(item, "funcargs", {}).get("product")):
        for service in running.services.values():
            report.sections.append((f"log of {service.name}", service.log()[-4000:]))
    return report
