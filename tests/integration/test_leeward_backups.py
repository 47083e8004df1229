"""Previews, notices, refusals, logs, downloads and deletions by the `leeward` command, against the real gateway.

The cluster is played by the test.
"""

import asyncio
import gzip
import json
import os
import random
import signal

import pytest

from leeward.errors import Exit
from services.gateway.settings import ReadSettings
from shared.contracts.artifacts import MAX_CHUNK, Artifact, ArtifactReply, Trouble
from shared.contracts.documents import to_document
from shared.contracts.notices import About, notice
from shared.contracts.phases import OperationState
from shared.contracts.refusals import Code, refusal
from shared.contracts.views import ObjectRef
from tests.support.command import begun, leeward
from tests.support.gateway import (
    Bucket,
    answering,
    backup_document,
    backup_item,
    cluster_document,
    operation_item,
    serving,
    stack,
)
from tests.support.timing import PATIENT
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.thorough

CONTENTS = random.Random(1).randbytes(3 * MAX_CHUNK + 77)
FILES = {
    ("shop", Artifact.LOG): gzip.compress(b"".join(b"line %d\n" % n for n in range(1000))),
    ("shop", Artifact.RESULTS): gzip.compress(b'{"errors": {"namespaces": {"cart": ["hook failed"]}}, "warnings": {}}'),
    ("shop", Artifact.RESOURCES): gzip.compress(b'{"v1/Pod": ["shop/web-0"]}'),
    ("shop", Artifact.CONTENTS): CONTENTS,
}
NAMESPACES = [
    {"name": "shop", "labels": [{"k": "environment", "v": "production"}]},
    {"name": "cart", "labels": [{"k": "environment", "v": "production"}]},
    {"name": "dev", "labels": [{"k": "environment", "v": "test"}]},
]


@pytest.fixture
async def made(nats_server, mongo_server):
    reads = ReadSettings(timeout=PATIENT, tries=1, pause=0.01)
    async with stack(nats_server, mongo_server, reads=reads) as running:
        await running.status.writes("cluster_state", cluster_document("eu1", namespaces=NAMESPACES))
        await running.status.writes("backups", *(row(name) for name in ("shop", "cart")))
        yield running


@pytest.fixture
def folder(made, tmp_path):
    (tmp_path / ".leeward").mkdir()
    (tmp_path / ".leeward" / "client.json").write_text(json.dumps({"url": f"http://127.0.0.1:{made.settings.http.port}"}))
    return tmp_path


def row(name, **facts):
    return backup_document(backup_item(name, phase="Completed", **facts), uids=["uid-1"])


CREATE = ("backup", "create", "x", "--cluster", "eu1")


async def test_a_preview_shows_the_namespaces_and_asks_for_nothing(made, folder):
    shown = await leeward(folder, *CREATE, "--production", "--exclude-namespace", "c*", "--preview")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[1:4] == [
        "Scope:      all production namespaces without c*",
        "Namespaces: 1",
        "Left Out:   cart",
    ]
    assert shown.out.splitlines()[-1] == "  shop"
    data = await leeward(folder, *CREATE, "--non-production", "--preview", "-o", "json")
    assert json.loads(data.out)["namespaces"] == ["dev"]
    unknown = await leeward(folder, *CREATE, "-n", "shop,nope", "--preview")
    assert unknown.code == Exit.FAILED
    assert "leeward: --namespace: Cluster eu1 has no namespace nope." in unknown.err
    wrong = await leeward(folder, *CREATE, "-n", "Shop", "--preview")
    assert (wrong.code, "--namespace Shop: " in wrong.err) == (Exit.USAGE, True)
    nowhere = await leeward(folder, "backup", "create", "--cluster", "eu9", "--production", "--preview")
    assert (nowhere.code, "clusters: eu1" in nowhere.err) == (Exit.NOT_FOUND, True)
    assert await made.commands() == 0


async def test_the_scope_goes_with_the_clusters_selectors_and_velero_spellings_work(made, folder):
    async with answering(made, made.status.accepts):
        asked = await leeward(
            folder, *CREATE, "--production", "--exclude-namespaces", "c*", "--snapshot-volumes=false", "--wait=false"
        )
    assert asked.code == 0, asked
    (command,) = made.commands_seen
    assert command.data.scope.wire() == {"kind": "production", "excludedNamespaces": ["c*"]}
    assert command.data.environments.is_production({"environment": "prod"})
    assert command.data.spec.snapshot_volumes is False


async def test_what_a_person_should_know_is_said_once_by_the_option(made, folder):
    told = notice(About.EXCLUDED_KIND_UNKNOWN, field="excludedResources", cluster="eu1", kinds="foos")

    async def accept(command):
        operation = str(command.operationid)
        item = backup_item(operation, name="x", status="Creating")
        detail = to_document({"operationId": operation, "notices": [told.wire()]})
        ref = ObjectRef(kind="Backup", id=operation, name="x")
        accepted = operation_item(operation, OperationState.ACCEPTED, object=ref, notices=[told])
        await made.status.writes("backups", backup_document(item, detail=detail))
        await made.status.writes("operations", {"_id": operation, "item": to_document(accepted)})
        await made.status.announces("operation", accepted)

    async with answering(made, accept):
        asked = await leeward(folder, *CREATE, "--exclude-resources", "foos")
    assert asked.code == 0
    assert asked.err.count("note: --exclude-resources: Cluster eu1 has no kind foos: nothing is left out by it.") == 1


@pytest.mark.parametrize("wait", [(), ("--wait",)])
async def test_what_only_the_cluster_knows_is_refused_by_the_option(made, folder, wait):
    no = refusal(Code.KIND_UNKNOWN, field="includedResources", cluster="eu1", kinds="foos")
    async with answering(made, lambda command: made.status.rejects(command, no)):
        ended = await leeward(folder, *CREATE, "--include-resources", "pods,foos", *wait)
    assert (ended.code, ended.out) == (Exit.FAILED, "")
    assert ended.err.splitlines()[-2:] == [
        "leeward: --include-resources: Cluster eu1 has no kind foos.",
        "  `leeward cluster resources eu1 --all` shows those that exist",
    ]


async def test_what_lies_beside_a_backup_is_read(made, folder):
    async with serving(made, Bucket(FILES)):
        logs = await leeward(folder, "backup", "logs", "shop", "--tail", "2")
        assert (logs.code, logs.out) == (0, "line 998\nline 999\n"), logs
        whole = await leeward(folder, "backup", "logs", "shop", "-o", "json")
        assert len(json.loads(whole.out)) == 1000
        results = await leeward(folder, "backup", "results", "shop")
        assert results.out.splitlines()[:3] == ["Errors:", "  Namespace cart:", "    hook failed"]
        held = await leeward(folder, "backup", "describe", "shop", "--details")
        assert held.out.splitlines()[-3:] == ["Resource List:", "  v1/Pod: 1", "    - shop/web-0"]
        missing = await leeward(folder, "backup", "logs", "cart")
        assert (missing.code, "Nothing is stored for cart" in missing.err) == (Exit.NOT_FOUND, True), missing
        many = await leeward(folder, "backup", "logs", "shop", "--tail", "1000000")
        assert (many.code, "--tail: " in many.err) == (Exit.USAGE, True), many
    away = await leeward(folder, "backup", "logs", "shop")
    assert (away.code, "executor of eu1 is not running" in away.err) == (Exit.UNREACHABLE, True), away


async def test_a_download_survives_a_storage_that_fails_half_way(made, folder):
    fails = [2 * MAX_CHUNK, MAX_CHUNK]

    def trouble(wanted):
        if fails and wanted.offset >= fails[-1]:
            fails.pop()
            return ArtifactReply(trouble=Trouble.UNREACHABLE, detail="The storage is away.")
        return None

    async with serving(made, Bucket(FILES, trouble=trouble)):
        ended = await leeward(folder, "backup", "download", "shop")
    assert (ended.code, ended.out) == (0, "shop-data.tar.gz: 1.5 MiB\n"), ended
    assert (folder / "shop-data.tar.gz").read_bytes() == CONTENTS
    assert fails == []
    assert "trying again" in ended.err
    again = await leeward(folder, "backup", "download", "shop")
    assert (again.code, "--force" in again.err) == (Exit.FAILED, True)


async def test_a_download_that_is_stopped_goes_on_with_the_same_command(made, folder):
    def away(wanted):
        beyond = wanted.offset >= 2 * MAX_CHUNK
        return ArtifactReply(trouble=Trouble.UNREACHABLE, detail="The storage is away.") if beyond else None

    command = ("backup", "download", "shop", "-o", "all.tgz")
    part = folder / "all.tgz.part"
    async with serving(made, Bucket(FILES, trouble=away)), begun(folder, *command) as process:
        await eventually("a part", lambda: part.exists() and part.stat().st_size == 2 * MAX_CHUNK)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == Exit.INTERRUPTED
    assert "1.0 MiB of 1.5 MiB are in all.tgz.part: the same command goes on from there" in err.decode()
    assert not (folder / "all.tgz").exists()
    bucket = Bucket(FILES)
    async with serving(made, bucket):
        ended = await leeward(folder, *command)
    assert ended.code == 0, ended
    assert (folder / "all.tgz").read_bytes() == CONTENTS
    assert [wanted.offset for wanted in bucket.asked if wanted.limit > 1] == [2 * MAX_CHUNK, 3 * MAX_CHUNK]


async def test_backups_are_deleted_and_each_is_told(made, folder):
    nobody = await leeward(folder, "backup", "delete", "shop")
    assert (nobody.code, "--confirm" in nobody.err) == (Exit.USAGE, True)
    assert await made.commands() == 0
    async with answering(made, made.status.deletes):
        gone = await leeward(folder, "backup", "delete", "shop", "cart", "--confirm", "--wait")
    assert (gone.code, gone.out.splitlines()) == (
        0,
        ["backup shop of cluster eu1 is deleted", "backup cart of cluster eu1 is deleted"],
    ), gone
    again = await leeward(folder, "backup", "delete", "shop", "--confirm")
    assert (again.code, "has no backup shop" in again.err) == (Exit.NOT_FOUND, True), again


@pytest.mark.parametrize(
    ("typed", "code", "asked"), [(b"y\n", Exit.OK, 1), (b"n\n", Exit.FAILED, 0), (None, Exit.INTERRUPTED, 0)]
)
async def test_on_a_terminal_the_person_is_asked_and_ctrl_c_means_no_at_once(made, folder, typed, code, asked):
    ours, theirs = os.openpty()
    command = ("backup", "delete", "shop", "--wait")
    try:
        async with (
            asyncio.timeout(PATIENCE),
            answering(made, made.status.deletes),
            begun(folder, *command, stdin=theirs) as process,
        ):
            await process.stderr.readuntil(b"[y/N]:")
            if typed is None:
                process.send_signal(signal.SIGINT)
            else:
                os.write(ours, typed)
            _, err = await process.communicate()
    finally:
        os.close(ours)
        os.close(theirs)
    assert (process.returncode, await made.commands()) == (code, asked), err.decode()
    assert asked or "nothing was deleted" in err.decode()


async def test_a_deletion_that_the_cluster_refuses_is_told_without_waiting_for_it(made, folder):
    no = refusal(Code.LOCATION_READ_ONLY, pointer="", location="default")
    async with answering(made, lambda command: made.status.rejects(command, no)):
        ended = await leeward(folder, "backup", "delete", "shop", "--confirm")
    assert (ended.code, ended.out) == (Exit.FAILED, "")
    assert "leeward: Storage location default is read-only." in ended.err


async def test_one_that_is_being_made_is_not_deleted(made, folder):
    busy = backup_item("busy", status="Creating", phase="InProgress")
    await made.status.writes("backups", backup_document(busy))
    ended = await leeward(folder, "backup", "delete", "busy", "--confirm", "-o", "json")
    assert (ended.code, json.loads(ended.out)["items"][0]["problem"]["code"]) == (Exit.FAILED, "BackupNotEnded")
    assert "it can be deleted when it has ended" in ended.err
    assert "leeward backup wait busy" in ended.err
