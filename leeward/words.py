"""How values are written for people. Pure; what is not known is a dash, never a zero."""

from datetime import datetime, timedelta
from typing import Any

UNKNOWN = "—"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_PARTS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_CONTROLS = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in {0x09, 0x0A}}


def plain(value: Any) -> str:
    """Return a value as text that cannot move a terminal's cursor."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(plain(v) for v in value) or UNKNOWN
    if isinstance(value, dict):
        return ", ".join(f"{plain(k)}={'' if v == '' else plain(v)}" for k, v in value.items()) or UNKNOWN
    return safe(str(value))


def safe(text: str) -> str:
    """Return text that cannot move a terminal's cursor."""
    return text.translate(_CONTROLS)


def instant(text: Any) -> datetime | None:
    """Read a time of the API's; None for none and for what is not one."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def moment(text: Any, *, seconds: bool = False) -> str:
    """Return a time in this machine's zone, with its offset."""
    at = instant(text)
    if at is None:
        return UNKNOWN
    local = at.astimezone()
    offset = local.strftime("%z")
    zone = "Z" if offset == "+0000" else offset[:3] + (f":{offset[3:5]}" if offset[3:5] != "00" else "")
    return local.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M") + zone


def span(length: timedelta) -> str:
    """Return a length of time by its two largest units: `29d 23h`, `3m 5s`."""
    left = max(int(length.total_seconds()), 0)
    parts: list[str] = []
    for size, unit in _PARTS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return " ".join(part for part in parts[:2] if part) or "0s"


def ago(text: Any, now: datetime) -> str:
    """Return how long ago a time was."""
    at = instant(text)
    return UNKNOWN if at is None else f"{span(now - at)} ago"


def remaining(text: Any, now: datetime) -> str:
    """Return how long it is until a time; a past one has expired."""
    at = instant(text)
    if at is None:
        return UNKNOWN
    return span(at - now) if at > now else "expired"


def size(count: Any) -> str:
    """Return bytes in the unit that fits."""
    if not isinstance(count, int | float) or isinstance(count, bool):
        return UNKNOWN
    amount, unit = float(count), 0
    while amount >= _STEP and unit < len(_UNITS) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{count} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def number(count: Any) -> str:
    """Return a count with separators."""
    return f"{count:,}" if isinstance(count, int) else UNKNOWN
