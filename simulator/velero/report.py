"""What a backup or restore says of itself: its log, and the errors and warnings in its results."""

import gzip
import json
from collections.abc import Callable
from typing import Literal

from simulator.documents import Document
from simulator.velero.storage import pack

Level = Literal["info", "warning", "error"]


class Report:
    """A log that counts. `subject` is the pair that every line carries, as in `("backup", "velero/b")`."""

    def __init__(self, subject: tuple[str, str], timestamp: Callable[[], str]) -> None:
        self._subject = subject
        self._timestamp = timestamp
        self._lines: list[str] = []
        self._results: dict[str, Document] = {"error": {}, "warning": {}}
        self.errors = 0
        self.warnings = 0

    def say(
        self, message: str, *, level: Level = "info",
        namespace: str | None = None, resource: str = "", name: str = "", error: str = "",
    ) -> None:  # fmt: skip
        """Add a line. Errors and warnings also become results, under their namespace where they have one."""
        fields = {"namespace": namespace, "resource": resource, "name": name, "error": error}
        line = {self._subject[0]: self._subject[1], "level": level, "msg": message, "time": self._timestamp()}
        self._lines.append(json.dumps(line | {key: value for key, value in fields.items() if value}, sort_keys=True))
        if level == "info":
            return
        self.errors += level == "error"
        self.warnings += level == "warning"
        parts = (("resource", resource), ("name", name), ("message", message), ("error", error))
        self.result(level, "".join(f" {key}: /{value}" for key, value in parts if value), namespace)

    def result(self, level: Level, text: str, namespace: str | None) -> None:
        """Add a text to the results: Velero's own without a namespace, the cluster's with an empty one."""
        results = self._results[level]
        if namespace:
            results.setdefault("namespaces", {}).setdefault(namespace, []).append(text)
        else:
            results.setdefault("velero" if namespace is None else "cluster", []).append(text)

    def log(self) -> bytes:
        """Return the log as it is uploaded."""
        return gzip.compress("".join(f"{line}\n" for line in self._lines).encode(), mtime=0)

    def results(self) -> bytes:
        """Return the results as they are uploaded."""
        return pack({"errors": self._results["error"], "warnings": self._results["warning"]})

    def counts(self) -> Document:
        """Return the counters as a status carries them: zero is left out."""
        return {key: count for key, count in (("errors", self.errors), ("warnings", self.warnings)) if count}
