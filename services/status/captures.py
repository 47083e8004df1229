"""Texts that outlive their backups and restores: which parts are kept, and how they lie in the database. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.status.rows import Stored
from shared.contracts.artifacts import MAX_CHUNK, Artifact
from shared.contracts.documents import capture_id, whole_capture
from shared.contracts.events import Captured
from shared.contracts.names import Noun

_KEPT: Final = {
    Noun.BACKUP: (Artifact.LOG, Artifact.RESULTS),
    Noun.RESTORE: (Artifact.LOG, Artifact.RESULTS, Artifact.RESOURCES),
}
"""Never the contents: they hold every Secret."""
_MOST_PARTS: Final = 16
"""A log is captured up to 5 MiB; with this, no cluster can fill the database."""


def unfit(noun: Noun, captured: Captured) -> str | None:
    """Say why a part is not kept of a thing of that noun; None when it is."""
    if captured.artifact not in _KEPT[noun]:
        return f"{captured.artifact} is not kept"
    if not 0 <= captured.part < captured.parts <= _MOST_PARTS:
        return f"part {captured.part} of {captured.parts}"
    return f"{len(captured.data)} bytes" if len(captured.data) > MAX_CHUNK else None


def document(cluster: str, captured: Captured, stored: Stored) -> dict[str, Any]:
    """Return the part as it lies in the collection `captures`; of two of one id the one that the broker stored later counts."""
    artifact = captured.artifact.value
    return {
        "_id": capture_id(cluster, captured.uid, artifact, captured.part),
        "cluster": cluster,
        "uid": captured.uid,
        "artifact": artifact,
        "part": captured.part,
        "parts": captured.parts,
        "cut": captured.cut,
        "data": captured.data,
        "at": stored.at,
        "sequence": stored.sequence,
    }


def whole_captures(parts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the artifacts of which every part is there, of one object at least."""
    texts: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for part in parts:
        texts.setdefault((part["uid"], part["artifact"]), []).append(part)
    whole = {artifact for (_, artifact), found in texts.items() if whole_capture(found)}
    return [artifact.value for artifact in Artifact if artifact in whole]
