"""Schedules that go, where what is asked of the database changes between two questions."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from services.gateway import departures
from shared.contracts.documents import Collection, to_document
from shared.contracts.phases import BackupStatus, OperationState
from shared.contracts.schedules import Deletion, Schedule
from tests.support.gateway import backup_document, backup_item, operation_item

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def leaving():
    facts = {"id": "s", "name": "n", "cluster": "eu1", "eras": [{"from": NOON, "cron": "@daily"}]}
    times = {"createdBy": "anna", "createdAt": NOON, "changedAt": NOON}
    deletion = Deletion(delete_backups=True, by="anna", at=NOON)
    return Schedule.model_validate({**facts, **times, "template": {"scope": {"kind": "all"}}, "deleting": deletion})


class Store:
    """A database in which one schedule goes; what is told of a collection may change what is found in others."""

    def __init__(self):
        self.found = {collection: [] for collection in Collection}
        self.found[Collection.SCHEDULES] = [leaving().document()]
        self.after = {}
        self.removed = []

    async def find(self, collection, _query, *_how):
        found = self.found[collection]
        self.after.pop(collection, lambda: None)()
        return found

    async def pick(self, collection, document_ids, _fields):
        return [row for row in self.found[collection] if row["_id"] in document_ids]

    async def remove(self, _collection, document_id, _version):
        self.removed.append(document_id)
        return True


class Bus:
    async def hint(self, *_about):
        pass


def ports(store):
    return SimpleNamespace(store=store, bus=Bus(), clock=lambda: NOON + 10 * MINUTE)


async def test_a_backup_that_comes_between_two_questions_keeps_its_schedule():
    store = Store()
    running = operation_item("o", OperationState.QUEUED, kind="schedule.trigger")
    store.found[Collection.OPERATIONS] = [{"_id": "o", "item": to_document(running)}]

    def ends():
        store.found[Collection.OPERATIONS] = []
        store.found[Collection.BACKUPS] = [backup_document(backup_item("o", status=BackupStatus.CREATING))]

    store.after[Collection.BACKUPS] = ends  # queued until the backups have been asked for, and there right after
    await departures.look(ports(store), set())
    assert store.removed == []
    store.found[Collection.BACKUPS] = []
    await departures.look(ports(store), set())
    assert store.removed == ["s"]
