"""Locations and their credentials in a cluster, end to end: Velero reads what was sealed, and nobody else does."""

import base64
import contextlib

import pytest
from nats.js.errors import NotFoundError

from shared.contracts.locationspec import spec_digest
from shared.runtime.clock import now
from simulator.cloud import Cloud
from simulator.kinds import default_kinds
from simulator.velero import Velero
from tests.integration.executor_harness import Faulty
from tests.support.location_messages import apply_command, remove_command, sealed
from tests.support.simulated_velero import QUICK
from tests.support.waiting import eventually

SECRET = "wJalrXUtnFEMI-never-told"
FILE = "[default]\naws_access_key_id=AKIA1\naws_secret_access_key={}\n"
AWS = {"provider": "aws", "objectStorage": {"bucket": "vault"}, "config": {"region": "eu-central-1"}}


@pytest.fixture
async def velero(world):
    """Cluster eu1, with a Velero that works, and a bucket that asks for keys."""
    async with Cloud() as cloud:
        for bucket in ("b", "vault"):
            cloud.make_bucket(bucket)
        cloud.doors.lock("vault", {"AKIA1": SECRET})
        cluster = await world.add("eu1")
        running = Velero(cluster, cloud, QUICK)
        await running.start()
        yield running
        running.kill()


def found(world, kind="backupstoragelocations", name="offsite"):
    return world.clusters["eu1"].store.find(kind, name, "velero")


async def key(world):
    """The newest public key of the cluster."""
    told = await eventually("a key", lambda: [e.data.sealing_key for e in world.heard.of("inventory") if e.data.sealing_key])
    return told[-1]


async def apply(world, operation, secret=None, **more):
    """Ask for a location with this secret and return what was said to it."""
    box = sealed(await key(world), FILE.format(secret)) if secret else None
    await world.order(apply_command(operation, more.pop("spec", AWS), credential=box, now=now(), **more))
    await eventually("answered", lambda: world.answers(operation))
    return world.answer(operation)


async def streams(admin):
    """Every byte that the streams hold."""
    held = b""
    for info in await admin.stream.streams_info():
        for number in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            with contextlib.suppress(NotFoundError):  # a bucket keeps the last of each key
                held += (await admin.stream.get_msg(info.config.name, number)).data or b""
    return held


async def test_a_location_with_a_credential_is_made_rotated_and_removed_and_the_credential_is_told_nowhere(
    world, velero, admin, caplog
):
    async with world.executor():
        wrong = await apply(world, "op1", "of-somebody-else")
        assert (wrong.noun, wrong.object.name) == ("location", "offsite")
        message = await eventually("Velero has looked", lambda: ((found(world) or {}).get("status") or {}).get("message"))
        assert "SignatureDoesNotMatch" in message
        made = found(world)
        await apply(world, "op2", SECRET, expected=spec_digest(made["spec"]))
        assert found(world)["metadata"]["uid"] == made["metadata"]["uid"]
        await eventually("available", lambda: found(world)["status"]["phase"] == "Available")
        held = found(world)["spec"]["credential"]["name"]
        assert base64.b64decode(found(world, "secrets", held)["data"]["cloud"]).decode() == FILE.format(SECRET)
        assert (held, found(world, "secrets", "leeward-bsl-offsite-op1")) == ("leeward-bsl-offsite-op2", None)
        private = found(world, "secrets", "leeward-executor-key")["data"]["private"]
        await world.order(remove_command("op3", now=now()))
        await eventually("removed", lambda: world.answers("op3") == ["finished"])
        await eventually("told", lambda: any(e.data.deleted for e in world.heard.of("location", "observed")))
    assert (found(world), found(world, "secrets", held)) == (None, None)
    said = await streams(admin) + caplog.text.encode() + repr(world.heard.messages).encode()
    for secret in (
        SECRET.encode(),
        base64.b64encode(FILE.format(SECRET).encode()),
        private.encode(),
        base64.b64decode(private),
    ):
        assert secret not in said


EVERYTHING = {
    "provider": "aws",
    "objectStorage": {"bucket": "vault", "prefix": "eu1", "caCertRef": {"name": "ca", "key": "ca.crt"}},
    "config": {"region": "eu-central-1", "s3Url": "http://127.0.0.1:1", "checksumAlgorithm": ""},
    "credential": {"name": "mine", "key": "cloud"},
    "accessMode": "ReadWrite",
    "default": True,
    "backupSyncPeriod": "2m",
    "validationFrequency": "3m",
}


async def test_every_field_can_be_said_and_unsaid(world):
    await world.add("eu1")
    known = default_kinds().named("backupstoragelocations").schema["properties"]["spec"]["properties"]
    assert EVERYTHING.keys() == known.keys()
    async with world.executor():
        await apply(world, "op1", spec=EVERYTHING)
        made = found(world)["spec"]
        assert made == EVERYTHING
        assert "default" not in found(world, name="default")["spec"]
        await apply(world, "op2", spec=AWS, expected=spec_digest(made))
    assert found(world)["spec"] == AWS


ACCEPTED, FINISHED = (lambda s: ".operation.accepted." in s), (lambda s: ".operation.finished." in s)


@pytest.mark.parametrize("after", [False, True], ids=["before it is told", "before the ack"])
async def test_a_command_that_comes_again_changes_nothing_more(world, after):
    await world.add("eu1")
    async with world.executor(wrap=lambda p: Faulty(p, ACCEPTED, after)) as dying:
        await world.order(apply_command("op1", AWS, credential=sealed(await key(world), "x"), now=now()))
        await dying.crashed()
    made = found(world)
    async with world.executor(instance="two", wrap=lambda p: Faulty(p, FINISHED, after)) as dying:
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
        assert found(world) == made
        await world.order(remove_command("op2", now=now()))
        await dying.crashed()
    async with world.executor(instance="three"):
        await eventually("finished", lambda: set(world.answers("op2")) == {"finished"})
    assert found(world) is None


async def test_of_two_that_would_write_into_one_place_at_once_one_is_refused(world):
    cluster = await world.add("eu1")
    for number in range(4):
        await world.order(apply_command(f"op{number}", AWS, name=f"place-{number}", now=now()))
    cluster.faults.slow(0.1)
    async with world.executor():
        await eventually("answered", lambda: all(world.answers(f"op{n}") for n in range(4)))
    assert sorted(world.answers(f"op{n}")[0] for n in range(4)) == ["accepted", *["rejected"] * 3]
    assert {world.answer(f"op{n}").refusal.code for n in range(4) if world.answers(f"op{n}") == ["rejected"]} == {
        "BucketShared"
    }


async def test_a_credential_that_was_sealed_to_an_earlier_key_is_refused_and_the_new_key_is_told(world):
    cluster = await world.add("eu1")
    async with world.executor():
        old = await key(world)
        cluster.store.delete("secrets", "leeward-executor-key", "velero")
        await world.order(apply_command("op1", AWS, credential=sealed(old, "x"), now=now()))
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
        assert world.answer("op1").refusal.code == "CredentialUnreadable"
        await eventually("another key", lambda: world.heard.of("inventory")[-1].data.sealing_key.id != old.id)
        assert (await apply(world, "op2", "y")).object.name == "offsite"


async def test_executors_that_come_at_once_tell_one_key(world):
    await world.add("eu1")
    async with world.executor(), world.executor(instance="two"):
        await eventually("both have told", lambda: {e.id.split("/")[0] for e in world.heard.of("inventory")} == {"one", "two"})
    assert len({e.data.sealing_key.id for e in world.heard.of("inventory")}) == 1


@pytest.mark.parametrize(
    ("kind", "noun", "spec"),
    [
        ("restores", "restore", {"backupName": "b"}),
        ("volumesnapshotlocations", "snapshotlocation", {"provider": "aws"}),
    ],
)
async def test_restores_and_snapshot_locations_are_watched(world, kind, noun, spec):
    cluster = await world.add("eu1")
    body = {"metadata": {"name": "seen"}, "spec": spec}
    async with world.executor():
        await eventually("listed", lambda: world.heard.of(noun, "snapshot"))
        cluster.store.create(kind, body, "velero")
        cluster.store.delete(kind, "seen", "velero")
        await eventually("told", lambda: [e.data.deleted for e in world.heard.of(noun, "observed")] == [False, True])
    assert world.heard.of(noun, "observed")[0].data.object["spec"] == spec
