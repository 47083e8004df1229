"""`leeward backup`: its verbs in the order of a backup's life."""

import typer

from leeward import filters, reading
from leeward.backups import deleting, looking, writing
from leeward.session import command

app = typer.Typer(no_args_is_help=True, help="Ask for backups, look at them, read what they hold, delete them.")

command(app, "create", more=writing.FIELD_PARAMETERS)(writing.create)
command(app, "wait")(writing.wait)
filters.register(app, looking.LIST, looking.FILTERS, looking.WORDS)
command(app, "get")(looking.get)
command(app, "describe")(looking.describe)
command(app, "logs")(reading.logs)
command(app, "results")(reading.results)
command(app, "resources")(reading.resources)
command(app, "download", formats=False)(reading.download)
command(app, "delete")(deleting.delete)
