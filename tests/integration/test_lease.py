"""A lease between executors: given back at once, and not lost to an answer that was lost."""

import asyncio

from shared.messaging.lease import Lease
from shared.messaging.topology import LEASES, ensure
from tests.support.timing import LONG_LEASES, TIMING
from tests.support.waiting import eventually


async def hold(lease: Lease, working: list[str]) -> None:
    async def work() -> None:
        working.append(lease.holder)
        await asyncio.Event().wait()

    await lease.work(work)


async def test_a_lease_that_was_renewed_is_given_back_at_once_too(admin, as_user):
    await ensure(admin.stream, timing=LONG_LEASES)
    connection, working = await as_user("executor"), []
    one = asyncio.create_task(hold(Lease(connection, "executor.eu1", "one", TIMING.lease_ttl), working))
    await eventually("held", lambda: working == ["one"])
    bucket = await admin.stream.key_value(LEASES)
    begun = (await bucket.get("executor.eu1")).revision

    async def renewed() -> bool:
        return (await bucket.get("executor.eu1")).revision > begun

    await eventually("renewed", renewed)
    one.cancel()
    await asyncio.wait({one})
    two = asyncio.create_task(hold(Lease(connection, "executor.eu1", "two", TIMING.lease_ttl), working))
    await eventually("taken over", lambda: working == ["one", "two"], timeout=LONG_LEASES.lease_ttl / 2)
    two.cancel()
    await asyncio.wait({two})


async def test_a_renewal_whose_answer_was_lost_does_not_cost_the_lease(admin, as_user):
    await ensure(admin.stream, timing=LONG_LEASES)
    connection, working = await as_user("executor"), []
    task = asyncio.create_task(hold(Lease(connection, "executor.eu1", "one", TIMING.lease_ttl), working))
    await eventually("held", lambda: working == ["one"])
    bucket = await admin.stream.key_value(LEASES)
    written = await bucket.put("executor.eu1", b"one")  # as our own renewal, of which we never heard

    async def renewed() -> bool:
        return (await bucket.get("executor.eu1")).revision > written

    await eventually("renewed from there on", renewed)
    assert working == ["one"]
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})
