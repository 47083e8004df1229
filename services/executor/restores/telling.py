"""The steps of a restore from another cluster: each is told before it is begun, and is waited in from then."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from services.executor.answering import publish
from services.executor.kube import KubeError
from services.executor.ports import Ports
from services.executor.restores.struggles import Struggle
from shared.contracts.commands import RestoreCreate
from shared.contracts.envelope import Envelope
from shared.contracts.events import Step
from shared.contracts.phases import RestoreStep
from shared.contracts.refusals import Refusal

_ORDER: Final = list(RestoreStep)
_SELDOM: Final = 15.0
_RATIO: Final = 10
_LASTING: Final = 0.1
"""Of the time for which failures are borne: what is over sooner is not told."""
_MOST: Final = 300


@dataclass(frozen=True, slots=True)
class Told:
    """A step as it was told last, and the moment from which it is waited in."""

    data: Step
    since: datetime

    @classmethod
    def read(cls, event: Envelope[Any] | None) -> "Told | None":
        """Return what an event told, if there was one."""
        return cls(event.data, event.data.since or event.time) if event else None

    @property
    def step(self) -> RestoreStep:
        """Which one it is."""
        return RestoreStep(self.data.step)


@dataclass(slots=True)
class Telling:
    """What is told of one restore. `last`: the step that was told last, by whichever process; None before the first."""

    ports: Ports
    command: Envelope[RestoreCreate]
    last: Told | None
    struggle: Struggle

    async def tell(self, step: RestoreStep, detail: str, no: Refusal | None = None) -> None:
        """Tell a step before it is begun, unless that was done, or a later one was."""
        if self.last is None or _ORDER.index(self.last.step) < _ORDER.index(step):
            self.struggle.over()
            await self.anew(Step(step=step, detail=detail, refusal=no))

    async def anew(self, step: Step) -> None:
        """Tell a step, whatever was told; it is waited in from its `since`, or from now."""
        self.last = Told(step, step.since or self.ports.clock())
        await publish(self.ports, self.command, "step", step)

    async def fails(self, error: KubeError) -> bool:
        """Note that the API server fails at the step, and tell it when that lasts; return whether it has lasted too long."""
        patience, lasted = self.ports.restoring.failing, self.struggle.failed(self.ports.clock())
        if self.last is not None and not self.is_failing and lasted > patience * _LASTING:
            since, until = self.ports.clock() - timedelta(seconds=lasted), words(patience)
            borne = f"The API server fails at it since {since:%H:%M:%S}Z, and is asked again for up to {until}"
            failing = f"{borne}: {str(error)[:_MOST]}"
            await self.anew(self.last.data.model_copy(update={"failing": failing, "since": self.last.since}))
        return lasted > patience

    async def goes_on(self, detail: str | None = None) -> None:
        """Note that the API server does not fail any more, and tell it if it was told that it does.

        With a `detail` the step is told in these words, and is waited in from now.
        """
        self.struggle.over()
        if self.last is not None and self.is_failing:
            since = None if detail else self.last.since
            plain = detail or self.last.data.detail
            resumed = {"failing": None, "resumed": self.ports.clock(), "detail": plain, "since": since}
            await self.anew(self.last.data.model_copy(update=resumed))

    @property
    def is_failing(self) -> bool:
        """Tell whether it was told that the API server fails at the step."""
        return self.last is not None and self.last.data.failing is not None

    def is_past(self, step: RestoreStep) -> bool:
        """Tell whether a later step has been told."""
        return self.last is not None and _ORDER.index(self.last.step) > _ORDER.index(step)

    def waited_for(self, seconds: float) -> bool:
        """Tell whether the step that was told last has been waited in for so long."""
        return self.last is not None and self.ports.clock() - self.last.since > timedelta(seconds=seconds)

    @property
    def pause(self) -> float:
        """Return how long to rest before the next look: the longer it takes, the more rarely it is looked at."""
        waited = (self.ports.clock() - self.last.since).total_seconds() if self.last else 0.0
        return max(self.ports.restoring.look, min(waited / _RATIO, _SELDOM))


def words(seconds: float) -> str:
    """Return a time as people say it."""
    minutes = seconds / 60
    return f"{minutes:g} min" if minutes >= 1 and minutes.is_integer() else f"{seconds:g} s"
