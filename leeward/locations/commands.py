"""The commands of both sorts of locations, in the order of a location's life."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import Parameter, getdoc
from typing import Any

import typer

from leeward import arguments, completion, filters, listing
from leeward.errors import Exit
from leeward.filters import Filter
from leeward.locations import deleting, looking, writing
from leeward.locations.sorts import SNAPSHOTS, STORAGE, Sort
from leeward.session import command

_FILTERS: Sequence[Filter] = (
    filters.CLUSTER,
    filters.status(completion.LOCATION_STATUSES, completion.location_statuses),
    filters.SEARCH,
    filters.sort("By cluster, name, status", "cluster,name"),
)


def _app(sort: Sort, words: str) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help=words)

    def add(name: str, function: Callable[..., Awaitable[Exit | None]], more: Sequence[Parameter] = ()) -> None:
        ours: Any = partial(function, sort)
        ours.__doc__ = str(getdoc(function)).format(noun=sort.words)
        command(app, name, more=more)(ours)

    fields = arguments.fields(sort.fields)
    add("create", writing.create, fields)
    of = listing.Listing(f"/{sort.segment}", sort.columns, f"{sort.words}s known", kinds=(sort.event,))
    filters.register(app, of, _FILTERS, f"List the {sort.words}s of the whole fleet.")
    add("get", looking.get)
    add("describe", looking.describe)
    add("edit", writing.edit, fields)
    add("rotate", writing.rotate)
    add("delete", deleting.delete)
    return app


storage = _app(STORAGE, "Where backups are stored.")
snapshots = _app(SNAPSHOTS, "Where snapshots of volumes are kept.")
