"""Guards and keepers with small programs: what becomes of a process when it, its guard or its supervisor dies."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leeward.stack import guard
from leeward.stack.home import Home
from leeward.stack.installation import Wanted, installed
from leeward.stack.process import Keeper, Program, StartError
from tests.support.servers import free_port
from tests.support.stack import processes_in
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks into /proc")

SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)


@pytest.fixture
def home(tmp_path):
    return Home.at(tmp_path / "data")


@pytest.fixture
async def keep(home):
    """Make keepers; whatever they have started ends with the test."""
    keepers, said = [], []
    with home.held() as lock:

        def make(command, **facts):
            async def ready():
                return None if commands_in(home) and home.last_lines("thing", 1) == ["up"] else "not up"

            keepers.append(Keeper(Program("thing", command, ready, **facts), home, lock, said.append))
            return keepers[-1], said

        yield make
        for keeper in keepers:
            await keeper.stop()
        assert processes_in(home.root) == {}


def commands_in(home):
    """The processes that guards run; one that is only being started (it has no words yet) may be a guard itself."""
    found = processes_in(home.root)
    return [pid for pid, command in found.items() if any(command) and not any("guard.py" in part for part in command)]


def command_in(home):
    (found,) = commands_in(home)
    return found


async def test_a_program_runs_until_it_is_stopped(home, keep):
    keeper, said = keep(SLEEPER)
    await keeper.start()
    assert len(processes_in(home.root)) == 2
    await keeper.stop()
    assert processes_in(home.root) == {}
    assert said == []


async def test_a_program_that_does_not_want_to_end_is_killed(home, keep):
    keeper, _ = keep(STUBBORN, grace=0.5)
    await keeper.start()
    await keeper.stop()
    assert processes_in(home.root) == {}


async def test_a_program_that_was_killed_is_started_again_and_that_is_said(home, keep):
    keeper, said = keep(SLEEPER)
    await keeper.start()
    first = command_in(home)
    os.kill(first, signal.SIGKILL)
    await eventually("is back", lambda: "thing is back" in said)
    assert said[0] == "thing was ended by SIGKILL; starting it again in 0.5 s"
    assert command_in(home) != first


async def test_when_its_guard_is_killed_the_program_does_not_run_twice(home, keep):
    keeper, said = keep(SLEEPER)
    await keeper.start()
    (watching,) = set(processes_in(home.root)) - {command_in(home)}
    os.kill(watching, signal.SIGKILL)
    await eventually("is back", lambda: "thing is back" in said)
    assert len(processes_in(home.root)) == 2


async def test_the_last_lines_of_its_log_are_told_of_a_program_that_ends_again_and_again(home, keep):
    mark = home.root / "broken"
    code = (
        f"import os, sys, time; print('up', flush=True); os.path.exists({str(mark)!r}) and sys.exit('no disk'); time.sleep(600)"
    )
    keeper, said = keep((sys.executable, "-c", code))
    await keeper.start()
    mark.touch()
    os.kill(command_in(home), signal.SIGKILL)
    ends = await eventually("told", lambda: [words for words in said if "no disk" in words])
    assert ends[0].startswith("thing ended with exit code 1; starting it again in 2 s. Its log ends with:")
    assert str(home.log_file("thing")) in ends[0]
    mark.unlink()
    await eventually("is back", lambda: said[-1] == "thing is back")


async def test_a_program_that_ends_while_it_starts_is_told_with_its_last_words(keep):
    keeper, _ = keep((sys.executable, "-c", "import sys; sys.exit('the port is taken')"))
    with pytest.raises(StartError, match=r"thing ended with exit code 1 while it started(.|\n)*the port is taken"):
        await keeper.start()


async def test_a_program_that_is_not_ready_in_time_is_told_with_what_is_missing(keep):
    keeper, _ = keep((sys.executable, "-c", "import time; time.sleep(600)"), patience=0.5)
    with pytest.raises(StartError, match=r"thing was not ready after 0 s \(not up\)"):
        await keeper.start()


@pytest.mark.parametrize("command", [SLEEPER, STUBBORN], ids=["willing", "stubborn"])
async def test_a_program_ends_when_whoever_started_its_guard_is_killed(home, command):
    started = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen({[sys.executable, '-I', '-S', guard.__file__, *command]!r}, stdin=subprocess.PIPE,"
        f" start_new_session=True, cwd={str(home.root)!r})\n"
        "time.sleep(600)"
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", started, stdout=subprocess.PIPE)
    try:
        assert await supervisor.stdout.readline() == b"up\n"
        supervisor.kill()
        await supervisor.wait()
        await eventually("nobody is left", lambda: processes_in(home.root) == {})
    finally:
        with contextlib.suppress(ProcessLookupError):
            supervisor.kill()


async def test_processes_of_a_run_that_was_killed_get_time_to_end_before_the_next_one_begins(home):
    with home.held() as lock:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE, pass_fds=(lock,)
        )
    said = []

    def tell(words):
        said.append(words)
        assert worker.returncode is None
        worker.stdin.close()

    async with installed(home, Wanted(ports={"gateway": free_port()}), step=print, tell=tell):
        await worker.wait()
    assert said == ["waiting for the processes of a run that was killed to end"]


@pytest.mark.parametrize(("code", "told"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
async def test_a_guard_ends_as_its_command_has(code, told):
    guarded = [sys.executable, "-I", "-S", guard.__file__, sys.executable, "-c", code]
    process = await asyncio.create_subprocess_exec(*guarded, stdin=asyncio.subprocess.PIPE)
    assert await process.wait() == told
