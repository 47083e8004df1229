"""Gzip into text with bounded memory, whatever is in it; and the end of a text. Pure."""

import zlib
from collections.abc import Iterator

_GZIP = 16 + zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b"
_PIECE = 64 * 1024
_LONGEST_TAIL = 4 * 1024 * 1024


class NotWholeError(ValueError):
    """What was read is not gzip, or ends before its end."""


def is_gzip(data: bytes) -> bool:
    """Tell whether this is the beginning of something compressed."""
    return data.startswith(_MAGIC)


class Gunzip:
    """Takes compressed bytes as they come and gives back text in pieces of at most 64 KiB."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take some bytes.

        Raises NotWholeError when they are not gzip.
        """
        while data:
            if self._member.eof:  # several files, one behind the other, are one; and zeros may follow
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member = zlib.decompressobj(_GZIP)
            try:
                text = self._member.decompress(data, _PIECE)
            except zlib.error as error:
                raise NotWholeError(str(error)) from error
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if text:
                yield text
        while not self._member.eof and (text := self._member.decompress(b"", _PIECE)):
            yield text

    def close(self) -> None:
        """Return if that was all.

        Raises NotWholeError otherwise.
        """
        if not self._member.eof:
            raise NotWholeError("ends in the middle")


class Tail:
    """The last lines of a text; those that fit into 4 MiB, if they are longer."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._kept = bytearray()
        self._whole = True

    def feed(self, text: bytes) -> None:
        """Take some text."""
        self._kept += text
        if len(self._kept) > 2 * _LONGEST_TAIL:
            self._shorten()

    def text(self) -> bytes:
        """Return the last lines of what was taken."""
        if len(self._kept) > _LONGEST_TAIL:
            self._shorten()
        end = before = len(self._kept) - self._kept.endswith(b"\n")
        for _ in range(self._lines):
            before = self._kept.rfind(b"\n", 0, before)
            if before < 0:  # the line in which the rest begins is not whole, unless it is all there is
                before = -1 if self._whole else self._kept.find(b"\n", 0, end)
                break
        return bytes(self._kept[before + 1 :])

    def _shorten(self) -> None:
        del self._kept[:-_LONGEST_TAIL]
        self._whole = False
