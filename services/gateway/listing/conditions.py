"""Conditions on documents as MongoDB reads them, kept flat: a path and what it must be. Pure.

A flat condition is what an index can answer: `$or` and `$and` stand only where several of them are asked together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import product
from typing import Any

Condition = dict[str, Any]
"""A value by path, or the operators that a value must satisfy."""


def one_of(values: Iterable[Any]) -> Any:
    """Return what a field must be to be one of the values."""
    known = list(dict.fromkeys(values))
    return known[0] if len(known) == 1 else {"$in": known}


def any_of(path: str) -> Callable[[Sequence[Any]], list[Condition]]:
    """Return a filter: the field is one of the values."""
    return lambda values: [{path: one_of(map(str, values))}]


def every(*sides: Sequence[Condition]) -> list[Condition]:
    """Return the alternatives that are left when of each side one alternative must hold."""
    nothing: Condition | None = {}
    merged = (reduce(_both, chosen, nothing) for chosen in product(*sides))
    return [condition for condition in merged if condition is not None]


def query(alternatives: Sequence[Condition]) -> Condition:
    """Return alternatives as one query."""
    return alternatives[0] if len(alternatives) == 1 else {"$or": list(alternatives)}


def _both(one: Condition | None, other: Condition) -> Condition | None:
    """Return both as one; None if nothing can satisfy both."""
    if one is None:
        return None
    merged = dict(one)
    for path, wanted in other.items():
        if path not in one:
            merged[path] = wanted
        elif wanted is None:  # every condition that there is asks for a value
            return None
        elif isinstance(wanted, Mapping):
            merged[path] = {**_operators(one[path]), **wanted}
        else:
            merged[path] = {**_operators(one[path]), "$eq": wanted}
    return merged


def _operators(wanted: Any) -> Mapping[str, Any]:
    return wanted if isinstance(wanted, Mapping) else {"$eq": wanted}
