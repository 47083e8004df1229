"""Velero down while a backup is asked for: the row says since when it has not answered, for as long as that is so."""

from datetime import timedelta
from itertools import permutations

from shared.contracts.names import Noun
from tests.support.messages import NOW
from tests.support.status_memory import Desk, Memory, alike, documents
from tests.support.status_messages import STARTED, accepted, backup, command, observed, ours, presence, rejected
from tests.support.status_views import hear, row, shown

SINCE = "Velero has not answered since 2026-11-22 11:57:00 UTC"
SILENT = presence(velero_answered=NOW - timedelta(minutes=3), velero_problem="no status request was answered")
AGAIN = presence(NOW + timedelta(seconds=10))
WAITING = backup("u1", 10, labels=ours("op1"))


async def test_the_row_says_since_when_whichever_is_heard_first():
    for order in permutations([command(), SILENT, accepted(WAITING)]):
        desk = Desk()
        await hear(desk, *order)
        assert (shown(desk).status, shown(desk).reason) == ("Creating", SINCE)


async def test_it_no_longer_says_so_when_velero_answers():
    desk = Desk()
    await hear(desk, command(), SILENT, accepted(WAITING), AGAIN)
    assert (shown(desk).status, shown(desk).reason) == ("Creating", None)


async def test_it_says_so_no_more_once_there_is_a_phase():
    desk = Desk()
    await hear(desk, command(), SILENT, accepted(WAITING), observed(backup("u1", 11, "New", labels=ours("op1"))))
    assert (shown(desk).reason, row(desk)["silence"]) == (None, None)


async def test_a_velero_that_never_answered_is_told_so():
    desk = Desk()
    routes, subject, told = presence(velero_problem="nothing")
    answer = told.data.velero.model_copy(update={"answered_at": None})
    told = told.model_copy(update={"data": told.data.model_copy(update={"velero": answer})})
    await hear(desk, observed(backup()), (routes, subject, told))
    ((_, stored),) = [(key, r) for key, r in desk.memory.rows.items() if key[0] is Noun.BACKUP]
    assert stored["item"]["reason"] == "Velero has not answered yet"


async def test_what_the_cluster_has_not_got_yet_is_not_velero_s_to_answer():
    desk = Desk()
    await hear(desk, SILENT, command(), command("op2", name="b"), rejected(operation="op2"))
    assert (shown(desk).reason, shown(desk, "op2").reason) == (None, "No.")


async def test_any_order_of_presences_and_backups_ends_in_the_same_documents():
    external = observed(backup("u2", 20, name="external"))
    messages = [command(), SILENT, accepted(WAITING), external, AGAIN]

    async def ending(messages):
        desk = Desk(now=NOW + timedelta(seconds=20))
        await hear(desk, *messages)
        return documents(desk.memory)

    expected = await ending(messages)
    for order in permutations(messages):
        alike(await ending(order), expected)


async def test_a_presence_that_says_nothing_new_computes_no_backup_again():
    read = []

    class Counting(Memory):
        async def row(self, noun, row_id):
            read.append(noun)
            return await super().row(noun, row_id)

    desk = Desk(Counting())
    await hear(desk, command(), SILENT, accepted(WAITING))
    read.clear()
    await hear(desk, SILENT, SILENT)
    assert Noun.BACKUP not in read


async def test_the_inventory_of_a_large_cluster_is_not_read_for_it():
    """The whole document of a cluster is read only when its own row is computed."""
    read = []

    class Counting(Memory):
        async def row(self, noun, row_id):
            read.append(noun)
            return await super().row(noun, row_id)

    desk = Desk(Counting())
    await hear(desk, SILENT)
    read.clear()
    await hear(
        desk, command(), accepted(WAITING), observed(backup("u1", 11, "New", labels=ours("op1"), startTimestamp=STARTED))
    )
    assert Noun.CLUSTER not in read
