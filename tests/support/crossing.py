"""Restores from one simulated cluster into another, without a broker: what an executor does there can be cut off anywhere."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from nacl.public import PublicKey, SealedBox

from services.executor.clusters import reach
from services.executor.handlers import create_restore
from services.executor.kinds import KindMemory
from services.executor.kube import Kind, Kube, Listed, Object
from services.executor.locations.sealing import Sealing
from services.executor.ports import Ports
from services.executor.settings import ClusterSettings, Restoring
from shared.contracts.base import Wire
from shared.contracts.commands import Sealed
from shared.contracts.envelope import Envelope
from shared.contracts.events import Answer
from shared.contracts.phases import PHASE_OUTCOME
from shared.contracts.subjects import parse
from shared.messaging.outcomes import Retry, Unavailable
from shared.runtime.clock import now
from simulator.access import User
from simulator.cloud import Cloud
from simulator.controller_manager import furnish_namespace
from tests.support.servers import free_port
from tests.support.simulated_velero import QUICK, Site
from tests.support.timing import PATIENT
from tests.support.waiting import PATIENCE

BRISK = Restoring(available=20, settled=1, found=20, looked_into=0, cleaned=20, look=0.02)
"""For tests in which all goes well in the end. Nobody looks into restores here, so nobody waits for that."""
KEYS = "[default]\naws_access_key_id = right\naws_secret_access_key = sesame\n"


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Fuse:
    """Lets so many writes pass, and dies before the next one; that is after the one before, too."""

    left: int = 1_000_000
    writes: int = 0

    async def pass_(self, work: Any) -> Any:
        self.writes += 1
        self.left -= 1
        if self.left < 0:
            work.close()
            raise Crash
        return await work


@dataclass
class Watched:
    """A cluster whose writes are counted."""

    inner: Kube
    fuse: Fuse

    async def get(self, kind: Kind, name: str) -> Object:
        return await self.inner.get(kind, name)

    async def list(self, kind: Kind, labels: str = "") -> Listed:
        return await self.inner.list(kind, labels)

    async def read(self, path: str) -> Object:
        return await self.inner.read(path)

    async def create(self, kind: Kind, body: Object) -> Object:
        return cast(Object, await self.fuse.pass_(self.inner.create(kind, body)))

    async def patch(self, kind: Kind, name: str, body: Object) -> Object:
        return cast(Object, await self.fuse.pass_(self.inner.patch(kind, name, body)))

    async def delete(self, kind: Kind, name: str) -> None:
        await self.fuse.pass_(self.inner.delete(kind, name))


@dataclass
class Stream:
    """The event stream: it keeps everything, once an id, and gives the last message of a subject."""

    messages: list[Envelope[Any]] = field(default_factory=list)
    last: dict[str, Envelope[Any]] = field(default_factory=dict)
    measures: dict[str, str] = field(default_factory=dict)
    """The phase in which each restore was looked into, by uid."""

    def keep(self, subject: str, envelope: Envelope[Any]) -> None:
        parse(subject)
        if envelope.id not in {each.id for each in self.messages}:
            self.messages.append(envelope)
            self.last[subject] = envelope

    async def said(self, cluster: str, operation_id: str, verb: str) -> Envelope[Any] | None:
        return self.last.get(f"lw.evt.{cluster}.operation.{verb}.{operation_id}")

    async def begun(self, cluster: str, operation_id: str) -> Envelope[Any] | None:
        return await self.said(cluster, operation_id, "step")

    async def answer(self, cluster: str, operation_id: str) -> Envelope[Any] | None:
        accepted = await self.said(cluster, operation_id, "accepted")
        return accepted or await self.said(cluster, operation_id, "rejected")

    async def measured(self, _cluster: str, uid: str, _noun: str = "backup") -> Any:
        if uid not in self.measures:
            return None
        phase = {"status": {"phase": self.measures[uid]}}
        return SimpleNamespace(data=SimpleNamespace(restore=SimpleNamespace(object=phase)))

    def verbs(self, operation: str) -> list[str]:
        """What was said to an operation: steps by their names, the rest by its verb."""
        said = [each for each in self.messages if each.operationid == operation]
        return [each.data.step if each.type.split(".")[3] == "step" else each.type.split(".")[3] for each in said]

    def data(self, operation: str, verb: str) -> Any:
        (found,) = [x.data for x in self.messages if x.operationid == operation and x.type.split(".")[3] == verb]
        return found

    def details(self, operation: str) -> list[str]:
        return [x.data.words for x in self.messages if x.operationid == operation and x.type.split(".")[3] == "step"]


@dataclass
class Voice:
    """Publishes into the stream; a message is a write as any other."""

    stream: Stream
    fuse: Fuse

    async def publish(self, subject: str, envelope: Envelope[Wire]) -> None:
        await self.fuse.pass_(self._keep(subject, envelope))

    async def _keep(self, subject: str, envelope: Envelope[Wire]) -> None:
        self.stream.keep(subject, envelope)

    async def tell(self, subject: str, envelope: Envelope[Wire]) -> None:
        self.stream.keep(subject, envelope)


class FirstEpoch:
    async def current(self) -> int:
        return 1


@dataclass
class Pair:
    """Two clusters on one object storage: `eu1`, whose backups lie in bucket velero, and `us1` with a bucket of its own."""

    cloud: Cloud
    source: Site
    target: Site
    kube: Kube
    stream: Stream = field(default_factory=Stream)

    def ports(self, fuse: Fuse | None = None, restoring: Restoring = BRISK, ahead: Any = None) -> Ports:
        used = fuse or Fuse()
        kube = cast(Kube, Watched(self.kube, used))
        return Ports(
            cluster="us1",
            namespace="velero",
            kube=kube,
            kinds=KindMemory(kube),
            sealing=Sealing("us1", "velero", kube),
            velero=Answer,
            publisher=Voice(self.stream, used),
            record=self.stream,
            epoch=FirstEpoch(),
            clock=(lambda: now() + ahead) if ahead else now,
            restoring=restoring,
        )

    async def carry_out(self, command: Envelope[Any], ports: Ports | None = None) -> None:
        """Do as the consumer does until the command is answered: again and again."""
        used = ports or self.ports()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await create_restore(command, cast(Any, None), used)
                except Retry as retry:
                    await asyncio.sleep(min(retry.after or 0.02, 0.05))
                except Unavailable:
                    await asyncio.sleep(0.05)
                else:
                    return

    async def sealed(self, text: str = KEYS) -> Sealed:
        key = await self.ports().sealing.public()
        assert key is not None
        return Sealed(key=key.id, box=SealedBox(PublicKey(key.key)).encrypt(text.encode()))

    def left(self) -> dict[str, list[str]]:
        """What there is in the target beside what was there at first, by kind."""
        store, found = self.target.store, defaultdict(list)
        for kind in ("backupstoragelocations", "backups", "secrets", "configmaps"):
            for each in store.list(kind, "velero"):
                name = each["metadata"]["name"]
                if name not in {"default", "leeward-executor-key", "kube-root-ca.crt"}:
                    found[kind].append(name)
        return dict(found)

    def restores(self) -> list[Any]:
        return list(self.target.store.list("restores", "velero"))

    def ended(self) -> bool:
        return all((x.get("status") or {}).get("phase") in PHASE_OUTCOME for x in self.restores())


@contextlib.asynccontextmanager
async def pair(directory: Path, tokens: Mapping[str, User] | None = None) -> AsyncIterator[Pair]:
    """Two clusters; the first has a backup `b` of its namespace shop, in which three ConfigMaps are. `tokens` of the second."""
    cloud = Cloud(port=free_port())
    for bucket in ("velero", "other"):
        cloud.make_bucket(bucket)
    async with cloud:
        source = Site(cloud, "eu1", settings=QUICK, namespaces=("shop",))
        target = Site(cloud, "us1", settings=QUICK, namespaces=("cart",))
        target.store.patch("backupstoragelocations", "default", {"spec": {"objectStorage": {"bucket": "other"}}}, "velero")
        target.cluster.access.tokens.update(tokens or {})
        source.fill("shop", 3)
        furnish_namespace(source.store, "shop")
        target.store.create("deployments", {"metadata": {"name": "velero"}, "spec": {"replicas": 1}}, "velero")
        await target.cluster.start()
        target.cluster.write_kubeconfig(directory / "us1.yaml")
        try:
            await asyncio.gather(source.start(), target.start())
            source.backup("b")
            await source.until("b", "Completed")
            settings = ClusterSettings(id="us1", kubeconfig=directory / "us1.yaml")
            async with reach(settings, PATIENT, PATIENT) as kube:
                yield Pair(cloud, source, target, kube)
        finally:
            await asyncio.gather(source.velero.stop(), target.velero.stop())
            await target.cluster.stop()
