"""Asking whether something that cannot be undone is meant."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

import typer

from leeward.columns import Column, Item
from leeward.errors import CliError, Exit
from leeward.output import Output


def confirmed(output: Output, columns: Sequence[Column], items: Sequence[Item], question: str) -> None:
    """Let the person see what is to go, and say yes.

    Raises CliError when it is no, or nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise CliError(
            "nobody can be asked here: nothing was deleted", Exit.USAGE, hints=["--confirm deletes without a question"]
        )
    output.to_stderr().rows(columns, items)
    with _interruptible():
        try:
            yes = typer.confirm(question, err=True)
        except typer.Abort:  # Ctrl-C, or the end of what is typed
            output.stderr.print()
            raise CliError("nothing was deleted", Exit.INTERRUPTED) from None
    if not yes:
        raise CliError("nothing was deleted")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a question at once: asyncio would wait for the answer first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
