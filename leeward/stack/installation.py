"""The whole system as one thing that starts, lives and stops: in which order, and what is said meanwhile."""

import asyncio
import contextlib
import getpass
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from leeward.settings import FILE as CLIENT_FILE
from leeward.stack import programs
from leeward.stack.clusters import Cluster, simulated
from leeward.stack.home import Home, LeftoversError, holds_something, write
from leeward.stack.ports import HOST, choose
from leeward.stack.process import Keeper, Program, StartError, surroundings
from leeward.stack.programs import Plan

LEFTOVERS = 10.0
"""Seconds that processes of a killed run have to end before a new one gives up."""
_ONLINE = 20.0
"""Seconds that a cluster may take to report before it is left to itself."""
_ONE_SHOT = 60.0
_BELOW = (programs.SIMULATOR, programs.DATABASE, programs.NATS)
"""What the services rest on, in the order in which it is stopped."""
_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person may choose. Without clusters there are two simulated ones."""

    clusters: tuple[Cluster, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    mongodb_url: str | None = None
    principal: str | None = None
    """Whom the token stands for; the user of this machine unless set."""
    speed: float = 1.0
    """How many times faster than real ones the simulated Veleros go."""


Step = Callable[[str, float], None]
"""Told of each thing that has started, and after how many seconds."""


class Installation:
    """NATS, the database, the services and perhaps the simulated clusters, in the processes of one machine."""

    def __init__(self, plan: Plan, lock: int, wanted: Wanted, *, step: Step, tell: Callable[[str], None]) -> None:
        self.plan, self._lock, self._wanted = plan, lock, wanted
        self._step, self._tell = step, tell
        self._keepers: dict[str, Keeper] = {}

    @property
    def url(self) -> str:
        """Where the gateway is."""
        return f"http://{HOST}:{self.plan.port('gateway')}"

    @property
    def token(self) -> str:
        """The token of whoever started it."""
        return self.plan.home.token_file.read_text().strip()

    # ------------------------------------------------------------------ starting

    async def start(self) -> None:
        """Start everything: first what holds data, then the services, and wait for the clusters to report.

        Raises StartError.
        """
        plan = self.plan
        await _together(
            self._broker(),
            self._make_token(),
            *([] if self._wanted.mongodb_url else [self._run(programs.database)]),
            *([self._run(programs.simulator)] if plan.simulated else []),
        )
        await _together(*map(self._run, programs.SERVICES))
        plan.home.write_json(CLIENT_FILE, {"url": self.url, "tokenFile": str(plan.home.token_file)})
        await _together(*(self._register(cluster) for cluster in plan.clusters))

    async def _run(self, make: Callable[[Plan], Program]) -> None:
        began, program = time.monotonic(), make(self.plan)
        keeper = self._keepers[program.name] = Keeper(program, self.plan.home, self._lock, self._tell)
        await keeper.start()
        self._step(program.words, time.monotonic() - began)

    async def _broker(self) -> None:
        await self._run(programs.nats)
        began = time.monotonic()
        await _output(*programs.topology(self.plan), what="making streams and consumers")
        self._step("streams, consumers and permissions", time.monotonic() - began)

    async def _make_token(self) -> None:
        """Make the token of whoever starts this, once; a file that was removed makes a new one, and the old one invalid."""
        if holds_something(self.plan.home.token_file):
            return
        name = self._wanted.principal or _user()
        token = await _output(programs.token(self.plan, name), {}, what="making a token")
        write(self.plan.home.token_file, token.strip() + "\n")

    async def _register(self, cluster: Cluster) -> None:
        """Register a cluster, so that a silent one shows as Offline, and wait until it reports."""
        began, headers = time.monotonic(), {"Authorization": f"Bearer {self.token}"}
        body = {"id": cluster.id, "displayName": cluster.display_name}
        seen: dict[str, Any] = {}
        while not _introduced(seen) and time.monotonic() - began < _ONLINE:
            with contextlib.suppress(httpx2.HTTPError, ValueError):
                # Again until it is there: the same registration twice is one, and one that was changed meanwhile stays (409).
                await self.plan.client.post(f"{self.url}/api/v1/clusters", json=body, headers=headers)
                answer = await self.plan.client.get(f"{self.url}/api/v1/clusters/{cluster.id}", headers=headers)
                if answer.status_code == httpx2.codes.UNAUTHORIZED:
                    file = self.plan.home.token_file
                    raise StartError(f"the gateway does not know the token in {file}: remove that file, and a new one is made")
                seen = answer.json()
            await asyncio.sleep(_LOOK)
        if seen.get("status") == "Online":
            self._step(f"cluster {cluster.id}{_facts(seen)}", time.monotonic() - began)
            return
        words = f"cluster {cluster.id} does not answer yet{_reason(seen)}"
        if self.plan.simulated:
            raise StartError(words)
        self._tell(f"{words}; Leeward goes on trying")

    # ------------------------------------------------------------------ stopping

    async def stop(self) -> None:
        """Stop the services, then what they rest on; what does not end in time is killed."""
        services = [name for name in self._keepers if name not in _BELOW]
        for stage in (services, *([name] for name in _BELOW)):
            await asyncio.gather(*(self._keepers[name].stop() for name in stage if name in self._keepers))

    def kill(self) -> None:
        """End every process at once."""
        for keeper in self._keepers.values():
            keeper.kill()


@contextlib.asynccontextmanager
async def installed(home: Home, wanted: Wanted, *, step: Step, tell: Callable[[str], None]) -> AsyncIterator[Installation]:
    """Hold the data directory and yield what can be started in it; on the way out everything is stopped.

    Raises BusyError when somebody else holds the directory, NoPortError when there is no port left.
    """
    async with contextlib.AsyncExitStack() as stack:
        lock = await _hold(home, stack, tell)
        ports = _ports(home, wanted, tell)
        client = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False, timeout=10))
        clusters = wanted.clusters or simulated(home.kubeconfig)
        plan = Plan(home, ports, clusters, not wanted.clusters, wanted.mongodb_url, wanted.speed, client)
        installation = Installation(plan, lock, wanted, step=step, tell=tell)
        stack.push_async_callback(installation.stop)
        yield installation


async def _hold(home: Home, stack: contextlib.AsyncExitStack, tell: Callable[[str], None]) -> int:
    """Hold the directory; processes of a run that was killed get some time to end."""
    deadline, told = time.monotonic() + LEFTOVERS, False
    while True:
        try:
            return stack.enter_context(home.held())
        except LeftoversError:
            if time.monotonic() > deadline:
                raise
            if not told:
                tell("waiting for the processes of a run that was killed to end")
                told = True
            await asyncio.sleep(_LOOK)


def _ports(home: Home, wanted: Wanted, tell: Callable[[str], None]) -> Mapping[str, int]:
    last = home.read_json("ports.json")
    known = {k: v for k, v in last.items() if isinstance(v, int)} if isinstance(last, dict) else {}
    ports, said = choose(programs.LISTENERS, wanted.ports, known)
    for line in said:
        tell(line)
    home.write_json("ports.json", ports)
    return ports


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """Do everything at once; the first failure ends the rest and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for each in work:
                tasks.create_task(each)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def _output(command: Sequence[str], environment: Mapping[str, str], *, what: str) -> str:
    """Run a command that ends by itself and return what it prints.

    Raises StartError.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**surroundings(), **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_ONE_SHOT):
            out, err = await process.communicate()
    except TimeoutError:
        raise StartError(f"{what} took longer than {_ONE_SHOT:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise StartError(f"{what} failed: {err.decode(errors='replace').strip()}")
    return out.decode()


def _introduced(seen: Mapping[str, Any]) -> bool:
    """Tell whether a cluster reports, and has said what it is (its namespaces come with that) or why it cannot say so."""
    told = seen.get("problems") or (seen.get("kubernetesVersion") and (seen.get("velero") or {}).get("version"))
    return seen.get("status") == "Online" and bool(told)


def _facts(seen: Mapping[str, Any]) -> str:
    """Return what a cluster is, as far as it has said."""
    velero = (seen.get("velero") or {}).get("version")
    known: Iterable[str | None] = (
        f"Kubernetes {seen['kubernetesVersion']}" if seen.get("kubernetesVersion") else None,
        f"Velero {velero}" if velero else None,
    )
    return "".join(f", {fact}" for fact in known if fact)


def _reason(seen: Mapping[str, Any]) -> str:
    problems = seen.get("problems") or []
    return f" ({problems[0].get('message')})" if problems else ""


def _user() -> str:
    """Return the name of whoever starts this, in letters that a principal may have."""
    with contextlib.suppress(OSError, KeyError):  # a container may have a user without a name
        return re.sub(r"[^A-Za-z0-9._@+-]", "", getpass.getuser()).lstrip("._@+-")[:128] or "admin"
    return "admin"
