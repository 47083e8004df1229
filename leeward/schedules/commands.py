"""`leeward schedule`: its verbs in the order of a schedule's life."""

import typer

from leeward import filters
from leeward.schedules import deleting, looking, switching, writing
from leeward.session import command

app = typer.Typer(no_args_is_help=True, help="Have backups made by themselves, and see what became of each time.")

command(app, "preview")(looking.preview)
command(app, "create", more=writing.NEW)(writing.create)
filters.register(app, looking.LIST, looking.FILTERS, looking.WORDS)
command(app, "get")(looking.get)
command(app, "describe")(looking.describe)
command(app, "ticks")(looking.ticks)
command(app, "run")(writing.run)
command(app, "edit", more=writing.CHANGED)(writing.edit)
command(app, "pause")(switching.pause)
command(app, "resume")(switching.resume)
command(app, "unpause", hidden=True)(switching.resume)
command(app, "skip")(switching.skip)
command(app, "delete")(deleting.delete)
