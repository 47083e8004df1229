"""One process: started behind a guard, asked whether it is ready, started again when it ends, and stopped."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leeward.stack import guard
from leeward.stack.home import Home

Probe = Callable[[], Awaitable[str | None]]
"""Asks whether a process is ready; returns what is missing, None when nothing is."""

BACKOFF = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before a process that has ended is started again, by how often in a row it has."""
SETTLED = 30.0
"""A process that has lived for so many seconds has not ended "in a row" with its last end."""
TELLING = 3
"""From so many ends in a row on, the last lines of the log are shown."""
LINES = 5
_LOOK = 0.1
_KILLED = 128


class StartError(Exception):
    """Something did not start; the words say what, and where to look."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is to run. Secrets stand in files: neither the command nor the environment may hold one."""

    name: str
    command: tuple[str, ...]
    ready: Probe
    environment: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    """What is said once it is ready."""
    patience: float = 60.0
    """Seconds within which it must be ready after the first start."""
    grace: float = 4.0
    """Seconds that it has to end in peace."""


class Keeper:
    """Keeps one program running until it is told to stop. Data is never its concern: every program keeps its own."""

    def __init__(self, program: Program, home: Home, lock: int, tell: Callable[[str], None]) -> None:
        self.program = program
        self._home, self._lock, self._tell = home, lock, tell
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start the program and wait until it is ready; from then on it is kept running.

        Raises StartError when it ends, or is not ready in time.
        """
        self._home.begin_log(self.program.name)
        self._spawn()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.program.patience
        while True:
            missing = await self.program.ready()
            if not self.running:  # whoever has answered then, was not ours
                raise StartError(self._in_words(f"{self.program.name} {self._end()} while it started"))
            if missing is None:
                break
            if loop.time() > deadline:
                late = f"{self.program.name} was not ready after {self.program.patience:.0f} s ({missing})"
                raise StartError(self._in_words(late))
            await asyncio.sleep(_LOOK)
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")

    async def stop(self) -> None:
        """Ask the program to end, and kill what is left when its time is over."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.program.grace):
                await self._ended()
        self._sweep()

    def kill(self) -> None:
        """End the program and everything that it has started, at once and for good."""
        if self._task is not None:
            self._task.cancel()
        self._sweep()

    def _sweep(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in the group
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None  # its number may soon be another's

    def _spawn(self) -> None:
        with self._home.log_file(self.program.name).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the table of programs says what is run
                [sys.executable, "-I", "-S", str(Path(guard.__file__)), *self.program.command],
                cwd=self._home.root,
                env={**surroundings(), **self.program.environment},
                stdin=subprocess.PIPE,  # never written to: it is closed when we are gone
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the terminal is ours to pass on, in the right order
                pass_fds=(self._lock,),
                umask=0o077,
            )

    async def _keep(self) -> None:
        """Start the program again whenever it ends, for ever."""
        ends, loop = 0, asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self._ended()
            how = self._end()
            self._sweep()  # the guard may have been killed and its command not
            ends = 1 if loop.time() - began > SETTLED else ends + 1
            pause = BACKOFF[min(ends, len(BACKOFF)) - 1]
            again = f"{self.program.name} {how}; starting it again in {pause:g} s"
            self._tell(self._in_words(again) if ends >= TELLING else again)
            await asyncio.sleep(pause)
            self._spawn()
            while self.running:
                if await self.program.ready() is None:
                    self._tell(f"{self.program.name} is back")
                    break
                await asyncio.sleep(_LOOK)

    async def _ended(self) -> None:
        while self.running:  # noqa: ASYNC110 - the kernel keeps the answer, and is asked
            await asyncio.sleep(_LOOK)

    def _end(self) -> str:
        """Say how the process has ended."""
        code = self._process.returncode if self._process is not None else 0
        number = code - _KILLED if code > _KILLED else -code
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(number).name}"
        return f"ended with exit code {code}"

    def _in_words(self, what: str) -> str:
        lines = self._home.last_lines(self.program.name, LINES)
        return "\n".join([f"{what}. Its log ends with:", *(f"    {line}" for line in lines), f"    ({self._log})"])

    @property
    def _log(self) -> Path:
        return self._home.log_file(self.program.name)


def surroundings() -> dict[str, str]:
    """Return our environment without settings of Leeward: what a shell has set for another installation is not meant here."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LEEWARD_")}
