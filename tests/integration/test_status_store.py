"""The real database keeps what the memory in tests promises: order, repetition and races end in the same documents."""

import asyncio
import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.status.memory.indexes import INDEXES
from services.status.memory.store import opened
from shared.contracts.documents import Collection
from tests.support.messages import NOW
from tests.support.status_memory import Desk, Speaker, Ticking, alike, documents
from tests.support.status_messages import backup, observed, ours
from tests.support.status_service import database_of
from tests.support.status_stories import OWN_STORIES, STORIES
from tests.support.status_views import hear

pytestmark = pytest.mark.thorough

LATER = NOW + timedelta(hours=1)


async def expected(messages):
    desk = Desk(now=LATER)
    for message in messages:
        await desk.hear(*message)
    return documents(desk.memory)


@pytest.mark.parametrize("story", [*OWN_STORIES, "05-second-cluster-readonly"])
@settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
async def test_any_permutation_and_duplication_ends_in_the_same_documents_on_the_real_store(mongo_server, story, seed):
    messages = STORIES[story]()
    mixed = [*messages, *random.Random(seed).choices(messages, k=len(messages) // 2)]
    random.Random(seed).shuffle(mixed)
    database = database_of(mongo_server)
    async with opened(database.settings) as store:
        desk = Desk(store, clock=Ticking(LATER))
        for message in mixed:
            await desk.hear(*message)
        alike(await database.documents(), await expected(messages))
    await database.client.close()


@pytest.mark.parametrize("story", OWN_STORIES)
async def test_services_that_race_end_in_the_same_documents_on_the_real_store(mongo_server, story):
    messages = STORIES[story]()
    database, speaker = database_of(mongo_server), Speaker()
    async with opened(database.settings) as one, opened(database.settings) as two:
        await one.ensure()
        clock = Ticking(LATER)
        desks = [Desk(store, speaker, clock=clock) for store in (one, two)]
        await asyncio.gather(*(desk.hear(*message) for message in messages for desk in desks))
        alike(await database.documents(), await expected(messages))
    await database.client.close()


async def test_indexes_are_made_once_and_again_without_harm(mongo_server):
    database = database_of(mongo_server)
    async with opened(database.settings) as store:
        await store.ensure()
        await store.ensure()
    names = [name async for name in await database.client[database.settings.database].list_collections()]
    assert {collection["name"] for collection in names} == {str(index.collection) for index in INDEXES}
    await database.client.close()


async def test_an_index_of_an_earlier_version_is_dropped(mongo_server):
    """Each costs every write."""
    database = database_of(mongo_server)
    rows = database.client[database.settings.database][Collection.BACKUPS]
    await rows.create_index([("item.colour", 1)])
    async with opened(database.settings) as store:
        await store.ensure()
    kept = {tuple(key for key, _ in about["key"]) for about in (await rows.index_information()).values()}
    assert kept == {("_id",), *(index.keys for index in INDEXES if index.collection == Collection.BACKUPS)}
    await database.client.close()


async def test_deleted_backups_that_an_earlier_version_has_listed_leave_the_list(mongo_server):
    database = database_of(mongo_server)
    rows = database.client[database.settings.database][Collection.BACKUPS]
    async with opened(database.settings) as store:
        desk = Desk(store)
        await hear(desk, observed(backup(labels=ours("op1"))), observed(backup("u2", 20, labels=ours("op2"), name="other")))
        await hear(desk, observed(backup(rv=11, phase="Deleting", labels=ours("op1"), deleted=True)))
        await rows.update_many({}, {"$set": {"listed": True}})
        before = {row["_id"]: row["rev"] async for row in rows.find()}
        await store.ensure()
        await store.ensure()
        found = {row["_id"]: (row["listed"], row["rev"] - before[row["_id"]]) async for row in rows.find()}
    assert found == {"op1": (False, 1), "op2": (True, 0)}
    await database.client.close()
