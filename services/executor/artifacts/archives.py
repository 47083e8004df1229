"""A tarball that comes in pieces: the files that are wanted, and nothing else is kept. Pure."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

_BLOCK: Final = 512
_GZIP: Final = zlib.MAX_WBITS | 16
_STEP: Final = 1024 * 1024
"""Bytes that are unpacked at a time."""
_LONGEST: Final = 1024 * 1024
"""Of a file that is wanted, or of a long name; a larger one is passed over."""
_FILES: Final = frozenset({b"0", b"\0"})
_LONG_NAME, _PAX = b"L", b"x"


@dataclass(slots=True)
class Archive:
    """A gzipped tarball. `wants` says which files are given, by their names."""

    wants: Callable[[str], bool]
    unpacked: int = 0
    broken: bool = False
    """It is not gzip, or no tarball."""
    _unpacker: "zlib._Decompress" = field(default_factory=lambda: zlib.decompressobj(_GZIP))
    _buffer: bytearray = field(default_factory=bytearray)
    _skip: int = 0
    _name: str = ""
    """What a header before the next one has called its file."""

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Take the next piece; return the wanted files that are whole by now."""
        found: list[tuple[str, bytes]] = []
        try:
            while data and not self.broken:
                text = self._unpacker.decompress(data, _STEP)
                data = self._unpacker.unconsumed_tail
                self.unpacked += len(text)
                self._buffer += text
                found += self._files()
        except zlib.error:
            self.broken = True
        return found

    def _files(self) -> Iterator[tuple[str, bytes]]:
        while True:
            passed = min(self._skip, len(self._buffer))
            del self._buffer[:passed]
            self._skip -= passed
            if self._skip or len(self._buffer) < _BLOCK:
                return
            header = bytes(self._buffer[:_BLOCK])
            if not any(header):
                self._skip = _BLOCK  # the end, or padding
                continue
            size = _number(header[124:136])
            if size is None:
                self.broken = True
                return
            kind, whole = header[156:157], -(-size // _BLOCK) * _BLOCK
            name = self._name or _name(header)
            if not self._is_read(kind, name, size):
                self._name, self._skip = "", _BLOCK + whole
                continue
            if len(self._buffer) < _BLOCK + whole:
                return
            content, self._name = bytes(self._buffer[_BLOCK : _BLOCK + size]), ""
            self._skip = _BLOCK + whole
            if kind == _LONG_NAME:
                self._name = _text(content)
            elif kind == _PAX:
                self._name = _path(content)
            else:
                yield name, content

    def _is_read(self, kind: bytes, name: str, size: int) -> bool:
        return size <= _LONGEST and (kind in {_LONG_NAME, _PAX} or (kind in _FILES and self.wants(name)))


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _path(records: bytes) -> str:
    """Return the path that a header of attributes tells: `<length> path=<name>` in a line; empty if it tells none."""
    while records:
        length, _, _ = records.partition(b" ")
        if not length.isdigit() or not int(length):
            return ""
        key, _, value = records[len(length) + 1 : int(length) - 1].partition(b"=")
        if key == b"path":
            return _text(value)
        records = records[int(length) :]
    return ""


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode(errors="replace")


def _number(raw: bytes) -> int | None:
    """Read a size: octal, or binary where that is too short; None for what is neither."""
    if raw[0] & 0x80:
        return int.from_bytes(raw[1:], "big")
    digits = raw.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        return None
