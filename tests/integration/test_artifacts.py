"""Logs, results, lists and contents through the executor: from a simulated Velero and its storage, over a real NATS."""

import asyncio
import gzip
import io
import json
import logging
import tarfile
from contextlib import asynccontextmanager

import pytest
import structlog

from services.executor.manifests import ids_of
from services.executor.settings import Measuring
from shared.contracts import subjects
from shared.contracts.artifacts import Artifact, ArtifactRead, ArtifactReply, Trouble
from shared.messaging.outcomes import Unavailable
from shared.messaging.rpc import ask
from simulator.bulk import MEBIBYTE
from simulator.velero.storage import FILES
from tests.integration.executor_harness import MEASURING
from tests.support.messages import envelope
from tests.support.sites import WITH_VELERO, furnished
from tests.support.timing import BRIEF, PATIENT
from tests.support.waiting import PATIENCE, eventually

HUB = subjects.artifact("eu1", agent=False)
SECRET = "X-Amz-Signature"
IDLE = MEASURING.model_copy(update={"at_once": 0})
"""So that nothing but the test reads."""


class Reader:
    """The gateway, as far as it reads artifacts."""

    def __init__(self, gateway, site):
        self._gateway, self._site = gateway, site

    async def ask(self, name, artifact=Artifact.LOG, ids=None, **more):
        known = ids or list(ids_of(self._site.find("backups", name) or {}, "eu1"))
        order = ArtifactRead(name=name, ids=known, artifact=artifact, **more)
        return ArtifactReply.model_validate_json(await ask(self._gateway, HUB, envelope("artifact", "read", order), PATIENCE))

    async def chunk(self, name, artifact=Artifact.LOG, **more):
        reply = await self.ask(name, artifact, **more)
        assert reply.chunk is not None, (reply.trouble, reply.detail)
        return reply.chunk

    async def trouble(self, name, artifact=Artifact.LOG, **more):
        reply = await self.ask(name, artifact, **more)
        assert reply.chunk is None
        assert SECRET not in reply.detail
        return reply.trouble

    async def whole(self, name, artifact, limit=512 * 1024):
        first = await self.chunk(name, artifact, limit=limit)
        data = bytearray(first.data)
        while len(data) < first.total:
            data += (await self.chunk(name, artifact, offset=len(data), limit=limit, etag=first.etag)).data
        return bytes(data)


@asynccontextmanager
async def reading(world, as_user, measuring: Measuring = IDLE, timeout: float = PATIENT):
    async with furnished(world) as site, world.executor(measuring=measuring, rhythm=WITH_VELERO, timeout=timeout):
        gateway = await as_user("gateway")
        reader = Reader(gateway, site)

        async def serves() -> bool:
            try:
                return bool(await reader.ask("nobody", ids=["x"]))
            except Unavailable:
                return False

        await eventually("the executor answers", serves)
        yield site, reader


async def test_every_artifact_comes_as_it_lies_in_the_bucket(world, as_user):
    async with reading(world, as_user) as (site, reader):
        site.backup("b")
        await site.until("b")
        for artifact, target in {
            Artifact.LOG: "BackupLog", Artifact.RESULTS: "BackupResults",
            Artifact.RESOURCES: "BackupResourceList", Artifact.CONTENTS: "BackupContents",
        }.items():  # fmt: skip
            stored = site.cloud.get("velero", FILES[target].format(name="b"))
            assert await reader.whole("b", artifact, limit=100) == stored
        listed = json.loads(gzip.decompress(await reader.whole("b", Artifact.RESOURCES)))
        assert "shop/thing-0" in listed["v1/ConfigMap"]
        assert site.store.list("downloadrequests", "velero") == []


async def test_a_large_archive_is_signed_for_once_and_whole(world, as_user):
    async with reading(world, as_user) as (site, reader):
        site.backup("b")
        await site.until("b")
        size = site.velero.storage(site.get("backupstoragelocations", "default")).enlarge("b", 4)
        site.cluster.faults.calls.clear()
        data = await reader.whole("b", Artifact.CONTENTS)
        requests = [c for c in site.cluster.faults.calls if c.method == "POST" and "downloadrequests" in c.path]
        assert (len(data), len(requests)) == (size, 1)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            assert [m.size for m in archive.getmembers()] == [4 * MEBIBYTE]


async def test_past_the_end_there_is_nothing_more(world, as_user):
    async with reading(world, as_user) as (site, reader):
        site.backup("b")
        await site.until("b")
        first = await reader.chunk("b")
        after = await reader.chunk("b", offset=first.total, etag=first.etag)
        assert (after.data, after.total) == (b"", first.total)


async def test_a_backup_of_the_same_name_that_is_another_one_is_not_read(world, as_user):
    async with reading(world, as_user) as (site, reader):
        site.backup("b")
        await site.until("b")
        first = list(ids_of(site.get("backups", "b"), "eu1"))
        assert await reader.trouble("b", ids=["another"]) is Trouble.BACKUP_GONE
        chunk = await reader.chunk("b", ids=first)
        site.velero.kill()  # it would bring it back from the bucket
        site.store.delete("backups", "b", "velero")
        assert await reader.trouble("b", ids=first) is Trouble.BACKUP_GONE
        site.cloud.delete_prefix("velero", "backups/b/")
        await site.velero.start()
        await asyncio.sleep(1.1)  # Velero tells two backups of one name apart by the second of their start
        site.backup("b")
        await site.until("b")
        assert await reader.trouble("b", ids=first, etag=chunk.etag) is Trouble.BACKUP_GONE


async def test_what_was_replaced_or_removed_half_way_is_noticed(world, as_user):
    async with reading(world, as_user) as (site, reader):
        site.backup("b")
        await site.until("b")
        first = await reader.chunk("b", Artifact.CONTENTS, limit=10)
        key = FILES["BackupContents"].format(name="b")
        site.cloud.put("velero", key, b"something else, as long as need be, and longer")
        assert await reader.trouble("b", Artifact.CONTENTS, offset=10, etag=first.etag) is Trouble.CHANGED
        site.cloud.delete_prefix("velero", key)
        assert await reader.trouble("b", Artifact.CONTENTS, offset=10, etag=first.etag) is Trouble.CHANGED
        assert await reader.trouble("b", Artifact.CONTENTS) is Trouble.NOT_THERE


async def test_before_it_has_ended_and_when_it_was_never_begun_there_is_nothing(world, as_user):
    async with reading(world, as_user) as (site, reader):
        site.backup("bad", storageLocation="none")
        await site.until("bad", "FailedValidation")
        assert await reader.trouble("bad") is Trouble.NOT_THERE
        site.velero.faults.hold("b", "InProgress")
        site.backup("b")
        await site.until("b", "InProgress")
        assert await reader.trouble("b") is Trouble.NOT_THERE
        site.velero.faults.release("b")
        await site.until("b")
        assert await reader.chunk("b")


async def test_one_that_failed_because_its_name_was_taken_is_not_shown_the_other_ones_log(world, as_user):
    async with reading(world, as_user) as (site, reader):
        site.backup("b")
        await site.until("b")
        site.store.delete("backups", "b", "velero")
        site.backup("b")
        await site.until("b", "Failed")
        assert "already exists" in site.get("backups", "b")["status"]["failureReason"]
        assert await reader.trouble("b") is Trouble.NOT_THERE


async def test_a_url_that_has_run_out_is_signed_anew(world, as_user):
    async with reading(world, as_user) as (site, reader):
        site.backup("b")
        await site.until("b")
        first = await reader.chunk("b", limit=5)
        site.cloud._key = b"another key: nothing that was signed before is good any more"
        again = await reader.chunk("b", offset=5, limit=5, etag=first.etag)
        assert (again.offset, again.etag, len(again.data)) == (5, first.etag, 5)


async def test_each_trouble_has_its_name(world, as_user):
    async with reading(world, as_user, IDLE.model_copy(update={"signing": BRIEF}), BRIEF) as (site, reader):
        site.backup("b")
        site.backup("c", namespace="cart")
        await site.until("b")
        await site.until("c")
        site.cloud.faults.denied.add("velero")
        assert await reader.trouble("b") is Trouble.FORBIDDEN
        site.cloud.faults.clear()
        site.cloud.faults.down = True
        assert await reader.trouble("b") is Trouble.UNREACHABLE
        site.cloud.faults.clear()
        await site.cloud.stop()
        assert await reader.trouble("b") is Trouble.UNREACHABLE
        await site.cloud.start()
        site.velero.kill()
        begun = asyncio.get_running_loop().time()
        assert await reader.trouble("c") is Trouble.VELERO_SILENT
        assert asyncio.get_running_loop().time() - begun < 5 * BRIEF
        assert site.store.list("downloadrequests", "velero") == [], "the request is removed although nobody answered it"
        assert await reader.chunk("b"), "what is signed already needs no Velero"
        site.cluster.faults.hang()
        assert await reader.trouble("b") is Trouble.UNREACHABLE
        site.cluster.faults.release()


async def test_a_slow_storage_is_given_up_on(world, as_user):
    async with reading(world, as_user, IDLE.model_copy(update={"piece": 0.3})) as (site, reader):
        site.backup("b")
        await site.until("b")
        site.cloud.faults.latency = 30
        assert await reader.trouble("b") is Trouble.UNREACHABLE


async def test_no_log_line_and_no_answer_holds_a_signed_url(world, as_user, caplog):
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as lines:
        async with reading(world, as_user, IDLE.model_copy(update={"at_once": 2})) as (site, reader):
            site.backup("b")
            await site.until("b")
            await reader.chunk("b")
            site.cloud.faults.down = True
            await reader.trouble("b")
            site.cloud.faults.clear()
            site.cloud.faults.denied.add("velero")
            await reader.trouble("b", Artifact.CONTENTS)
            await site.cloud.stop()
            await reader.trouble("b")
    assert SECRET not in repr(lines)
    assert SECRET not in caplog.text
    assert SECRET not in repr([m for _, m in world.heard.messages])


@pytest.mark.parametrize("odd", [{"caCert": "bm90IGEgY2VydGlmaWNhdGU="}, {"caCert": "AAAA"}])
async def test_an_authority_that_cannot_be_read_is_said(world, as_user, odd):
    async with reading(world, as_user) as (site, reader):
        site.backup("b")
        await site.until("b")
        site.store.patch("backupstoragelocations", "default", {"spec": {"objectStorage": odd}}, "velero")
        reply = await reader.ask("b")
        assert reply.trouble is Trouble.UNREACHABLE
        assert "caCert" in reply.detail
