"""`leeward restore`: its verbs in the order of a restore's life."""

import typer

from leeward import filters
from leeward.restores import deleting, looking, reading, writing
from leeward.session import command

app = typer.Typer(no_args_is_help=True, help="Bring back what was backed up, into the same cluster or another one.")

command(app, "preflight", more=writing.FIELD_PARAMETERS)(writing.preflight)
command(app, "create", more=writing.FIELD_PARAMETERS)(writing.create)
command(app, "wait")(writing.wait)
filters.register(app, looking.LIST, looking.FILTERS, looking.WORDS)
command(app, "get")(looking.get)
command(app, "describe")(looking.describe)
command(app, "logs")(reading.logs)
command(app, "results")(reading.results)
command(app, "resources")(reading.resources)
command(app, "delete")(deleting.delete)
