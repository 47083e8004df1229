import signal
import subprocess
import sys

import pytest

CODE = """
import asyncio, signal
from leeward.stack.interruption import Interruption

async def work():
    print("working", signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, flush=True)
    try:
        await asyncio.Future()
    finally:
        print("stopping", flush=True)
        await asyncio.sleep({stopping})
        print("stopped", flush=True)

interruption = Interruption()
interruption.kill = lambda: print("killed", flush=True)
print(interruption.run(work()), flush=True)
"""


@pytest.fixture
def begin():
    started = []

    def start(stopping, *, deaf=False):
        started.append(
            subprocess.Popen([sys.executable, "-c", CODE.format(stopping=stopping)], stdout=subprocess.PIPE, text=True)
        )
        assert started[-1].stdout.readline() == f"working {deaf}\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_the_first_signal_stops_in_peace(begin, number):
    process = begin(0.1)
    process.send_signal(number)
    assert process.communicate(timeout=10)[0].split() == ["stopping", "stopped", "None"]
    assert process.returncode == 0


def test_under_nohup_the_end_of_the_terminal_stops_nothing(begin):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        begin(0.1, deaf=True)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_comes_twice_at_once_is_one(begin):
    process = begin(0.3)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[0].split() == ["stopped", "None"]


def test_a_second_one_kills(begin):
    process = begin(60)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "stopping\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.2)  # until it can no longer be the first one
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[0].split() == ["killed"]
    assert process.returncode == 130
