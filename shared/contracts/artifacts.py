"""What lies in the bucket beside a backup, and how the gateway asks an executor for a piece of it (request and reply)."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.contracts.base import Blob, Wire

MAX_CHUNK = 512 * 1024
"""Bytes of a chunk at most: with base64 around it, it still fits into one message of NATS (1 MiB)."""


class Artifact(StrEnum):
    """What can be read (of a restore all but the contents). All of it is gzip in the bucket, and carried as it lies there."""

    LOG = "log"
    RESULTS = "results"
    RESOURCES = "resources"
    CONTENTS = "contents"


class ArtifactRead(Wire):
    """`artifact.read`: give me this piece of it, if it is still the same.

    `of`: whether `name` is a Backup or a Restore. `ids`: every id of it as people see it; an object of the same name with none
    of them is another one. `etag` is that of the first chunk; None for the first.
    """

    of: Literal["backup", "restore"] = "backup"
    name: str
    ids: list[str]
    artifact: Artifact
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=MAX_CHUNK, ge=1, le=MAX_CHUNK)
    etag: str | None = None


class Trouble(StrEnum):
    """Why there is no chunk."""

    BACKUP_GONE = "BackupGone"
    NOT_THERE = "NotThere"
    """It is there and has no such artifact: not yet, or never."""
    CHANGED = "Changed"
    """What lies there now is not what the first chunk was of."""
    VELERO_SILENT = "VeleroSilent"
    UNREACHABLE = "Unreachable"
    """The object storage does not answer the executor, or answers an error."""
    FORBIDDEN = "Forbidden"


class Chunk(Wire):
    """A piece of an artifact of `total` bytes; shorter than asked for only at the end."""

    etag: str
    total: int
    offset: int
    data: Blob


class ArtifactReply(Wire):
    """Either a chunk, or why there is none with a sentence for people."""

    chunk: Chunk | None = None
    trouble: Trouble | None = None
    detail: str = ""
