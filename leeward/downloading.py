"""A download that may break at any byte: it goes on where it ended, and a file stands there only when it is whole.

Meanwhile it lies beside, as `FILE.part`, and `FILE.part.etag` says what it is a part of. Whoever comes again with the same file
goes on, if what lies in the storage is still the same; otherwise from the beginning.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from leeward import words
from leeward.errors import CliError, Exit, UnreachableError
from leeward.following import passes
from leeward.output import Output, Shown

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    import httpx2

    from leeward.client import Client

_KIND = "application/gzip"
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before another attempt when one has brought nothing; after the last it is given up."""
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")
_OK, _PAST_END = 200, 416
_ENDING, _BESIDE = "-data.tar.gz", ".part.etag"
_PRIVATE = 0o600
"""Nobody else may read the file: every Secret of the backup is in it."""
_LONGEST_NAME = 255
"""Bytes of a file's name that every file system takes."""


def place(name: str, wanted: Path | None) -> Path:
    """Return the file to write: what was said, or the usual name in the folder that was said, or here."""
    usual = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[: _LONGEST_NAME - len(_ENDING + _BESIDE)] + _ENDING
    if wanted is None:
        return Path(usual)
    return wanted / usual if wanted.is_dir() else wanted


async def download(client: "Client", output: Output, address: str, target: Path) -> int:
    """Download what is at an address into a file, and return its size.

    Raises CliError when it cannot be had now, and CancelledError (after a word) when the person has had enough.
    """
    with _opened(target, address) as part:
        try:
            with Shown(output, quiet=True) as shown:
                await _fetch(client, output, address, part, shown)
            os.fsync(part.file.fileno())
            part.path.replace(target)
        except CliError as error:
            error.hints += _goes_on(part)
            raise
        except OSError as error:
            raise CliError(f"{part.path} cannot be written: {error.strerror}", hints=_goes_on(part)) from error
        except asyncio.CancelledError:
            output.say("\n  ".join(["stopped", *_goes_on(part)]))
            raise
        part.note.unlink(missing_ok=True)
        return part.size


@dataclass(slots=True)
class _Part:
    """What is there of a file: how much, and of what."""

    path: Path
    note: Path
    address: str
    file: IO[bytes]
    etag: str | None = None
    total: int | None = None

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return os.fstat(self.file.fileno()).st_size

    @property
    def whole(self) -> bool:
        """Tell whether nothing is missing."""
        return self.size == self.total

    def begin(self, etag: str, total: int) -> None:
        """Forget what is there, and begin with this."""
        self.file.truncate(0)
        self.etag, self.total = etag, total
        self.note.write_text(json.dumps({"address": self.address, "etag": etag, "total": total}), encoding="utf-8")

    def forget(self) -> None:
        """Forget what is there."""
        self.file.truncate(0)
        self.etag = self.total = None
        self.note.unlink(missing_ok=True)

    def recall(self) -> None:
        """Read what the part is of; without that it is worth nothing."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(self.note.read_text(encoding="utf-8"))
            if told["address"] == self.address and self.size <= int(told["total"]):
                self.etag, self.total = str(told["etag"]), int(told["total"])

    def add(self, piece: bytes) -> None:
        """Write at the end."""
        left = memoryview(piece)
        while left:
            left = left[self.file.write(left) :]


def _goes_on(part: _Part) -> list[str]:
    if part.total is None:
        return []
    return [f"{words.size(part.size)} of {words.size(part.total)} are in {part.path}: the same command goes on from there"]


@contextlib.contextmanager
def _opened(target: Path, address: str) -> Iterator[_Part]:
    """Open the part of a file, which belongs to one download at a time; nothing is left of one that never began."""
    path, note = Path(f"{target}.part"), Path(f"{target}{_BESIDE}")
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, _PRIVATE)
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}", Exit.USAGE) from error
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.path.samestat(path.stat(), os.fstat(file.fileno()))
        except OSError:
            ours = False
        if not ours:  # or just finished: the file that we hold is somebody's whole one
            raise CliError(f"{path} is being written by another download")
        part = _Part(path, note, address, file)
        part.recall()
        try:
            yield part
        finally:
            if part.total is None:
                path.unlink(missing_ok=True)


async def _fetch(client: "Client", output: Output, address: str, part: _Part, shown: Shown) -> None:
    """Read until nothing is missing. Only attempts that bring nothing are counted.

    Raises CliError.
    """
    failures = 0
    while not part.whole:
        before = part.size
        try:
            await _attempt(client, address, part, shown)
        except CliError as error:
            failures = 0 if part.size > before else failures + 1
            if not passes(error) or failures > len(_PAUSES):
                raise
            output.say(f"{error.words.removesuffix('.')}; trying again")
            await asyncio.sleep(_PAUSES[max(failures - 1, 0)])


async def _attempt(client: "Client", address: str, part: _Part, shown: Shown) -> None:
    """Read what is missing, as far as it comes.

    Raises CliError.
    """
    goes_on = {"Range": f"bytes={part.size}-", "If-Range": str(part.etag)} if part.etag is not None and part.size else {}
    async with client.stream(address, _KIND, headers=goes_on) as response:
        if not _fits(client, part, response):
            part.forget()
            raise UnreachableError("what lies in the storage has changed")
        size, total = part.size, part.total or 0
        async for piece in response.aiter_raw():
            size += len(piece)
            if size > total:
                part.forget()
                raise client.stranger("more than it announced")
            part.add(piece)
            shown.tell(f"{words.size(size)} of {words.size(total)}, {size * 100 // max(total, 1)} %")
    if not part.whole:
        raise UnreachableError(f"the download broke off after {words.size(part.size)}")


def _fits(client: "Client", part: _Part, response: "httpx2.Response") -> bool:
    """Tell whether what comes goes on where the part ends; the whole makes the part begin anew."""
    etag, length = response.headers.get("etag"), response.headers.get("content-length", "")
    if response.status_code == _OK:
        if not etag or not length.isdigit():
            raise client.stranger("a file without ETag or length")
        part.begin(etag, int(length))
        return True
    piece = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if response.status_code == _PAST_END or piece is None or piece[1] is None:
        return False
    return etag == part.etag and int(piece[1]) == part.size and int(piece[2]) == part.total
