"""Runs one command, and ends it when whoever started the guard is gone, however that one ended.

`python -I -S guard.py COMMAND…`: standard input is a pipe of which only the starter holds the other end. The kernel closes
it with the starter, also on kill -9, on every Unix: no polling for a parent, no signal that only Linux has, and nothing
that the command itself must know. The guard leads a process group, so that what is left of it can be named.

Started by its path and with nothing but the standard library, because one stands before every process.
"""

import os
import signal
import subprocess
import sys
import threading

PATIENCE = 3.0
"""Seconds that an abandoned command has to end in peace."""


def main(command: list[str]) -> int:
    """Run the command until it ends by itself, is told to, or is abandoned; returns its exit code as a shell would."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - what the supervisor says
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    threading.Thread(target=_follow, args=(child,), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _follow(child: subprocess.Popen[bytes]) -> None:
    """Wait for the end of the starter, then end the command and all that it has started."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    child.terminate()
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
