"""Restores that have ended: their logs, results and lists, and how they are removed. The test is the executor."""

import gzip
import json

import pytest

from services.gateway.settings import ReadSettings
from shared.contracts.artifacts import Artifact, ArtifactReply, Trouble
from shared.contracts.documents import to_document
from shared.contracts.phases import OperationState
from shared.contracts.refusals import Code, refusal
from tests.support.gateway import API, Bucket, answering, captured, operation_item, serving, stack
from tests.support.gateway_restores import restore_document, restore_item

LOG = b"".join(b'level=info msg="item %d"\n' % n for n in range(50))
RESULTS = {"errors": {}, "warnings": {"cluster": ["could not restore, exists already"]}}
LIST = {"v1/Pod": ["shop/web-0(created)"]}
FILES = {
    Artifact.LOG: gzip.compress(LOG),
    Artifact.RESULTS: gzip.compress(json.dumps(RESULTS).encode()),
    Artifact.RESOURCES: gzip.compress(json.dumps(LIST).encode()),
}


def row(**facts):
    return restore_document(restore_item("r1", name="again", **facts), aliases=["old"], uids=["uid-1"])


@pytest.fixture
async def made(nats_server, mongo_server, nats_timeout):
    async with stack(nats_server, mongo_server, reads=ReadSettings(timeout=nats_timeout, pause=0.01)) as running:
        await running.status.writes("restores", row())
        yield running


def read(made, what, restore="r1"):
    return made.client.get(f"{API}/restores/{restore}/{what}")


async def test_log_results_and_what_became_of_each_object_are_read_where_they_lie(made):
    bucket = Bucket({("again", artifact): data for artifact, data in FILES.items()})
    async with serving(made, bucket):
        log, tail = await read(made, "logs", "old"), await read(made, "logs?tail=1")
        results, resources = await read(made, "results"), await read(made, "resources")
    assert (log.content, log.headers["leeward-source"]) == (LOG, "cluster")
    assert tail.text == 'level=info msg="item 49"\n'
    assert (results.json(), resources.json()) == (RESULTS, LIST)
    assert {(wanted.of, wanted.name, tuple(wanted.ids)) for wanted in bucket.asked} == {("restore", "again", ("r1", "old"))}
    assert (await read(made, "contents")).status_code == 404


async def test_all_of_it_is_read_from_the_copy_when_the_restore_or_its_location_has_gone(made):
    kept = [part for artifact, data in FILES.items() for part in captured(artifact, data)]
    await made.status.writes("captures", *kept)
    gone = Bucket(trouble=lambda _: ArtifactReply(trouble=Trouble.UNREACHABLE, detail="its location has gone"))
    async with serving(made, gone):
        assert (await read(made, "resources")).json() == LIST  # a mirror that was removed again
    await made.status.writes("restores", row(present=False))
    for what, text in (("logs", LOG.decode()), ("results", json.dumps(RESULTS)), ("resources", json.dumps(LIST))):
        answer = await read(made, what)
        assert (answer.text, answer.headers["leeward-source"]) == (text, "copy")


async def test_what_cannot_be_read_says_why(made):
    assert (await read(made, "logs", "nobody")).status_code == 404
    await made.status.writes("restores", row(present=False))
    gone = await read(made, "logs")
    assert (gone.status_code, gone.json()["type"]) == (404, "/problems/restore-gone")
    assert gone.json()["detail"] == "Restore again has gone from cluster eu1."
    await made.status.writes("restores", row(present=False, status="Restoring", phase=None))
    assert (await read(made, "logs")).json()["type"] == "/problems/artifact-missing"
    await made.status.writes("restores", row())
    assert (await read(made, "logs")).json()["type"] == "/problems/cluster-silent"
    words = Bucket(trouble=lambda _: ArtifactReply(trouble=Trouble.BACKUP_GONE, detail="It has gone."))
    async with serving(made, words):
        assert (await read(made, "logs")).json()["type"] == "/problems/restore-gone"


# ---------------------------------------------------------------------- removing


async def ends(made, command, state, no=None):
    operation = operation_item(str(command.operationid), state, kind="restore.delete", refusal=no)
    await made.status.writes("operations", {"_id": operation.id, "item": to_document(operation)})
    await made.status.announces("operation", operation)


async def test_a_restore_that_goes_in_time_is_shown_as_it_was(made):
    async def remove(command):
        await made.status.writes("restores", row(status="Deleted", present=False))
        await ends(made, command, OperationState.SUCCEEDED)

    async with answering(made, remove):
        response = await made.client.delete(f"{API}/restores/old", headers={"prefer": "wait=20"})
    assert (response.status_code, response.json()["status"]) == (200, "Deleted")
    (command,) = made.commands_seen
    assert command.type == "dev.leeward.restore.delete.v1"
    assert (command.data.restore, command.data.name, command.data.ids) == ("r1", "again", ["old"])


async def test_a_removal_that_does_not_come_to_its_end_says_why(made):
    no = refusal(Code.RESTORE_NOT_DELETED, name="again", message="Access Denied")

    async def refuse(command):
        await ends(made, command, OperationState.REJECTED, no)

    async with answering(made, refuse):
        response = await made.client.delete(f"{API}/restores/r1", headers={"prefer": "wait=20"})
    assert (response.status_code, response.json()["code"], response.json()["detail"]) == (409, "RestoreNotDeleted", no.detail)


async def test_a_repeated_removal_is_the_same_one(made):
    key = {"idempotency-key": "k", "prefer": "respond-async"}
    first = await made.client.delete(f"{API}/restores/r1", headers=key)
    await made.status.writes("restores", row(status="Deleting"))
    again = await made.client.delete(f"{API}/restores/r1", headers=key)
    assert (first.status_code, again.status_code, first.json()["id"]) == (202, 202, again.json()["id"])
    assert await made.commands() == 1


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"status": "Restoring", "phase": "InProgress"}, "RestoreNotEnded"),
        ({"status": "Restoring", "phase": None, "present": False}, "RestoreNotEnded"),
        ({"status": "Completed", "present": False}, "RestoreGone"),
        ({"status": "Deleted", "present": False}, "RestoreGone"),
    ],
)
async def test_what_cannot_be_removed_is_told_before_anything_is_sent(made, facts, code):
    await made.status.writes("restores", row(**facts))
    response = await made.client.delete(f"{API}/restores/r1")
    assert (response.status_code, response.json()["code"]) == (409, code)
    assert await made.commands() == 0


async def test_many_are_removed_at_once_each_with_an_answer_of_its_own(made):
    await made.status.writes("restores", restore_document(restore_item("r2", status="Restoring", phase="InProgress")))
    response = await made.client.post(f"{API}/restores/delete", json={"ids": ["r1", "r2", "nobody"]})
    assert response.status_code == 202
    asked, runs, nobody = response.json()["items"]
    assert (asked["operation"]["kind"], asked["operation"]["state"]) == ("restore.delete", "Queued")
    assert (runs["problem"]["code"], nobody["problem"]["status"]) == ("RestoreNotEnded", 404)
    assert await made.commands() == 1
    assert (await made.client.post(f"{API}/restores/delete", json={"ids": []})).status_code == 422
