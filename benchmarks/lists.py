"""Many people opening the list at once: everybody reads the whole list of backups, page by page, at the same moment.

The list is what a console shows first: newest first, pages of 500, each page behind the cursor of the one before.
"""

import asyncio
import time
from typing import Any, Final

import httpx2

from benchmarks.installation import Installation, api_server, at_rest, installed
from benchmarks.measuring import Report
from tests.e2e.product import until

BACKUPS: Final = 1000
CLIENTS: Final = 40
ROUNDS: Final = 5
_PAGE: Final = 500
_ALL: Final = 2.0
_AT_ONCE: Final = 20


async def fill(product: Installation, count: int) -> None:
    """Make so many backups in the cluster, past the product, and wait until it lists them."""
    async with api_server(product) as server:
        room = asyncio.Semaphore(_AT_ONCE)

        async def create(number: int) -> None:
            async with room:
                await server.create(f"backup-{number:04}", status={"phase": "Completed", "expiration": "2099-01-01T00:00:00Z"})

        await asyncio.gather(*(create(number) for number in range(count)))
    await asyncio.to_thread(until, "everything is listed", lambda: listed(product) == count, 300)
    await at_rest(product)


def listed(product: Installation) -> int:
    """Return how many backups the product lists."""
    return int(product.get("/backups", limit=1).json()["total"])


async def read(client: httpx2.AsyncClient) -> float:
    """Read the whole list and return how long it took.

    Raises AssertionError when something is missing or stands twice.
    """
    begun = time.perf_counter()
    seen: list[str] = []
    query: dict[str, Any] = {"limit": _PAGE}
    while True:
        answer = await client.get("/backups", params=query)
        assert answer.status_code == httpx2.codes.OK, answer.text
        page = answer.json()
        seen += [row["id"] for row in page["items"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert len(seen) == len(set(seen)) == BACKUPS, f"{len(seen)} rows, {len(set(seen))} different ones"
    return time.perf_counter() - begun


async def measure(product: Installation, report: Report) -> None:
    """Let one client read alone, then all at once."""
    await fill(product, BACKUPS)
    headers = {"Authorization": f"Bearer {product.token}"}
    clients = [httpx2.AsyncClient(base_url=product.url, headers=headers, timeout=60) for _ in range(CLIENTS)]
    await asyncio.gather(*(read(client) for client in clients))
    alone = [await read(clients[0]) for _ in range(ROUNDS)]
    each: list[float] = []
    took: list[float] = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        each += await asyncio.gather(*(read(client) for client in clients))
        took.append(time.perf_counter() - begun)
    for client in clients:
        await client.aclose()
    report.spread("one client alone", alone)
    report.spread(f"each of {CLIENTS} at once", each)
    report.add(f"until all {CLIENTS} were served, median", sorted(took)[ROUNDS // 2], "s", _ALL)


def main() -> None:
    """Run the benchmark."""
    setting = f"{BACKUPS:,} backups read whole, in pages of {_PAGE}; median of {ROUNDS} rounds"
    report = Report("lists", f"{CLIENTS} clients listing {BACKUPS:,} backups", setting)
    with installed() as product:
        asyncio.run(measure(product, report))
    report.finish()


if __name__ == "__main__":
    main()
