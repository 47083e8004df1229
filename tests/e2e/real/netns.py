"""Give one Velero what a Pod would: a network and processes of its own, and a link to the world that a test can cut.

    netns.py 18443 19000 -- velero server ...

Velero binds fixed ports, so two of them cannot share a network. This process makes a network namespace, starts the command
in it, and forwards each given port from 127.0.0.1 inside to 127.0.0.1 outside. That takes no device but loopback: a socket
belongs to the namespace in which it was made, so one single-threaded process can listen inside and dial outside, and every
URL is the same on both sides. The command is also the init process of a new PID namespace: however it ends, the kernel ends
the plugins that it started.

SIGUSR1 cuts the link (connections break, new ones are refused), SIGUSR2 mends it. SIGTERM is handed to the command, SIGQUIT
kills it as `kill -9` would. Ends with the command. Linux and root only; imports nothing but the standard library.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

CLONE_NEWNET, CLONE_NEWPID = 0x40000000, 0x20000000
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 0x1
CUT, MEND, END, KILL = signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGQUIT
LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    """Raise what a failed system call left in errno."""
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Namespace:
    """A network namespace with loopback up, which this thread can step into and out of."""

    def __init__(self) -> None:
        self._outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        checked(LIBC.unshare(CLONE_NEWNET))
        self._inside = os.open("/proc/self/ns/net", os.O_RDONLY)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            request = struct.pack("16sH14x", b"lo", 0)
            flags: int = struct.unpack("16sH14x", fcntl.ioctl(device, SIOCGIFFLAGS, request))[1]
            fcntl.ioctl(device, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
        checked(LIBC.setns(self._outside, CLONE_NEWNET))

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets and processes made in this block belong to the namespace."""
        checked(LIBC.setns(self._inside, CLONE_NEWNET))
        try:
            yield
        finally:
            checked(LIBC.setns(self._outside, CLONE_NEWNET))


class Link:
    """Forwards ports from inside to outside, unless it is cut."""

    def __init__(self) -> None:
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Accept connections again."""
        self._cut = False

    async def forward(self, namespace: Namespace, port: int) -> None:
        """Listen inside; each connection is carried to the same port outside."""

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ends = {writer}
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                ends.add(far_writer)
                self._open |= ends
                if not self._cut:
                    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
            self._open -= ends
            for end in ends:
                end.transport.abort()

        with namespace.inside():
            listener = socket.create_server(("127.0.0.1", port), backlog=128)
        await asyncio.start_server(carry, sock=listener)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until its end, and pass the end on."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def spawn(namespace: Namespace, command: list[str]) -> subprocess.Popen[bytes]:
    """Start the command in the network namespace and a PID namespace of its own. From then on no thread can be started here."""
    with namespace.inside():
        checked(LIBC.unshare(CLONE_NEWPID))  # for children only; the first becomes the init process
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command])


async def run(ports: list[int], command: list[str]) -> int:
    """Make the namespaces, forward the ports, run the command; returns its exit code."""
    loop, link, namespace = asyncio.get_running_loop(), Link(), Namespace()
    for port in ports:
        await link.forward(namespace, port)
    child, ended = spawn(namespace, command), asyncio.Event()
    loop.add_reader(os.pidfd_open(child.pid), ended.set)
    for number, handler in {CUT: link.cut, MEND: link.mend, END: child.terminate, KILL: child.kill}.items():
        loop.add_signal_handler(number, handler)
    await ended.wait()
    return child.wait()


if __name__ == "__main__":
    border = sys.argv.index("--")
    sys.exit(asyncio.run(run([int(port) for port in sys.argv[1:border]], sys.argv[border + 1 :])))
