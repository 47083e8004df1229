"""What is printed: answers to stdout as a table, JSON or YAML; everything said about them to stderr."""

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from leeward import words
from leeward.columns import COLOURS, Column, Item
from shared.runtime import clock

_ENDLESS = 100_000
"""The width of a pipe: nothing is ever cut or wrapped there."""
_GAP = 2
_LEAST = 20
"""However narrow a terminal is, so much stands beside a title."""
_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""What JSON leaves as it is, though a terminal may obey it; to whoever reads JSON it is the same."""


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class _Console(Console):
    """A console whose reader may leave (`leeward backup list | head`): by itself it would end the program as failed."""

    def on_broken_pipe(self) -> None:
        """Leave it to whoever ends the command."""
        raise BrokenPipeError


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _ENDLESS
    return _Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


@dataclass(slots=True)
class Output:
    """Prints. `format` is what the person asked for."""

    format: Format = Format.TABLE
    stdout: Console = field(default_factory=_console)
    stderr: Console = field(default_factory=lambda: _console(stderr=True))

    @property
    def table(self) -> bool:
        """Tell whether a person reads, rather than a program."""
        return self.format is Format.TABLE

    def say(self, text: str) -> None:
        """Say something about the answer."""
        self.stderr.print(Text(words.plain(text)), soft_wrap=True)

    def line(self, text: str) -> None:
        """Print a line of the answer."""
        self.stdout.print(Text(words.plain(text)), soft_wrap=True)

    def data(self, answer: Any) -> None:
        """Print an answer just as the API gave it."""
        if self.format is Format.YAML:
            import yaml  # noqa: PLC0415 - only who asks for YAML waits for it

            text = yaml.safe_dump(answer, sort_keys=False, allow_unicode=True, default_flow_style=False)
        else:
            text = json.dumps(answer, indent=2, ensure_ascii=False).translate(_ESCAPES)
        self.stdout.file.write(text if text.endswith("\n") else text + "\n")

    def one(self, columns: Sequence[Column], item: Item) -> None:
        """Print one thing: a line of its table, or all that the API gave of it."""
        if self.table:
            self.rows(columns, [item])
        else:
            self.data(item)

    def rows(
        self,
        columns: Sequence[Column],
        items: Sequence[Item],
        *,
        only: Sequence[Item] | None = None,
        header: bool = True,
        indent: int = 0,
    ) -> None:
        """Print items as a table (`only` some of them, with the widths of all).

        On a terminal that is too narrow, columns give way, and it is said which.
        """
        lines, left_out = table(columns, items, clock.now(), self.stdout.width - indent, only=only)
        for line in lines if header else lines[1:]:
            self.stdout.print(Text(" " * indent).append_text(line), soft_wrap=True)
        if left_out and header:
            self.say(f"(no room for {', '.join(left_out)}: a wider terminal or -o json shows all)")

    def facts(self, facts: Mapping[str, Any], *, indent: int = 0) -> None:
        """Print names and values, leaving out what is not known."""
        told = _known(facts)
        width = max(map(len, told), default=0) + _GAP
        for name, text in told.items():
            style = _style(text) if name in {"Status", "State"} else ""
            for number, line in enumerate(self._wrapped(text, indent + width)):
                title = Text(" " * indent + (f"{name}:" if number == 0 else "").ljust(width))
                self.stdout.print(title.append_text(Text(line, style=style)), soft_wrap=True)

    def _wrapped(self, text: str, indent: int) -> list[str]:
        """Return lines that fit beside an indent; a word that does not fit stays whole."""
        if self.stdout.width >= _ENDLESS:
            return text.split("\n")
        room = max(self.stdout.width - indent, _LEAST)
        return [
            piece
            for line in text.split("\n")
            for piece in textwrap.wrap(
                line,
                room,
                subsequent_indent=" " * (len(line) - len(line.lstrip())),
                replace_whitespace=False,
                break_long_words=False,
                break_on_hyphens=False,
            )
            or [""]
        ]

    def to_stderr(self) -> "Output":
        """Return an output that prints beside the answer what it is asked to print."""
        return Output(self.format, self.stderr, self.stderr)

    def section(self, title: str, content: Sequence[str] | Mapping[str, Any]) -> None:
        """Print lines, or names and values, below a title, if there are any."""
        known = (
            any(words.plain(value) != words.UNKNOWN for value in content.values()) if isinstance(content, Mapping) else content
        )
        if not known:
            return
        self.line(f"\n{title}:")
        if isinstance(content, Mapping):
            self.facts(content, indent=_GAP)
        else:
            self.indented(content)

    def indented(self, lines: Sequence[str]) -> None:
        """Print lines of which each goes on below itself where a terminal is too narrow."""
        for line in lines:
            for piece in self._wrapped(words.plain(line), _GAP):
                self.line(" " * _GAP + piece)


def _known(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return what is known, as text."""
    return {words.plain(name): text for name, value in facts.items() if (text := words.plain(value)) != words.UNKNOWN}


class Shown:
    """Shows how something goes on stderr: one line that moves on a terminal, one line a change elsewhere, unless `quiet`."""

    def __init__(self, output: Output, *, quiet: bool = False) -> None:
        self._output, self._quiet = output, quiet
        self._status = output.stderr.status("…") if output.stderr.is_interactive else None
        self._last = ""

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def tell(self, line: str) -> None:
        """Show how it goes, if that is new."""
        if line == self._last:
            return
        self._last = line
        if self._status is not None:
            self._status.update(Text(words.plain(line)))
        elif not self._quiet:
            self._output.say(line)


def table(
    columns: Sequence[Column], items: Sequence[Item], now: datetime, width: int, *, only: Sequence[Item] | None = None
) -> tuple[list[Text], list[str]]:
    """Return the lines of a table, its header first, and the titles of the columns that found no room.

    Widths are those of `items`; the lines are those of `only`, if that is given.
    """
    widths = {c: max(map(cell_len, (c.title, *(_line(c, item, now) for item in items)))) for c in columns}
    shown = list(columns)
    while sum(widths[c] + _GAP for c in shown) - _GAP > width and (weakest := max(shown, key=lambda c: c.yields)).yields:
        shown.remove(weakest)
    lines = [_joined([(_set(c.title, widths[c], c), "bold") for c in shown])]
    for item in items if only is None else only:
        cells = [(c, _line(c, item, now)) for c in shown]
        lines.append(_joined([(_set(text, widths[c], c), _style(text) if c.coloured else "") for c, text in cells]))
    return lines, [c.title for c in columns if c not in shown]


def _line(column: Column, item: Item, now: datetime) -> str:
    return " ".join(column.cell(item, now).split())


def _set(text: str, width: int, column: Column) -> str:
    space = " " * max(width - cell_len(text), 0)
    return space + text if column.right else text + space


def _joined(cells: Sequence[tuple[str, str]]) -> Text:
    line = Text(" " * _GAP).join(Text(text, style=style) for text, style in cells)
    line.rstrip()
    return line


def _style(text: str) -> str:
    return COLOURS.get(text.partition(" ")[0], "dim")
