"""`leeward cluster`: its verbs in the order of a cluster's life."""

import typer

from leeward import filters
from leeward.clusters import looking, writing
from leeward.session import command

app = typer.Typer(no_args_is_help=True, help="The clusters that Leeward looks after.")

command(app, "add", more=writing.FIELD_PARAMETERS)(writing.add)
command(app, "join")(writing.join)
filters.register(app, looking.LIST, (), looking.WORDS, watch=False)
command(app, "get")(looking.get)
command(app, "describe")(looking.describe)
command(app, "namespaces")(looking.namespaces)
command(app, "resources")(looking.kinds)
command(app, "edit", more=writing.FIELD_PARAMETERS)(writing.edit)
command(app, "remove")(writing.remove)
command(app, "delete", hidden=True)(writing.remove)
