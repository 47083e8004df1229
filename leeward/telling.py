"""What several things have to tell, in the same words: how one went and why, its history, and what to know of a request."""

from collections.abc import Iterable, Mapping
from typing import Any

from leeward import words
from leeward.columns import dig, done, expires, origin, status
from leeward.problems import as_typed
from shared.runtime import clock

Item = Mapping[str, Any]
_LINES = 20
"""Causes, errors or transitions that are shown; JSON has all."""
_LONGEST = 2000
"""Characters of one reason that are shown."""


def short(item: Item) -> dict[str, Any]:
    """Return how a backup or a restore went, and why."""
    now = clock.now()
    return {
        "Name": item.get("name"),
        "Cluster": item.get("cluster"),
        "Id": item.get("id"),
        "Backup": origin(item, now),
        "Status": status(item, now),
        "Phase": item.get("phase") if item.get("phase") != item.get("status") else None,
        "Why": "\n".join(_why(item)),
        "Items": _progress(item),
        "Warnings": item.get("warnings"),
        "Errors": item.get("errors"),
        "Took": _took(item),
        "Size": size(item),
        "Expires In": expires(item, now),
    }


def _why(item: Item) -> list[str]:
    """Return why it ended so: what was found out, else what the cluster said."""
    whole = [text for text in (item.get("failureReason"), *(item.get("validationErrors") or [])) if text]
    reason = item.get("reason")
    reasons = [reason, *whole] if reason and not any(_begins(reason, text) for text in whole) else whole
    told = {cut(text): None for text in reasons}
    for cause in item.get("why") or []:
        message = cut(cause.get("message"))
        if message in told:  # the cluster's own sentence, and nothing to add to it
            continue
        count, example, where = cause.get("count"), cause.get("example"), cause.get("namespace")
        told[f"{words.number(count)} x {message}" if (count or 0) > 1 else message] = None
        if example or where:
            place = " in namespace ".join(words.plain(part) for part in (example, where) if part)
            told[f"  {'such as' if (count or 0) > 1 else 'hit'} {place}"] = None
    return first(list(told), more=bool(item.get("whyTruncated")))


def _begins(reason: Any, text: Any) -> bool:
    """Tell whether a reason is the beginning of a text that is told anyway."""
    return str(reason).endswith("…") and str(text).startswith(str(reason)[:-1])


def cut(text: Any) -> str:
    """Return a text that is not longer than somebody reads."""
    told = words.plain(text)
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}… (-o json has all of it)"


def first(lines: list[str], *, more: bool = False) -> list[str]:
    """Return the first lines, and how many more there are."""
    left = len(lines) - _LINES
    rest = [f"({words.number(left)} more: -o json)"] if left > 0 else ["(there were more)"] if more else []
    return [*lines[:_LINES], *rest]


def _progress(item: Item) -> str | None:
    count, total = done(item), dig(item, "progress", "totalItems")
    return None if count is None else words.number(count) + (f" of {words.number(total)}" if total is not None else "")


def _took(item: Item) -> str | None:
    begin, end = words.instant(item.get("startedAt")), words.instant(item.get("completedAt"))
    return words.span(end - begin) if begin and end else None


def size(item: Item) -> str | None:
    """Return what is stored in all and in parts; a part that is not known is said to be so."""
    parts = {name: dig(item, "size", f"{name}Bytes") for name in ("total", "metadata", "volume")}
    if all(part is None for part in parts.values()):
        return None
    known = {name: "not known" if part is None else words.size(part) for name, part in parts.items()}
    return f"{known['total']} (objects {known['metadata']}, volumes {known['volume']})"


def history(item: Item) -> list[str]:
    """Return the last phases and statuses that something has reached, and when."""
    told = [f"{words.moment(t.get('at'), seconds=True)}  {t.get('kind')} {t.get('to')}" for t in item.get("transitions") or []]
    earlier = [f"({len(told) - _LINES} earlier ones: -o json)"] if len(told) > _LINES else []
    return [*earlier, *told[-_LINES:]]


def hooks(item: Item) -> dict[str, Any]:
    """Return how many hooks were run, and how they ended."""
    return {name.removeprefix("hooks"): value for name, value in (item.get("hookStatus") or {}).items()}


def notices(answer: Item, options: Mapping[str, str]) -> list[str]:
    """Return what a person should know of a request, each by the option that it is about."""
    told = []
    for notice in answer.get("notices") or []:
        option = options.get(str(notice.get("pointer")))
        told.append(f"{option}: {notice.get('detail')}" if option else words.plain(notice.get("detail")))
    return told


def findings(answer: Item) -> list[str]:
    """Return what there is to know before a restore, each with how grave it is, and what it is about below it."""
    told = []
    for found in answer.get("findings") or []:
        told.append(f"{words.plain(found.get('severity'))}: {words.plain(found.get('message'))}")
        told += [f"  {words.plain(thing)}" for thing in found.get("objects") or []]
    return told


def problems(found: Iterable[Item]) -> list[str]:
    """Return what is wrong with a cluster, or with something in it."""
    return [f"{words.plain(p.get('code'))}: {as_typed(words.plain(p.get('message')))}" for p in found]
