"""People who ask for backups and do not give up: the same request with the same key until there is an answer."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from tests.chaos.plan import Request
from tests.e2e.product import Product

_FINAL: Final = {201, 202, 409, 422}
_PATIENCE: Final = 240.0
"""Seconds after which a person gives up, which fails the run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered in the end, after how many tries."""

    request: Request
    code: int
    body: dict[str, Any]
    tries: int

    @property
    def operation(self) -> str:
        """The id of the operation: that of the backup (201), of the operation (202), or named by the problem (409, 422)."""
        return str(self.body.get("operationId") or self.body["id"])


class People:
    """Asks in threads of its own; a request that refers to an earlier one waits until that one has its answer."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._pool = ThreadPoolExecutor(12)
        self._answers: dict[int, Future[Answer]] = {}
        self.over = threading.Event()

    def ask(self, request: Request) -> None:
        """Begin to ask."""
        self._answers[request.number] = self._pool.submit(self._persist, request)

    def answers(self) -> list[Answer]:
        """Return every answer, once all are there. Raise what a person raised who gave up."""
        return [future.result() for future in self._answers.values()]

    @property
    def waiting(self) -> int:
        """How many have no answer yet."""
        return sum(not future.done() for future in self._answers.values())

    def _persist(self, request: Request) -> Answer:
        if request.of is not None:
            self._answers[request.of].result()
        deadline, last = time.monotonic() + _PATIENCE, "nothing"
        tries = 0
        while time.monotonic() < deadline and not self.over.is_set():
            tries += 1
            with suppress(httpx2.HTTPError):
                answer = self._product.post("/backups", body(request), timeout=15, **headers(request))
                if answer.status_code in _FINAL:
                    return Answer(request, answer.status_code, answer.json(), tries)
                last = f"{answer.status_code} {answer.text}"
                if answer.status_code < 500:
                    break
            time.sleep(0.3)
        raise AssertionError(f"{request}: no answer after {tries} tries; the last was {last}")


def body(request: Request) -> dict[str, Any]:
    """Return the body that a request sends; the same again for the same request."""
    location = {"storageLocation": "nowhere"} if request.kind == "no such location" else {}
    namespace = "no-such-namespace" if request.kind == "no such namespace" else request.namespace
    return {
        "name": request.name,
        "cluster": request.cluster,
        "scope": {"kind": "specific", "namespaces": [namespace]},
        "spec": {"snapshotVolumes": False, **location},
    }


def headers(request: Request) -> dict[str, str]:
    """Return the headers that a request sends."""
    return {"Idempotency-Key": request.key, "Prefer": "respond-async" if request.number % 3 == 0 else "wait=5"}


@contextmanager
def people(product: Product) -> Iterator[People]:
    """People who stop asking when the run is over."""
    crowd = People(product)
    try:
        yield crowd
    finally:
        crowd.over.set()
        crowd._pool.shutdown(wait=False, cancel_futures=True)
