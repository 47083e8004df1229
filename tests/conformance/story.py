"""Follow one object by a watch, event by event, for as long as a scenario asks, across broken connections."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from tests.conformance.manifests import Json
from tests.e2e.real.api import ApiError, KubeApi

FINAL = frozenset({"Completed", "PartiallyFailed", "Failed", "FailedValidation", "Processed"})
"""Phases in which an object rests: of a Backup, a Restore, and a request."""

TICKS: Final = 150.0
"""Seconds of Velero's for what may have to wait for one of its ticks of 60 s, or two: now and then its queue loses the wake-up
that a backup's end should be."""

_LEAST_BREATH: Final = 0.5
"""Our seconds: what is quick on a quick stage still has to be heard of by a process among others."""

_WATCH: Final = 10
"""Seconds after which the server is asked to end a watch."""

Holds = Callable[[Json], object]


@dataclass(frozen=True)
class Pace:
    """How Velero's time passes on a stage, where scenarios speak of Velero's seconds."""

    speed: float = 1.0
    """How many of them pass in one of ours."""
    least: float = 0.0
    """What a deadline is never shorter than, in our seconds: a quick stage is still one process among others."""

    def span(self, seconds: float) -> float:
        """How long to look on, in our seconds."""
        return seconds / self.speed

    def deadline(self, seconds: float) -> float:
        """How long to wait at most, in our seconds."""
        return max(self.span(seconds), self.least)


def phase_of(item: Json) -> str:
    """The phase of an object; empty as long as it has none."""
    return str(item.get("status", {}).get("phase", ""))


class Story:
    """What a watch has told of one object, or of all objects of a kind that carry a label.

    It begins where the cluster stood when it was made, so nothing is missed that happens before the first wait. Each wait goes
    on where the last one ended.
    """

    def __init__(self, api: KubeApi, path: str, name: str = "", *, labels: str = "", pace: Pace) -> None:
        self.events: list[Json] = []
        self._api, self._path, self._pace = api, path, pace
        self._filter = ({"fieldSelector": f"metadata.name={name}"} if name else {}) | (
            {"labelSelector": labels} if labels else {}
        )
        self._subject = name or labels or "anything"
        self._version = str(api.get(path, **self._filter)["metadata"]["resourceVersion"])

    @property
    def phases(self) -> list[str]:
        """The phases seen so far, without repetitions."""
        seen = [phase_of(event["object"]) for event in self.events if event["type"] != "DELETED"]
        return [phase for phase, before in zip(seen, [None, *seen], strict=False) if phase != before]

    def until(self, holds: Holds, *, within: float = TICKS) -> Json:
        """The next event for which `holds(event)`. Raises TimeoutError that tells the story so far."""
        if found := self._within(self._pace.deadline(within), holds):
            return found
        tale = [(event["type"], event["object"].get("status")) for event in self.events]
        raise TimeoutError(f"{self._path} {self._subject}: not within {within:.0f} s of Velero's; seen: {tale}")

    def _within(self, seconds: float, holds: Holds) -> Json | None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                if found := self._read(holds, left):
                    return found
            except httpx2.TransportError:
                time.sleep(0.05)
            except ApiError as error:
                if error.status < 429:
                    raise
                time.sleep(0.05)
        return None

    def until_object(self, holds: Holds, *, within: float = TICKS) -> Json:
        """The object of the next event, not a deletion, for which `holds(object)`."""
        event = self.until(lambda event: event["type"] != "DELETED" and holds(event["object"]), within=within)
        return dict(event["object"])

    def until_phase(self, *phases: str, within: float = TICKS) -> Json:
        """The object as soon as it is in one of the phases."""
        return self.until_object(lambda item: phase_of(item) in phases, within=within)

    def until_final(self, within: float = TICKS) -> Json:
        """The object as soon as its phase is final, whichever it is."""
        return self.until_phase(*FINAL, within=within)

    def until_deleted(self, within: float = TICKS) -> Json:
        """The object as it was last."""
        return dict(self.until(lambda event: event["type"] == "DELETED", within=within)["object"])

    def never(self, holds: Holds, *, within: float) -> None:
        """Watch for the whole time, and fail at the first event for which `holds(event)`."""
        event = self._within(self._pace.span(within), holds)
        assert event is None, f"{self._path} {self._subject}: should not have happened: {_in_short(event)}"

    def until_still(self, breath: float, *, within: float = TICKS) -> None:
        """Look on until nothing has been told for the length of a breath. Raises TimeoutError if it never comes to rest."""
        deadline = time.monotonic() + self._pace.deadline(within)
        while event := self._within(max(self._pace.span(breath), _LEAST_BREATH), bool):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{self._path} {self._subject}: no rest within {within:.0f} s of Velero's; last: {_in_short(event)}"
                )

    def _read(self, holds: Holds, seconds: float) -> Json | None:
        params: dict[str, Any] = {**self._filter, "resourceVersion": self._version, "allowWatchBookmarks": "true"}
        deadline = time.monotonic() + seconds
        try:
            # The server ends a watch in good order, with a bookmark 2 s before, so that a long silence never goes on from a
            # version that it has forgotten. The time is kept here: by the silence that ends the watch, and at each event.
            silence = min(max(seconds, 0.05), 2 * _WATCH)
            with self._api.watch(self._path, timeout=silence, timeoutSeconds=str(_WATCH), **params) as events:
                for event in events:
                    if event["type"] == "ERROR":
                        raise WatchEndedError(event["object"])
                    self._version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self.events.append(event)
                        if holds(event):
                            return event
                    if time.monotonic() > deadline:
                        return None
        except httpx2.TimeoutException:
            return None
        return None


def _in_short(event: Json | None) -> str:
    """What an event tells, without what it may hold: a Secret is an object, too."""
    return f"{event['type']} {event['object'].get('status')}" if event else ""


class WatchEndedError(Exception):
    """A watch told of an error; `status` is the Status object that it sent."""

    def __init__(self, status: Json) -> None:
        self.status = status
        super().__init__(status.get("message", ""))
