"""Time zones by their IANA names, from the machine's data or else from the `tzdata` package; each is read once and kept."""

from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

_NO_ZONES: Final = frozenset({"Factory", "localtime", "posixrules"})
"""Files that lie among the zones and depend on the machine, or say that there is none."""

_ECHO: Final = 60


class ZoneInvalidError(ValueError):
    """There is no such time zone; the text is a sentence for people."""


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return the zone of an IANA name such as `Europe/Berlin` or `UTC`, letter for letter. Raise ZoneInvalidError.

    What is not in the list of names never reaches the file system: no path, no `localtime`, nothing of `posix/` and `right/`.
    """
    if name not in _names():
        raise ZoneInvalidError(f"{_short(name)} is not an IANA time zone{_meant(name)}")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - _NO_ZONES)


def _meant(name: str) -> str:
    near = next((known for known in sorted(_names()) if known.lower() == name.strip().lower()), None)
    return f": did you mean {near}?" if near else ": use a name such as Europe/Berlin or UTC."


def _short(text: str) -> str:
    return repr(text if len(text) <= _ECHO else f"{text[:_ECHO]}…")
