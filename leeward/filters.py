"""What a list can be narrowed by: one table a list, from which its options and what is asked of the API are made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Annotated, Any

import typer

from leeward import arguments, completion, listing
from leeward.session import Session, command

Offer = Callable[..., list[str]]


def same(value: str) -> str:
    """Return a value as it was typed."""
    return value


@dataclass(frozen=True, slots=True)
class Filter:
    """An option of a list: how it is written, the parameter that it fills, and how a value is read.

    `many`: it can be given several times, and each means "or".
    """

    names: str
    parameter: str
    metavar: str
    help: str
    offer: Offer | None = None
    form: Callable[[str], str | None] = same
    many: bool = True

    @property
    def key(self) -> str:
        """The name of the option in Python."""
        return self.names.split()[0].lstrip("-").replace("-", "_")


def among(known: Mapping[str, str]) -> Callable[[str], str]:
    """Read a word as the API writes it, however it is typed."""
    return lambda value: known.get(value.lower(), value)


def time(name: str, parameter: str, words: str) -> Filter:
    """Return a filter by a time."""
    return Filter(name, parameter, "TIME", words, form=lambda text: arguments.moment(text, name), many=False)


def sort(example: str, usual: str, offer: Offer | None = None) -> Filter:
    """Return the option that orders a list."""
    return Filter("--sort", "sort", "FIELDS", f"{example} [API: {usual}].", offer, many=False)


CLUSTER = Filter("--cluster -c", "cluster", "CLUSTER", "Of this cluster.", completion.clusters)
CREATED_BY = Filter("--created-by", "createdBy", "WHO", "By anna, Schedule, User/anna.")
LABEL = Filter("--label -l", "label", "KEY[=VALUE]", "With this label: team=shop, or team.")
SEARCH = Filter("--search", "search", "TEXT", "Whose name contains this.", many=False)
OUTCOME = Filter(
    "--outcome", "outcome", "OUTCOME", "That ended so, whatever came after.", completion.outcomes, among(completion.STATUSES)
)


def status(known: Mapping[str, str], offer: Offer) -> Filter:
    """Return the filter by status; `known` are those of the thing, by what is typed."""
    return Filter("--status -s", "status", "STATUS", "With this status.", offer, among(known))


def register(app: typer.Typer, of: listing.Listing, table: Sequence[Filter], words: str, *, watch: bool = True) -> None:
    """Register a list as a command; `words` are its help."""

    async def list_(session: Session, **given: Any) -> None:
        params = {**_asked(table, given), "limit": given["limit"], "cursor": given["cursor"]}
        shown = listing.watch if given.get("watch") else listing.show
        await shown(session, of, params, everything=given["everything"])

    list_.__doc__ = words
    command(app, "list", more=(*map(_option, table), *_PAGES, *([_WATCH] if watch else [])))(list_)


def _parameter(name: str, kind: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)


_PAGES = (
    _parameter("limit", arguments.Limit, None),
    _parameter("cursor", arguments.Cursor, None),
    _parameter("everything", arguments.All, default=False),
)
_WATCH = _parameter("watch", arguments.Watch, default=False)


def _asked(table: Iterable[Filter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that options fill."""
    asked: dict[str, Any] = {}
    for each in table:
        value = given.get(each.key)
        asked[each.parameter] = [each.form(v) for v in value or []] if each.many else each.form(value) if value else None
    return asked


def _option(each: Filter) -> Parameter:
    option = typer.Option(
        *each.names.split(), metavar=each.metavar, help=each.help, show_default=False, autocompletion=each.offer
    )
    kind: Any = list[str] if each.many else str | None
    return _parameter(each.key, Annotated[kind, option], [] if each.many else None)
