"""What is said while processes start, live and stop: one line a thing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

_LOOK = 0.2


class _Console(Console):
    """A console whose reader may leave (`leeward up | head`) without ending the program, as it would by itself."""

    def on_broken_pipe(self) -> None:
        """Speak no more."""
        self.quiet = True


class Narrator:
    """Speaks to whoever started it. A terminal that is gone is no reason to stop speaking, or to stop."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = _Console(highlight=False, soft_wrap=True)
        self._quiet = quiet

    def say(self, words: str, style: str = "") -> None:
        """Say it as it stands."""
        with contextlib.suppress(OSError):
            self._console.print(Text(words, style=style))

    def step(self, words: str, seconds: float) -> None:
        """Say that something has started."""
        if not self._quiet:
            with contextlib.suppress(OSError):
                self._console.print(Text.assemble(("  ✓ ", "green"), words, (f"  {seconds:.1f} s", "dim")))

    def tell(self, words: str) -> None:
        """Say that something is not as it should be, or is so again."""
        with contextlib.suppress(OSError):
            self._console.print(Text.assemble(("  ! ", "yellow"), words))

    @contextlib.contextmanager
    def waiting(self, words: str) -> Iterator[None]:
        """Say that something takes a moment; on a terminal with something that moves."""
        if self._console.is_terminal:
            with self._console.status(words):
                yield
        else:
            self.say(f"{words} …")
            yield

    @contextlib.asynccontextmanager
    async def following(self, logs: Path | None) -> AsyncIterator[None]:
        """Show what every process logs while the context lasts, if a folder of logs is given."""
        if logs is None:
            yield
            return
        task = asyncio.create_task(self._follow(logs, {path: path.stat().st_size for path in _logs(logs)}))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _follow(self, logs: Path, read: dict[Path, int]) -> None:
        while True:
            for path in _logs(logs):
                for line in _news(path, read):
                    self.say(f"{path.stem:>9} | {line}", "dim")
            await asyncio.sleep(_LOOK)


def _logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def _news(path: Path, read: dict[Path, int]) -> list[str]:
    """Return the whole lines that a log has got since it was read. One that has become shorter has begun anew."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        begin = read.get(path, 0) if path.stat().st_size >= read.get(path, 0) else 0
        log.seek(begin)
        whole, line_end, _ = log.read().rpartition(b"\n")
        read[path] = begin + len(whole) + len(line_end)
        return whole.decode(errors="replace").splitlines()
    return []
