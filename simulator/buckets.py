"""Where the objects of a cloud lie: in memory, or in files that outlive the process."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from simulator.bulk import Held, InFile, Stored


class Buckets(Protocol):
    """Bytes by bucket and key."""

    def names(self) -> set[str]:
        """Return the buckets that exist."""

    def make(self, bucket: str) -> None:
        """Make a bucket, unless it exists."""

    def find(self, bucket: str, key: str) -> Stored | None:
        """Return an object, if it is there."""

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Store an object, at once or not at all."""

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object, if it is there."""

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Return the keys of a bucket that begin so, in no order."""


class Memory:
    """Objects that end with the process."""

    def __init__(self) -> None:
        self._buckets: dict[str, dict[str, Held]] = {}

    def names(self) -> set[str]:
        """Return the buckets that exist."""
        return set(self._buckets)

    def make(self, bucket: str) -> None:
        """Make a bucket, unless it exists."""
        self._buckets.setdefault(bucket, {})

    def find(self, bucket: str, key: str) -> Stored | None:
        """Return an object, if it is there."""
        return self._buckets[bucket].get(key)

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Store an object."""
        self._buckets[bucket][key] = Held(data)

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object, if it is there."""
        self._buckets[bucket].pop(key, None)

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Return the keys of a bucket that begin so."""
        return (key for key in tuple(self._buckets[bucket]) if key.startswith(prefix))


class Files:
    """One folder a bucket, one file an object. A file appears under its name only when it is whole."""

    def __init__(self, directory: Path) -> None:
        self._root = directory / "buckets"
        self._unfinished = directory / "unfinished"
        for folder in (self._root, self._unfinished):
            folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._unfinished.iterdir():
            leftover.unlink()

    def names(self) -> set[str]:
        """Return the buckets that exist."""
        return {folder.name for folder in self._root.iterdir()}

    def make(self, bucket: str) -> None:
        """Make a bucket, unless it exists."""
        self._path(bucket, "").mkdir(exist_ok=True)

    def find(self, bucket: str, key: str) -> Stored | None:
        """Return an object, if it is there."""
        path = self._path(bucket, key)
        return InFile(path) if path.is_file() else None

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Store an object, at once or not at all."""
        path = self._path(bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=self._unfinished)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(unfinished).replace(path)

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object and the folders that it leaves empty."""
        path = self._path(bucket, key)
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self._root / bucket or any(folder.iterdir()):
                break
            folder.rmdir()

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Return the keys of a bucket that begin so. Only the folder that the prefix leads to is looked through."""
        folder = self._root / bucket
        start = self._path(bucket, prefix.rpartition("/")[0])
        found = (path.relative_to(folder).as_posix() for path in start.rglob("*") if path.is_file())
        return (key for key in found if key.startswith(prefix))

    def _path(self, bucket: str, key: str) -> Path:
        steps = [bucket, *(step for step in key.split("/") if key)]
        if any(step in ("", ".", "..") or "\\" in step for step in steps):
            raise ValueError(f"not a name for a file: {bucket}/{key}")
        return self._root.joinpath(*steps)
