"""Carrying out one command as an executor does, with everything around it in memory: delivered again until it is answered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from services.executor.answering import Task, carry_out
from services.executor.kinds import KindMemory
from services.executor.locations.sealing import Sealing
from services.executor.ports import Ports
from shared.contracts import subjects
from shared.contracts.envelope import Envelope
from shared.contracts.events import Answer
from shared.messaging.outcomes import Retry
from tests.support.memory_kube import Ended, MemoryKube
from tests.support.messages import NOW


@dataclass
class Stream:
    """What was said of operations, kept: a voice and a memory."""

    said: list[tuple[str, Envelope[Any]]] = field(default_factory=list)
    deaf: bool = False
    """Ends the process instead of saying how a command ended."""

    async def publish(self, subject: str, envelope: Envelope[Any]) -> None:
        verb = subjects.parse(subject).verb
        if self.deaf and verb != "step":
            self.deaf = False
            raise Ended(subject)
        if envelope.id not in {known.id for _, known in self.said}:
            self.said.append((verb, envelope))

    async def answer(self, _cluster: str, operation: str) -> Envelope[Any] | None:
        return self._last(operation, "accepted", "rejected")

    async def begun(self, _cluster: str, operation: str) -> Envelope[Any] | None:
        return self._last(operation, "step")

    def _last(self, operation: str, *verbs: str) -> Envelope[Any] | None:
        return next((e for verb, e in reversed(self.said) if e.operationid == operation and verb in verbs), None)

    def ends(self, operation: str) -> list[str]:
        """How an operation ended, each end that was told."""
        return [verb for verb, e in self.said if e.operationid == operation and verb != "step"]

    def refusal(self, operation: str) -> Any:
        """Why an operation was refused."""
        return next(e.data.refusal for verb, e in self.said if e.operationid == operation and verb == "rejected")


class Bench:
    """One cluster in memory and the executors that come and go in it."""

    def __init__(self) -> None:
        self.kube = MemoryKube()
        self.stream = Stream()
        self.now: datetime = NOW

    @property
    def sealing(self) -> Sealing:
        return Sealing("eu1", "velero", self.kube)

    def ports(self) -> Ports:
        """What a process that begins anew has."""

        async def epoch() -> int:
            return 1

        return Ports(
            cluster="eu1",
            namespace="velero",
            kube=self.kube,
            kinds=KindMemory(self.kube),
            sealing=self.sealing,
            velero=lambda: Answer(answered_at=NOW),
            publisher=self.stream,
            record=self.stream,
            epoch=SimpleNamespace(current=epoch),
            clock=lambda: self.now,
        )

    async def deliver(self, command: Envelope[Any], task: Callable[[Ports, Envelope[Any]], Task[Any]], times: int = 5) -> None:
        """Deliver a command until it needs no retry, each time to a process that knows nothing of the one before."""
        for _ in range(times):
            try:
                ports = self.ports()
                begun = task(ports, command)
                undo = getattr(begun, "undo", None)
                await carry_out(ports, command, begun, *([undo] if undo else []))
            except (Retry, Ended):
                continue
            else:
                return
