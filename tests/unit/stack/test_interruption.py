import signal
import subprocess
import sys

import pytest

from tests.support.waiting import PATIENCE

CODE = """
import asyncio, signal, sys
from leeward.stack import interruption

async def work():
    print("working", signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, flush=True)
    try:
        await asyncio.Future()
    finally:
        print("stopping", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print("stopped", flush=True)

interruption._AGAIN = {again}
one = interruption.Interruption()
one.kill = lambda: print("killed", flush=True)
print(one.run(work()), flush=True)
"""


@pytest.fixture
def begin():
    started = []

    def start(*, again=1.0, deaf=False):
        """Begin; it has stopped when its input ends. `again`: seconds within which a second signal is the first one."""
        code = CODE.format(again=again)
        started.append(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == f"working {deaf}\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_the_first_signal_stops_in_peace(begin, number):
    process = begin()
    process.send_signal(number)
    assert process.communicate(timeout=PATIENCE)[0].split() == ["stopping", "stopped", "None"]
    assert process.returncode == 0


def test_under_nohup_the_end_of_the_terminal_stops_nothing(begin):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        begin(deaf=True)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_comes_twice_at_once_is_one(begin):
    process = begin(again=PATIENCE)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE)[0].split() == ["stopped", "None"]


def test_a_second_one_kills(begin):
    process = begin(again=0)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 130
    assert process.stdout.read().split() == ["killed"]
