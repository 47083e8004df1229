"""What a real API server showed while a real Velero worked: watch events as they came, one JSON object a line.

Velero 1.18 on Kubernetes 1.35; every line is `{cluster, type: ADDED|MODIFIED|DELETED, t: seconds since the start, object}`.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "transcripts"


@dataclass(frozen=True)
class Seen:
    cluster: str
    type: str
    seconds: float
    object: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def phase(self) -> str | None:
        return (self.object.get("status") or {}).get("phase")


def names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.jsonl"))


@cache
def transcript(name: str, kind: str = "Backup") -> tuple[Seen, ...]:
    """All that was seen of one kind in one transcript, in order."""
    lines = (json.loads(line) for line in (_FOLDER / f"{name}.jsonl").read_text().splitlines())
    seen = (Seen(line["cluster"], line["type"], line["t"], line["object"]) for line in lines)
    return tuple(event for event in seen if event.object["kind"] == kind)


def of_object(name: str, object_name: str) -> tuple[Seen, ...]:
    """What was seen of the backup of that name."""
    return tuple(event for event in transcript(name) if event.name == object_name)
