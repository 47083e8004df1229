"""What a process depends on, and whether each of them answers: the truth behind `/readyz`."""

from dataclasses import dataclass, field

from prometheus_client import Gauge

_UP = Gauge("leeward_dependency_up", "1 while the dependency answers", ["dependency"])


_UNHEARD = "not heard from yet"


@dataclass(slots=True)
class Dependency:
    """Something that must answer. Missing until it has been heard from. `required` decides whether readiness hangs on it.

    Several parts of a process may ask something of it: each has a voice. An answer to one of them is an answer to all.
    """

    name: str
    required: bool = True
    _problems: dict[str, str] = field(default_factory=lambda: {"": _UNHEARD})

    @property
    def problem(self) -> str | None:
        """Why it is missing, by the last who said so; None while it answers."""
        return next(reversed(self._problems.values()), None)

    def answers(self) -> None:
        """Note that it works."""
        self._problems.clear()
        _UP.labels(self.name).set(1)

    def missing(self, reason: str, *, voice: str = "") -> None:
        """Note that it does not, and why."""
        self._problems.pop(voice, None)
        self._problems[voice] = reason
        _UP.labels(self.name).set(0)

    def withdraw(self, voice: str) -> None:
        """Forget what that voice has missed: it asks no more, so it would never hear an answer either."""
        if self._problems.pop(voice, None) and not self._problems:
            _UP.labels(self.name).set(1)


@dataclass(slots=True)
class Health:
    """All dependencies of a process by name."""

    dependencies: dict[str, Dependency] = field(default_factory=dict)

    def depends_on(self, name: str, *, required: bool = True) -> Dependency:
        """Return the dependency of that name, adding it if it is new."""
        return self.dependencies.setdefault(name, Dependency(name, required))

    def forget(self, name: str) -> None:
        """Stop watching a dependency, such as a cluster that is no longer served."""
        self.dependencies.pop(name, None)

    @property
    def ready(self) -> bool:
        """True while every required dependency answers."""
        return not any(d.required and d.problem for d in self.dependencies.values())

    def report(self) -> dict[str, object]:
        """Return readiness with one entry a dependency: `ok`, or the reason why it is missing."""
        entries = {d.name: d.problem or "ok" for d in self.dependencies.values()}
        return {"ready": self.ready, "missing": sorted(n for n, p in entries.items() if p != "ok"), "dependencies": entries}
