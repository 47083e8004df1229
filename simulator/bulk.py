"""Objects as they lie in a bucket: their size, their entity tag, and any part of them. Also one too large to be held."""

import gzip
import hashlib
import io
import random
import tarfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

MEBIBYTE = 1024 * 1024


class Stored(Protocol):
    """An object that can be read in parts."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    @property
    def etag(self) -> str:
        """What changes with its content, in quotes as HTTP has it."""

    def part(self, first: int, end: int) -> bytes:
        """Return the bytes from the first up to the end, exclusively."""


class Held:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.data)

    @cached_property
    def etag(self) -> str:
        """What changes with its content."""
        return _quoted(self.data)

    def part(self, first: int, end: int) -> bytes:
        """Return some of the bytes."""
        return self.data[first:end]


class InFile:
    """A file that is replaced, never written to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        facts = path.stat()
        self.size = facts.st_size
        self.etag = f'"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"'

    def part(self, first: int, end: int) -> bytes:
        """Return some of the bytes."""
        with self._path.open("rb") as file:
            file.seek(first)
            return file.read(end - first)


class Archive:
    """A gzipped tar of one file of random bytes, as large as wanted: the same piece of gzip over and over, held once."""

    def __init__(self, mebibytes: int) -> None:
        """Make one that unpacks to a little more than so many MiB, and is a little larger itself."""
        head = tarfile.TarInfo("resources/secrets/namespaces/shop/large.json")
        head.size = mebibytes * MEBIBYTE
        self._head = gzip.compress(head.tobuf(), mtime=0)
        self._piece = gzip.compress(random.Random(0).randbytes(MEBIBYTE), 1, mtime=0)  # noqa: S311 (no secret)
        self._tail = gzip.compress(bytes(2 * tarfile.BLOCKSIZE), mtime=0)
        self._times = mebibytes
        self.etag = _quoted(self._head + self._piece + self._tail)

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self._head) + self._times * len(self._piece) + len(self._tail)

    def part(self, first: int, end: int) -> bytes:
        """Return some of the bytes."""
        found = io.BytesIO()
        for start, piece in self._pieces(first):
            if start >= end:
                break
            found.write(piece[max(first - start, 0) : end - start])
        return found.getvalue()

    def _pieces(self, first: int) -> Iterator[tuple[int, bytes]]:
        """Yield the pieces with where they begin, without most of those that end before `first`."""
        yield 0, self._head
        length, begin = len(self._piece), len(self._head)
        for number in range(max((first - begin) // length, 0), self._times):
            yield begin + number * length, self._piece
        yield begin + self._times * length, self._tail


def _quoted(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
