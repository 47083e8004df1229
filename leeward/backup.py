"""`leeward backup`: its verbs in the order of a backup's life."""

import typer

from leeward import creating, deleting, looking, reading
from leeward.session import command

app = typer.Typer(no_args_is_help=True, help="Ask for backups, look at them, read what they hold, delete them.")

command(app, "create", more=creating.FIELD_PARAMETERS)(creating.create)
command(app, "wait")(creating.wait)
command(app, "list")(looking.list_)
command(app, "get")(looking.get)
command(app, "describe")(looking.describe)
command(app, "logs")(reading.logs)
command(app, "results")(reading.results)
command(app, "resources")(reading.resources)
command(app, "download", formats=False)(reading.download)
command(app, "delete")(deleting.delete)
