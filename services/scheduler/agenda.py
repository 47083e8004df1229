"""When to look at which schedule: a heap, and no truth. Whatever it says, the look itself decides by what is stored."""

import heapq
import math
from collections.abc import Collection
from datetime import UTC, datetime

_NEVER = math.inf
_SLACK = 10_000


class Agenda:
    """The next look at each schedule that is known. Lean: there may be 100,000 of them."""

    def __init__(self) -> None:
        self._looks: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        """Every look in `_looks`, and some that have been put off or taken meanwhile."""

    def __len__(self) -> int:
        return len(self._looks)

    def known(self) -> set[str]:
        """Return the schedules that are known."""
        return set(self._looks)

    def put(self, schedule: str, due: datetime | None) -> None:
        """Look at a schedule then, unless it is looked at before; None: there is nothing to look for, as far as is known."""
        moment = _NEVER if due is None else due.timestamp()
        if moment < self._looks.setdefault(schedule, _NEVER):
            self._looks[schedule] = moment
            heapq.heappush(self._heap, (moment, schedule))
            if len(self._heap) > 2 * len(self._looks) + _SLACK:
                self._heap = [(look, each) for each, look in self._looks.items() if look != _NEVER]
                heapq.heapify(self._heap)

    def forget(self, schedules: Collection[str]) -> None:
        """Look at these no more."""
        for schedule in schedules:
            self._looks.pop(schedule, None)

    def take(self, now: datetime, most: int) -> list[str]:
        """Return the schedules whose time has come, the longest due first. Each has to be put again."""
        taken: list[str] = []
        moment = now.timestamp()
        while self._heap and self._heap[0][0] <= moment and len(taken) < most:
            due, schedule = heapq.heappop(self._heap)
            if self._looks.get(schedule) == due:
                self._looks[schedule] = _NEVER
                taken.append(schedule)
        return taken

    def next(self) -> datetime | None:
        """Return when the next look is."""
        while self._heap and self._looks.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return datetime.fromtimestamp(self._heap[0][0], UTC) if self._heap else None

    def waiting(self, now: datetime) -> int:
        """Return how many looks are due and were not taken, and may count one that was put off."""
        moment = now.timestamp()
        stack, count = [0], 0
        while stack:
            place = stack.pop()
            if place < len(self._heap) and self._heap[place][0] <= moment:
                count += 1
                stack += (2 * place + 1, 2 * place + 2)
        return count
