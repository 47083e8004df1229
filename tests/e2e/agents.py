"""An executor inside a cluster, with the rights that we ship and no more, in the place of the hub's."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.product import Product, until
from tests.e2e.real.fleet import Fleet


@contextmanager
def served_by_agent(product: Product, fleet: Fleet, cluster: str, directory: Path) -> Iterator[None]:
    """Within the block the hub serves all other clusters, and an agent this one; afterwards the hub serves all of them."""
    account = directory / "serviceaccount"
    environment = fleet[cluster].executor_access().write_pod_directory(account)
    assert product.services["executor"].stop() == 0
    product.add_executor("executor", *(name for name in product.clusters if name != cluster))
    served = json.dumps([{"id": cluster, "in_cluster": True, "service_account": str(account)}])
    user = product.nats.environment(f"cluster-{cluster}")
    agent = product.add("agent", {**user, **environment, "LEEWARD_CLUSTERS": served}, module="executor")
    try:
        until("the agent serves", lambda: agent.is_ready() and product.get(f"/clusters/{cluster}").json()["mode"] == "Agent")
        yield
    finally:
        agent.stop()
        del product.services["agent"]
        product.services["executor"].stop()
        product.add_executor("executor", *product.clusters)
        until("the hub serves again", lambda: product.get(f"/clusters/{cluster}").json()["mode"] == "Hub")
