"""Why a backup did not end well: what its results say, grouped by reason, so that ten thousand errors are a few lines. Pure."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.events import Cause

MOST = 20
_LONGEST = 500
_READ = 700
"""So much of a reason is looked at."""
_SOMETHING = "…"

_GENERIC = frozenset({"Error backing up item", "Error backing up items"})
"""What Velero says before every error: no reason."""

_ENTRY = re.compile(
    r"\s*(?:resource: /(?P<resource>\S*)\s*)?(?:namespace: /(?P<namespace>\S*)\s*)?(?:name: /(?P<name>\S*)\s*)?"
    r"(?:message: /(?P<message>.*?)(?=error: /|\Z))?(?:error: /(?P<error>.*))?",
    re.DOTALL,
)
"""How Velero writes a log line with fields into its results; nothing here is looked at twice, however long a text is."""

_WORD = re.compile(r"\w(?:[-\w.]*\w)?")
_LABEL = r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?"
_NAME = r"[a-z0-9](?:[-a-z0-9._/:]*[a-z0-9])?"
_TOLD: tuple[re.Pattern[str], ...] = (
    re.compile(rf"\berror restoring (?P<resource>[a-z]+)(?:\.[a-z0-9.]+)?/(?:{_LABEL}/)?(?P<name>{_LABEL}): "),
    re.compile(rf'\b(?P<resource>[a-z]+)(?:\.[a-z0-9.]+)? "(?P<name>{_NAME})" not found'),
    re.compile(rf"\b(?P<resource>pod) (?P<name>{_NAME}) (?:does|is|has)\b"),
)
"""How an object stands in the words of an error whose entry names none, as that of a hook."""
_DIFFERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"(https?://[^\s?\"']+)\?[^\s\"']*", r"\1"),  # the query of an address may be a signature
        (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", _SOMETHING),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", _SOMETHING),
        (rf'"{_NAME}"', f'"{_SOMETHING}"'),
        (rf"'{_NAME}'", f"'{_SOMETHING}'"),
        (r"(?<![\w…])(?=[a-z0-9.]*-)(?=[-a-z.]*\d)[a-z0-9][-a-z0-9.]*[a-z0-9](?![\w…])", _SOMETHING),  # web-0
        (r"\b(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}\b", _SOMETHING),
        (r"(?i)(?<!code )(?<!code: )(?<!code=)(?<!status )(?<!status: )(?<!http )(?<![\w.])\d[\d.,:]*(?<=\d)", _SOMETHING),
        (r"…(?:[-./:_]?…)+", _SOMETHING),
        (r"\s+", " "),
    )
)
"""What differs from object to object, in the order in which it is left out. Codes (HTTP, exit, status) are reasons: kept."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong: why, what it hit, and what Velero was doing, as far as that is known."""

    reason: str
    object: str | None = None
    namespace: str | None = None
    doing: str = ""


@dataclass(slots=True)
class _Group:
    count: int = 0
    example: str | None = None
    namespaces: set[str | None] = field(default_factory=set)
    doing: Counter[str] = field(default_factory=Counter)

    def message(self, reason: str) -> str:
        """Return the reason with what Velero was mostly doing: one error is often told by several, each with other words."""
        doing = max(self.doing, key=lambda words: (self.doing[words], words))
        return f"{doing}: {reason}"[:_LONGEST] if doing else reason


def failures(results: Any) -> Iterator[Failure]:
    """Yield the errors in the results of a backup, as far as they have the form that they should have."""
    errors = results.get("errors") if isinstance(results, dict) else None
    if not isinstance(errors, dict):
        return
    spaces = errors.get("namespaces")
    for text in (*_texts(errors.get("velero")), *_texts(errors.get("cluster"))):
        yield failure(text)
    for namespace, texts in spaces.items() if isinstance(spaces, dict) else ():
        for text in _texts(texts):
            yield failure(text, str(namespace)[:_LONGEST])


def failure(text: str, namespace: str | None = None) -> Failure:
    """Read one text of the results."""
    found = _ENTRY.fullmatch(text)
    parts: Mapping[str, str | None] = found.groupdict() if found else {}
    resource, name = parts.get("resource"), parts.get("name")
    message, error = (parts.get("message") or "").rstrip(), parts.get("error") or ""
    doing = "" if not error or message in _GENERIC or message in error else message
    thing = f"{resource}/{name}" if resource and name else name or resource
    reason = error or message or text
    return Failure(reason, thing or _told(reason), (parts.get("namespace") or "")[:_LONGEST] or namespace, doing)


def _told(reason: str) -> str | None:
    """Return the object that a reason speaks of, if it does in words that are known."""
    found = next((match for words in _TOLD if (match := words.search(reason[:_READ]))), None)
    return f"{found['resource'].removesuffix('s')}s/{found['name']}" if found else None


def causes(found: Iterable[Failure], most: int = MOST) -> tuple[list[Cause], bool]:
    """Group failures by their reason, the most frequent first, whatever their order; tell whether some were left out."""
    groups: dict[str, _Group] = {}
    for each in found:
        names = (each.object or "").rpartition("/")[2], each.namespace or ""
        group = groups.setdefault(general(each.reason, *names), _Group())
        group.count += 1
        group.namespaces.add(each.namespace)
        group.doing[general(each.doing, *names) if each.doing else ""] += 1
        if each.object:
            group.example = min(group.example or each.object, each.object)
    grouped = (
        Cause(
            message=group.message(reason),
            count=group.count,
            example=group.example[:_LONGEST] if group.example else None,
            namespace=next(iter(group.namespaces)) if len(group.namespaces) == 1 else None,
        )
        for reason, group in groups.items()
    )
    ordered = sorted(grouped, key=lambda cause: (-cause.count, cause.message, cause.example or ""))
    return ordered[:most], len(ordered) > most


def general(reason: str, *names: str) -> str:
    """Return a reason without what differs from object to object: these names, ids, addresses, numbers."""
    text = _WORD.sub(lambda word: _SOMETHING if word[0] in names else word[0], reason[:_READ])
    for pattern, instead in _DIFFERS:
        text = pattern.sub(instead, text)
    return text.strip()[:_LONGEST].strip() or "no reason given"


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:(?P<whole>")|\\?\Z)|[\[\]{}]', re.DOTALL)
_CLOSING = {"[": "]", "{": "}"}


def mended(text: str) -> str:
    """Return JSON of lists of texts that was cut off somewhere as JSON again, with every text that was whole."""
    end, open_then, still_open = 0, "", ""
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in _CLOSING:
            still_open += sign
            continue
        if sign in {"]", "}"}:
            still_open = still_open[:-1]
        elif not token["whole"]:
            break
        elif not still_open.endswith("["):
            continue  # a key, or not a list of texts
        end, open_then = token.end(), still_open
    return (text[:end] + "".join(_CLOSING[sign] for sign in reversed(open_then))) if end else "{}"


def read_results(text: bytes | bytearray, *, cut: bool) -> Any:
    """Return the results of a backup, as far as they go; None when they are no JSON."""
    words = text.decode(errors="replace")
    try:
        return json.loads(mended(words) if cut else words)
    except (ValueError, RecursionError):
        return None


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
