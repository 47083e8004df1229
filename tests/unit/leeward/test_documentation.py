"""docs/cli.md says what is so."""

import re
from pathlib import Path

import typer.main

from leeward.app import app
from leeward.errors import MEANINGS

TEXT = Path("docs/cli.md").read_text(encoding="utf-8")


def test_the_exit_codes_are_those_of_the_command():
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", TEXT.partition("## Exit codes")[2].partition("## ")[0], re.MULTILINE))
    assert table == {str(code.value): words for code, words in MEANINGS.items()}


def test_every_command_is_in_the_table():
    table = TEXT.partition("## Commands")[2].partition("## Exit")[0]
    for name, group in typer.main.get_command(app).commands.items():
        for command in getattr(group, "commands", {None: None}):
            assert re.search(rf"`{name}\b", table), name
            assert command is None or re.search(rf"`(?:{name} )?{command}\b", table), f"{name} {command}"


def test_every_filter_of_the_list_is_named():
    table = TEXT.partition("## Commands")[2].partition("## Exit")[0]
    options = typer.main.get_command(app).commands["backup"].commands["list"].params
    known = {"--output", "--url", "--token-file", "--ca-file", "--cursor", "--help"}
    assert {option.opts[0] for option in options} - known - set(re.findall(r"--[a-z-]+", table)) == set()
