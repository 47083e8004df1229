"""`Range` and `If-Range` (RFC 9110): which part of something a client wants. Pure."""

import hashlib
import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})\s*", re.IGNORECASE)
_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e]*"')


class BeyondTheEndError(ValueError):
    """The range begins behind the last byte, or is of none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One range as a client names it: from `first` to `last`, or the last so many bytes (`first` is None)."""

    first: int | None
    last: int | None

    def of(self, total: int) -> tuple[int, int]:
        """Return where the range begins and (excluded) ends in so many bytes.

        Raises BeyondTheEndError.
        """
        if self.first is None:
            begin, end = max(0, total - (self.last or 0)), total
        else:
            begin, end = self.first, total if self.last is None else min(self.last + 1, total)
        if begin >= end:
            raise BeyondTheEndError
        return begin, end


def wanted(header: str | None) -> Wanted | None:
    """Read a Range header. None for all that a server may ignore: none, several ranges, other units, and nonsense."""
    match = _RANGE.fullmatch(header.strip()) if header is not None else None
    if match is None or not (match[1] or match[2]):
        return None
    first, last = (int(part) if part else None for part in match.groups())
    return None if first is not None and last is not None and last < first else Wanted(first, last)


def still_holds(if_range: str | None, etag: str) -> bool:
    """Tell whether a range is wanted of what lies there now: only a strong and equal ETag says so; a date never does."""
    return if_range is None or (if_range.strip() == etag and not etag.startswith("W/"))


def quoted(etag: str) -> str:
    """Return an ETag of a storage as one that a header can carry."""
    return etag if _ETAG.fullmatch(etag) else f'"{hashlib.sha256(etag.encode()).hexdigest()[:32]}"'
