"""Gzip that comes in pieces, unpacked as far as is wanted and never further."""

import zlib
from dataclasses import dataclass, field

_GZIP = zlib.MAX_WBITS | 16


@dataclass(slots=True)
class Unpacked:
    """A file of which at most so many bytes of text are known. `packed` is the file itself, if it is to be kept."""

    most: int
    keep: bool = False
    total: int = 0
    """Bytes of the file; 0 for one that is not there."""
    read: int = 0
    text: bytearray = field(default_factory=bytearray)
    packed: bytearray = field(default_factory=bytearray)
    cut: bool = False
    """There is more text."""
    broken: bool = False
    """It is not gzip, or not whole."""
    ended: bool = False
    _unpacker: "zlib._Decompress" = field(default_factory=lambda: zlib.decompressobj(_GZIP))

    def feed(self, data: bytes, total: int) -> None:
        """Take the next piece of a file of so many bytes."""
        self.total, self.read = total, self.read + len(data)
        if self.keep:
            self.packed += data
        try:
            self._unpack(data)
        except zlib.error:
            self.broken = True
        if self.read >= total and not self.cut and not self._unpacker.eof:
            self.broken = True
        self.ended = self.cut or self.broken or self.read >= total or not data

    def _unpack(self, data: bytes) -> None:
        while data:
            room = self.most - len(self.text)
            self.text += self._unpacker.decompress(data, room + 1)
            if len(self.text) > self.most:
                del self.text[self.most :]
                self.cut = True
                return
            data = self._unpacker.unconsumed_tail
            if self._unpacker.eof and (data := self._unpacker.unused_data):  # gzip may be several, one after the other
                self._unpacker = zlib.decompressobj(_GZIP)
