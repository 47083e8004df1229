"""Which port each process listens on: the one asked for, else the one of the last start, else a default or any free one."""

import contextlib
import random
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

HOST = "127.0.0.1"
_LOW, _HIGH = 20_000, 32_000
"""Below the range from which systems take ports for outgoing connections: a port is still free when its process restarts."""
_ATTEMPTS = 1000
_HIGHEST = 65_535


class NoPortError(Exception):
    """There is no free port."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Something that listens, on `count` ports in a row. Without a default it takes any port: nobody types that one."""

    name: str
    words: str
    default: int | None = None
    count: int = 1


def choose(
    listeners: Iterable[Listener], asked: Mapping[str, int], last: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    """Return a free port for each, and a sentence for each that could not have the one it was asked or used to have."""
    taken: set[int] = set()
    chosen: dict[str, int] = {}
    said: list[str] = []
    for listener in listeners:
        wanted = asked.get(listener.name) or last.get(listener.name) or listener.default
        port = _free(wanted, listener.count, taken)
        if wanted and port != wanted:
            said.append(f"port {wanted} is in use, using {port} for {listener.words}")
        chosen[listener.name] = port
        taken.update(range(port, port + listener.count))
    return chosen, said


def _free(wanted: int | None, count: int, taken: set[int]) -> int:
    """Return the wanted port if it is free, else the next one that is; any one if none is wanted."""
    for attempt in range(_ATTEMPTS):
        # Random, because two installations that look at the same time must not find the same one.
        first = wanted + attempt if wanted else random.randrange(_LOW, _HIGH)  # noqa: S311 - not a secret
        if first + count - 1 > _HIGHEST:
            break
        if all(port not in taken and is_free(port) for port in range(first, first + count)):
            return first
    raise NoPortError(f"no free port from {wanted or _LOW} on")


def is_free(port: int) -> bool:
    """Tell whether a server could listen there. Also asks who answers: not every system refuses to bind beside another."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=0.5):
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError:
            return False
    return True
