"""Schedules that go, where what is asked of the database changes between two questions."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from services.gateway.schedules import departures
from services.gateway.schedules.changes import deleted
from shared.contracts.documents import Collection, to_document
from shared.contracts.ids import schedule_deletion_id, slot_operation_id
from shared.contracts.phases import BackupStatus, OperationState
from shared.contracts.schedules import Decision, Deletion, Schedule
from shared.messaging.outcomes import Unavailable
from tests.support.gateway import backup_document, backup_item, operation_item
from tests.support.schedules import tick

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OF_NOON = slot_operation_id("s", NOON)


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
        if collection is Collection.OPERATIONS:  # only those that make backups are asked for in this way
            found = [row for row in found if row["item"].get("kind") == "schedule.trigger"]
        self.after.pop(collection, lambda: None)()
        return found

    async def pick(self, collection, document_ids, _fields):
        return [row for row in self.found[collection] if row["_id"] in document_ids]

    async def replace(self, collection, document, _version):
        self.found[collection] = [document]
        return True

    async def remove(self, _collection, document_id, _version):
        self.removed.append(document_id)
        return True


class Bus:
    """A stream of commands; `away`: it does not answer."""

    def __init__(self, *commands, away=False):
        self.commands, self.away = list(commands), away

    async def hint(self, *_about):
        pass

    async def command(self, operation_id):
        if self.away:
            raise Unavailable("nats", "away")
        return operation_id if operation_id in self.commands else None

    async def publish_command(self, _subject, envelope):
        self.commands.append(envelope.operationid)


def ports(store, bus=None, now=NOON + 10 * MINUTE):
    return SimpleNamespace(store=store, bus=bus or Bus(), clock=lambda: now)


async def test_a_backup_that_comes_between_two_questions_keeps_its_schedule():
    store = Store()
    running = operation_item("o", OperationState.QUEUED, kind="schedule.trigger")
    store.found[Collection.OPERATIONS] = [{"_id": "o", "item": to_document(running)}]

    def ends():
        store.found[Collection.OPERATIONS] = []
        store.found[Collection.BACKUPS] = [backup_document(backup_item("o", status=BackupStatus.CREATING))]

    store.after[Collection.BACKUPS] = ends  # queued until the backups have been asked for, and there right after
    await departures.look(ports(store), departures.Memory())
    assert store.removed == []
    store.found[Collection.BACKUPS] = []
    await departures.look(ports(store), departures.Memory())
    assert store.removed == ["s"]


@pytest.mark.parametrize(
    ("published", "bus", "seconds", "goes"),
    [
        (False, Bus(), 60, True),
        (None, Bus(), 60, True),
        (False, Bus(), 59, False),
        (True, Bus(), 60, False),
        (False, Bus(OF_NOON), 60, False),
        (False, Bus(away=True), 60, False),
    ],
    ids=["never sent", "too large to send", "may yet be sent", "sent", "sent and not noted", "nobody can say"],
)
async def test_a_trigger_that_was_never_sent_does_not_hold_its_schedule(published, bus, seconds, goes):
    store = Store()
    store.found[Collection.TICKS] = [tick("s", NOON, Decision.TRIGGERED, published=published).document()]
    await departures.look(ports(store, bus, NOON + timedelta(seconds=seconds)), departures.Memory())
    assert (store.removed == ["s"]) is goes


def errors(store):
    return Schedule.of(store.found[Collection.SCHEDULES][0]).deleting.errors


async def test_what_cannot_be_read_is_told_and_the_others_go():
    store, bus = Store(), Bus()
    odd = {"_id": "odd", "item": {"id": "odd", "name": 5}}
    items = [backup_item("good"), backup_item("asked")]
    store.found[Collection.BACKUPS] = [odd, *map(backup_document, items)]
    asked = schedule_deletion_id("s", 1, "asked")
    store.found[Collection.OPERATIONS] = [{"_id": asked, "item": {"id": asked}}]
    memory = departures.Memory()
    for _look in range(2):
        await departures.look(ports(store, bus), memory)
    assert bus.commands == [schedule_deletion_id("s", 1, "good")]
    assert [("odd" in words, "Backup asked:" in words) for words in sorted(errors(store))] == [(False, True), (True, False)]
    store.found[Collection.BACKUPS] = [odd]
    await departures.look(ports(store, bus), memory)
    assert store.removed == []


async def test_a_backup_that_is_there_again_is_told_after_a_minute_and_deleted_when_somebody_asks():
    store, bus, memory = Store(), Bus(), departures.Memory()
    store.found[Collection.BACKUPS] = [backup_document(backup_item("b"))]
    ended = operation_item(schedule_deletion_id("s", 1, "b"), OperationState.SUCCEEDED, kind="backup.delete")
    store.found[Collection.OPERATIONS] = [{"_id": ended.id, "item": to_document(ended)}]
    start = NOON + timedelta(days=1)
    for seconds, told in ((0, 0), (59, 0), (60, 1), (70, 1)):
        await departures.look(ports(store, bus, start + timedelta(seconds=seconds)), memory)
        assert len(errors(store)) == told, seconds
    again = deleted(Schedule.of(store.found[Collection.SCHEDULES][0]), "anna", start, backups=True)
    store.found[Collection.SCHEDULES] = [again.document()]
    await departures.look(ports(store, bus, start), memory)
    assert (bus.commands, errors(store)) == ([schedule_deletion_id("s", 2, "b")], [])
