"""A backup in full, for people: how it went and why first, then what it is of, what it holds, and its history."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from leeward import scoping, words
from leeward.columns import VOLUMES, claim, creator, dig, expires, status
from leeward.output import Output
from leeward.request import FIELDS
from shared.runtime import clock

Item = Mapping[str, Any]
_LINES = 20
"""Causes, errors or transitions that are shown; JSON has all."""
_LONGEST = 2000
"""Characters of one reason that are shown."""
_LEFT_TO_VELERO = "auto"


def short(item: Item) -> dict[str, Any]:
    """Return how a backup went, and why."""
    now = clock.now()
    return {
        "Name": item.get("name"),
        "Cluster": item.get("cluster"),
        "Id": item.get("id"),
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
    told = {_cut(text): None for text in reasons}
    for cause in item.get("why") or []:
        message = _cut(cause.get("message"))
        if message in told:  # the cluster's own sentence, and nothing to add to it
            continue
        count, example, where = cause.get("count"), cause.get("example"), cause.get("namespace")
        told[f"{words.number(count)} x {message}" if (count or 0) > 1 else message] = None
        if example or where:
            place = " in namespace ".join(words.plain(part) for part in (example, where) if part)
            told[f"  {'such as' if (count or 0) > 1 else 'hit'} {place}"] = None
    return _first(list(told), more=bool(item.get("whyTruncated")))


def _begins(reason: Any, text: Any) -> bool:
    """Tell whether a reason is the beginning of a text that is told anyway."""
    return str(reason).endswith("…") and str(text).startswith(str(reason)[:-1])


def _cut(text: Any) -> str:
    told = words.plain(text)
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}… (-o json has all of it)"


def _first(lines: list[str], *, more: bool = False) -> list[str]:
    left = len(lines) - _LINES
    rest = [f"({words.number(left)} more: -o json)"] if left > 0 else ["(there were more)"] if more else []
    return [*lines[:_LINES], *rest]


def _progress(item: Item) -> str | None:
    done, total = dig(item, "progress", "itemsBackedUp"), dig(item, "progress", "totalItems")
    return None if done is None else words.number(done) + (f" of {words.number(total)}" if total is not None else "")


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


# ---------------------------------------------------------------------- everything


def show(output: Output, item: Item) -> None:
    """Print all that is known of a backup."""
    now = clock.now()
    output.facts(short(item))
    output.section("Scope", _scope(item))
    output.section("Made", _made(item, now))
    output.section("Spec" if item.get("spec") else "Requested Spec", dict(spec_of(item)))
    _volumes(output, item)
    output.section("Hooks", _named(item.get("hookStatus") or {}))
    output.section("Notes", notices(item, {field.pointer: field.option for field in FIELDS}))
    _deletion(output, item)
    told = [f"{words.moment(t.get('at'), seconds=True)}  {t.get('kind')} {t.get('to')}" for t in item.get("transitions") or []]
    earlier = [f"({len(told) - _LINES} earlier ones: -o json)"] if len(told) > _LINES else []
    output.section("History", [*earlier, *told[-_LINES:]])
    if item.get("outcome") in {"PartiallyFailed", "Failed"}:
        output.say(f"`leeward backup results {item.get('id')}` has every error")
        output.say(f"`leeward backup logs {item.get('id')}` has all that Velero wrote")


def notices(answer: Item, options: Mapping[str, str]) -> list[str]:
    """Return what a person should know of a request, each by the option that it is about."""
    told = []
    for notice in answer.get("notices") or []:
        option = options.get(str(notice.get("pointer")))
        told.append(f"{option}: {notice.get('detail')}" if option else words.plain(notice.get("detail")))
    return told


def _scope(item: Item) -> dict[str, Any]:
    spec = item.get("spec") or {}
    names = item.get("resolvedNamespaces")
    included = [n for n in spec.get("includedNamespaces") or [] if n != "*"]
    without = f" without {words.plain(spec['excludedNamespaces'])}" if spec.get("excludedNamespaces") else ""
    return {
        "Asked For": scoping.told(item.get("scope")),
        "Namespaces": names if names is not None else words.plain(included or "all") + without if spec else None,
    }


def _made(item: Item, now: datetime) -> dict[str, Any]:
    return {
        "Created By": creator(item),
        "Schedule": dig(item, "schedule", "name"),
        "Labels": item.get("labels") or None,
        "Backup Date": words.moment(item.get("createdAt"), seconds=True),
        "Queue Position": item.get("queuePosition"),
        "Started": words.moment(item.get("startedAt"), seconds=True),
        "Completed": words.moment(item.get("completedAt"), seconds=True),
        "Expires": words.moment(item.get("expiresAt"), seconds=True),
        "Velero Namespace": item.get("namespace"),
        "Operation": item.get("operationId") if item.get("operationId") != item.get("id") else None,
        "Copy": "of another cluster's backup" if item.get("replica") else None,
        "In Cluster": item.get("present"),
        "Unreadable": item.get("unreadable"),
        "Kept": item.get("captured") or None,
        "As Of": words.ago(item.get("asOf"), now),
    }


def _volumes(output: Output, item: Item) -> None:
    """Print one line a volume, and below them what there is to say about some."""
    volumes = item.get("volumes")
    if volumes is None:
        return
    output.line(f"\nVolumes:{'' if volumes else ' none'}")
    if volumes:
        output.rows(VOLUMES, volumes, indent=2)
    told = [f"{claim(volume)}: {_cut(volume['message'])}" for volume in volumes if volume.get("message")]
    output.indented([*_first(told), *(["(there were more)"] if item.get("volumesTruncated") else [])])


def _deletion(output: Output, item: Item) -> None:
    deletion = item.get("deletion")
    if not deletion:
        return
    output.section(
        "Deletion",
        {
            "Asked By": deletion.get("by"),
            "Asked": words.moment(deletion.get("askedAt"), seconds=True),
            "Errors": "\n".join(_first([_cut(error) for error in deletion.get("errors") or []])),
        },
    )


# ---------------------------------------------------------------------- the spec in words

_Form = Callable[[Any], str]


def _yes_no(value: Any) -> str:
    return _LEFT_TO_VELERO if value is None else words.plain(value)


def selector(value: Any) -> str:
    """Write a label selector as kubectl does."""
    told = [f"{key}={label}" for key, label in ((value or {}).get("matchLabels") or {}).items()]
    for term in (value or {}).get("matchExpressions") or []:
        key, operator, values = term.get("key"), term.get("operator"), ",".join(map(str, term.get("values") or []))
        simple = {"Exists": str(key), "DoesNotExist": f"!{key}"}
        told.append(simple.get(str(operator), f"{key} {str(operator).lower()} ({values})"))
    return words.plain(",".join(told))


def _selectors(value: Any) -> str:
    return " or ".join(selector(each) for each in value or []) or words.UNKNOWN


def _hook_names(value: Any) -> str:
    return words.plain([hook.get("name") for hook in (value or {}).get("resources") or []])


def _policy(value: Any) -> str:
    return words.plain((value or {}).get("name"))


_FILTERS: Sequence[tuple[str, str, str, str]] = (
    ("Resources", "includedResources", "excludedResources", "all"),
    ("Cluster-scoped", "includedClusterScopedResources", "excludedClusterScopedResources", _LEFT_TO_VELERO),
    ("Namespace-scoped", "includedNamespaceScopedResources", "excludedNamespaceScopedResources", "all"),
)
"""Title, fields, and what an empty first one means."""
_SPEC: Sequence[tuple[str, str, _Form]] = (
    ("Cluster Resources", "includeClusterResources", _yes_no),
    ("Label Selector", "labelSelector", selector),
    ("Or Selectors", "orLabelSelectors", _selectors),
    ("Ordered Resources", "orderedResources", words.plain),
    ("Resource Policy", "resourcePolicy", _policy),
    ("Storage Location", "storageLocation", words.plain),
    ("Snapshot Volumes", "snapshotVolumes", _yes_no),
    ("Snapshot Locations", "volumeSnapshotLocations", words.plain),
    ("Move Snapshot Data", "snapshotMoveData", words.plain),
    ("Data Mover", "datamover", words.plain),
    ("File System Backup", "defaultVolumesToFsBackup", words.plain),
    ("Uploader", "uploaderConfig", words.plain),
    ("Volume Group Label", "volumeGroupSnapshotLabelKey", words.plain),
    ("TTL", "ttl", words.plain),
    ("CSI Snapshot Timeout", "csiSnapshotTimeout", words.plain),
    ("Item Operation Timeout", "itemOperationTimeout", words.plain),
    ("Hooks", "hooks", _hook_names),
)
_TOLD = {
    "includedNamespaces",
    "excludedNamespaces",
    *(field for _, *pair, _ in _FILTERS for field in pair),
    *(field for _, field, _ in _SPEC),
}


def spec_of(item: Item) -> Iterator[tuple[str, Any]]:
    """Say what was to be backed up and how, in the order of Velero's own `describe`."""
    spec = item.get("spec") or item.get("requestedSpec") or {}
    if not spec:
        return
    for title, included, excluded, usual in _FILTERS:
        which, without = spec.get(included) or [], spec.get(excluded) or []
        if which or without or title == "Resources":
            named = words.plain(which) if which and which != ["*"] else "all" if which else usual
            yield title, named + (f" without {words.plain(without)}" if without else "")
    for title, field, form in _SPEC:
        yield title, form(spec.get(field))
    for field, value in spec.items():  # what a newer Velero has
        if field not in _TOLD and value not in (None, [], {}, ""):
            yield field, words.plain(value)


def _named(counts: Item) -> dict[str, Any]:
    return {name.removeprefix("hooks"): value for name, value in counts.items()}
