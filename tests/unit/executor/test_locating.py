"""Locations made, changed and removed: what speaks against it, and the same end wherever the process ends on the way."""

import base64
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from services.executor.answering import carry_out
from services.executor.kube import (
    LOCATIONS,
    SECRETS,
    SNAPSHOT_LOCATIONS,
    ConflictError,
    ForbiddenError,
    GoneError,
    InternalError,
    InvalidError,
)
from services.executor.locations.judging import SNAPSHOTS, STORAGE
from services.executor.locations.locating import Application
from services.executor.locations.removing import Removal
from services.executor.locations.sealing import HOLDER
from shared.contracts.locationspec import spec_digest
from shared.messaging.outcomes import Retry
from tests.support.location_messages import apply_command, remove_command, sealed
from tests.support.memory_kube import Ended
from tests.support.messages import NOW
from tests.support.one_command import Bench

AWS = {"provider": "aws", "objectStorage": {"bucket": "b", "prefix": "p"}, "config": {"region": "eu-central-1"}}
OLD = {**AWS, "config": {"region": "eu-central-1", "s3Url": "http://old"}, "validationFrequency": "5m"}
FORMER = {"name": "leeward-bsl-offsite-op0", "key": "cloud"}
TASKS = {
    ("location", "apply"): partial(Application, STORAGE),
    ("location", "delete"): partial(Removal, STORAGE),
    ("snapshotlocation", "apply"): partial(Application, SNAPSHOTS),
    ("snapshotlocation", "delete"): partial(Removal, SNAPSHOTS),
}


async def told(bench, command):
    """Deliver a command and return how it ended."""
    noun, verb = command.type.split(".")[2:4]
    await bench.deliver(command, TASKS[noun, verb])
    return bench.stream.ends(command.operationid)


async def credential(bench, text="secret text"):
    return sealed(await bench.sealing.public(), text)


def other(bench, name="default", **spec):
    return bench.kube.put(LOCATIONS, name, {"provider": "aws", "objectStorage": {"bucket": "elsewhere"}, **spec})


def secret(bench, name="leeward-bsl-offsite-op1"):
    found = bench.kube.find(SECRETS, name)
    return found and base64.b64decode(found["data"]["cloud"]).decode()


def expected(bench, name="offsite"):
    return spec_digest(bench.kube.find(LOCATIONS, name)["spec"])


def defaults(bench):
    return [n for n in bench.kube.names(LOCATIONS) if bench.kube.find(LOCATIONS, n)["spec"].get("default")]


# ---------------------------------------------------------------------- making


async def test_a_location_is_made_as_it_was_asked_for_with_its_secret_and_whose_it_is():
    bench = Bench()
    other(bench, default=True)
    order = apply_command("op1", {**AWS, "default": True}, credential=await credential(bench), sharedBucket=True)
    assert await told(bench, order) == ["accepted"]
    made = bench.kube.find(LOCATIONS, "offsite")
    assert made["spec"] == {**AWS, "default": True, "credential": {"name": "leeward-bsl-offsite-op1", "key": "cloud"}}
    assert made["metadata"]["labels"] == {"leeward.dev/cluster": "eu1", "leeward.dev/operation-id": "op1"}
    assert made["metadata"]["annotations"] == {"leeward.dev/created-by": "anna", "leeward.dev/shared-bucket": "true"}
    assert secret(bench) == "secret text"
    labels = bench.kube.find(SECRETS, "leeward-bsl-offsite-op1")["metadata"]["labels"]
    assert labels == {**made["metadata"]["labels"], "leeward.dev/location": "offsite"}
    assert defaults(bench) == ["offsite"]


async def test_velero_has_a_moment_to_hear_of_a_secret_before_it_hears_of_the_location():
    bench = Bench()
    command = apply_command("op1", spec=AWS, credential=await credential(bench))
    ports = replace(bench.ports(), heard=0.5)
    with pytest.raises(Retry) as wait:
        await carry_out(ports, command, Application(STORAGE, ports, command))
    assert (wait.value.after, secret(bench), bench.kube.names(LOCATIONS)) == (0.5, "secret text", [])
    await carry_out(ports, command, Application(STORAGE, ports, command))
    assert (bench.stream.ends("op1"), bench.kube.names(LOCATIONS)) == (["accepted"], ["offsite"])


async def test_a_volume_snapshot_location_likewise():
    bench = Bench()
    name = "x" * 200
    order = apply_command("op1", {"provider": "aws"}, noun="snapshotlocation", name=name, credential=await credential(bench))
    assert await told(bench, order) == ["accepted"]
    held = bench.kube.find(SNAPSHOT_LOCATIONS, name)["spec"]["credential"]["name"]
    assert (held[:12], len(held), secret(bench, held)) == ("leeward-vsl-", 75, "secret text")


async def test_the_spec_of_a_change_is_the_whole_of_it_but_for_what_leeward_does_not_know():
    bench = Bench()
    live = other(bench, "offsite", **OLD, accessMode="ReadOnly", newer={"a": 1})
    order = apply_command("op1", AWS, expected=spec_digest(live["spec"]))
    assert await told(bench, order) == ["accepted"]
    assert bench.kube.find(LOCATIONS, "offsite")["spec"] == {**AWS, "newer": {"a": 1}}


async def test_a_rotation_turns_to_another_secret_and_each_goes_that_is_left():
    bench = Bench()
    theirs = {"name": "cloud-credentials", "key": "cloud"}
    bench.kube.put(SECRETS, "cloud-credentials")
    other(bench, "offsite", **AWS, credential=theirs)
    for operation in ("op1", "op2"):
        order = apply_command(operation, AWS, expected=expected(bench), credential=await credential(bench, operation))
        assert await told(bench, order) == ["accepted"]
        held = f"leeward-bsl-offsite-{operation}"
        assert bench.kube.names(SECRETS) == ["cloud-credentials", held, HOLDER]
        assert (bench.kube.find(LOCATIONS, "offsite")["spec"]["credential"]["name"], secret(bench, held)) == (held, operation)
    assert await told(bench, apply_command("op3", {**AWS, "credential": theirs}, expected=expected(bench))) == ["accepted"]
    assert bench.kube.names(SECRETS) == ["cloud-credentials", HOLDER]
    assert not any("former" in key for key in bench.kube.find(LOCATIONS, "offsite")["metadata"]["annotations"])
    assert [write for write in bench.kube.writes if write[:2] == ("patch", SECRETS.plural)] == []


async def test_a_change_of_something_else_leaves_the_credential():
    bench = Bench()
    bench.kube.put(SECRETS, FORMER["name"])
    other(bench, "offsite", **AWS, credential=FORMER)
    spec = {**AWS, "validationFrequency": "2m", "credential": FORMER}
    assert await told(bench, apply_command("op1", spec, expected=expected(bench))) == ["accepted"]
    assert (bench.kube.find(LOCATIONS, "offsite")["spec"], bench.kube.names(SECRETS)) == (spec, [FORMER["name"]])


async def test_a_secret_that_another_location_uses_outlasts_the_rotation_and_goes_with_that():
    bench = Bench()
    bench.kube.put(SECRETS, FORMER["name"])
    spec = {**AWS, "accessMode": "ReadOnly"}
    for name in ("offsite", "second"):
        other(bench, name, **spec, credential=FORMER)
    order = apply_command("op1", spec, expected=expected(bench), credential=await credential(bench))
    assert await told(bench, order) == ["accepted"]
    assert bench.kube.names(SECRETS) == [FORMER["name"], "leeward-bsl-offsite-op1", HOLDER]
    assert await told(bench, remove_command("op2", name="second")) == ["finished"]
    assert bench.kube.names(SECRETS) == ["leeward-bsl-offsite-op1", HOLDER]


async def test_a_secret_that_may_not_be_removed_goes_with_the_location():
    bench = Bench()
    bench.kube.put(SECRETS, FORMER["name"])
    other(bench, "offsite", **AWS, credential=FORMER)
    bench.kube.refuses["delete", SECRETS.plural] = ForbiddenError("no")
    order = apply_command("op1", AWS, expected=expected(bench), credential=await credential(bench))
    assert await told(bench, order) == ["accepted"]
    bench.kube.refuses.clear()
    assert await told(bench, remove_command("op2")) == ["finished"]
    assert bench.kube.names(SECRETS) == [HOLDER]


# ---------------------------------------------------------------------- what speaks against it


def taken(bench):
    other(bench, "offsite")


def beside(spec, **more):
    return lambda bench: other(bench, "default", **AWS | spec, **more)


WRITERS = {"objectStorage": {"bucket": "b", "prefix": "/p/"}, "config": {"s3Url": "http://another"}}

REFUSED = {
    "the name is taken": (taken, AWS, {}, "LocationTaken"),
    "it is gone": (lambda _: None, AWS, {"expected": "0"}, "LocationGone"),
    "it was changed": (taken, AWS, {"expected": "0"}, "LocationChanged"),
    "another writes there": (beside(WRITERS), AWS, {}, "BucketShared"),
    "another writes there, under its long name": (beside({"provider": "velero.io/aws"}), AWS, {}, "BucketShared"),
    "sealed to another": (lambda _: None, AWS, {"credential": {"key": "0" * 16, "box": "AAAA"}}, "CredentialUnreadable"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_speaks_against_it_is_told_and_nothing_is_done(case):
    arrange, spec, more, code = REFUSED[case]
    bench = Bench()
    await bench.sealing.public()
    arrange(bench)
    before = dict(bench.kube.objects)
    assert await told(bench, apply_command("op1", spec, **more)) == ["rejected"]
    assert bench.stream.refusal("op1").code == code
    assert bench.kube.objects == before


AZURE = {"provider": "azure", "objectStorage": {"bucket": "b"}, "config": {"storageAccount": "a"}}
ALLOWED = {
    "another only reads there": (beside({}, accessMode="ReadOnly"), AWS, {}),
    "it only reads there itself": (beside({}), {**AWS, "accessMode": "ReadOnly"}, {}),
    "another prefix": (beside({"objectStorage": {"bucket": "b", "prefix": "p/q"}}), AWS, {}),
    "another account": (beside(AZURE | {"config": {"storageAccount": "b"}}), AZURE, {}),
    "another provider": (beside({"provider": "somebody.io/s3"}), AWS, {}),
    "a person has said so": (beside({}), AWS, {"sharedBucket": True}),
}


@pytest.mark.parametrize("case", ALLOWED)
async def test_two_that_do_not_get_into_each_others_way_are_allowed(case):
    arrange, spec, more = ALLOWED[case]
    bench = Bench()
    arrange(bench)
    assert await told(bench, apply_command("op1", spec, **more)) == ["accepted"]


async def test_a_location_that_shares_its_bucket_already_may_still_be_changed():
    bench = Bench()
    other(bench, "default", **AWS)
    live = other(bench, "offsite", **AWS)
    order = apply_command("op1", {**AWS, "validationFrequency": "2m"}, expected=spec_digest(live["spec"]))
    assert await told(bench, order) == ["accepted"]


@pytest.mark.parametrize("no", [InvalidError("no such field"), ForbiddenError("no")])
async def test_a_location_that_the_cluster_refuses_leaves_nothing_behind_and_the_default_where_it_was(no):
    bench = Bench()
    other(bench, default=True)
    bench.kube.refuses["create", LOCATIONS.plural] = no
    order = apply_command("op1", {**AWS, "default": True}, credential=await credential(bench))
    assert await told(bench, order) == ["rejected"]
    assert bench.kube.names(LOCATIONS) == ["default"]
    assert defaults(bench) == ["default"]
    assert bench.kube.names(SECRETS) == [HOLDER]


async def test_a_change_that_the_cluster_refuses_leaves_the_credential_and_the_default_as_they_were():
    bench = Bench()
    order = await changing(bench)
    before = dict(bench.kube.objects)
    bench.kube.refuses["patch", LOCATIONS.plural] = InvalidError("a webhook denies it")
    assert await told(bench, order) == ["rejected"]
    assert bench.kube.objects == before


async def test_what_the_cluster_says_of_a_secret_is_not_repeated():
    bench = Bench()
    await bench.sealing.public()
    bench.kube.refuses["create", SECRETS.plural] = InvalidError("a webhook denies: aws_secret_access_key=secret text")
    assert await told(bench, apply_command("op1", AWS, credential=await credential(bench))) == ["rejected"]
    refused = bench.stream.refusal("op1")
    assert (refused.code, "secret text" in refused.detail, "executor.yaml" in refused.detail) == (
        "RefusedByCluster",
        False,
        True,
    )
    assert bench.kube.names(LOCATIONS) == []


async def test_a_change_in_between_is_looked_at_again():
    bench = Bench()
    live = other(bench, "offsite", **AWS)
    bench.kube.refuses["patch", LOCATIONS.plural] = ConflictError("modified")
    order = apply_command("op1", AWS, expected=spec_digest(live["spec"]))
    assert await told(bench, order) == []
    bench.kube.refuses.clear()
    assert await told(bench, order) == ["accepted"]


async def test_one_that_another_executor_made_of_the_same_command_is_found_and_keeps_its_secret():
    bench = Bench()
    order = apply_command("op1", AWS, credential=await credential(bench))
    create = bench.kube.create

    async def too_late(kind, body):
        if kind == LOCATIONS:
            await create(kind, body)
        return await create(kind, body)

    bench.kube.create = too_late
    assert await told(bench, order) == ["accepted"]
    assert secret(bench) == "secret text"


async def test_one_that_somebody_else_made_meanwhile_keeps_its_name_and_no_secret_of_ours_is_left():
    bench = Bench()
    order = apply_command("op1", AWS, credential=await credential(bench))
    create = bench.kube.create

    async def too_late(kind, body):
        if kind == LOCATIONS:
            other(bench, "offsite")
        return await create(kind, body)

    bench.kube.create = too_late
    assert await told(bench, order) == ["rejected"]
    assert bench.stream.refusal("op1").code == "LocationTaken"
    assert bench.kube.names(SECRETS) == [HOLDER]


# ---------------------------------------------------------------------- removing


async def test_a_location_goes_with_the_secret_that_was_made_for_it_and_no_other():
    bench = Bench()
    other(bench, "offsite", credential=FORMER)
    for name in (FORMER["name"], "cloud-credentials"):
        bench.kube.put(SECRETS, name)
    assert await told(bench, remove_command("op1")) == ["finished"]
    assert bench.kube.names(LOCATIONS) == []
    assert bench.kube.names(SECRETS) == ["cloud-credentials"]


@pytest.mark.parametrize("kind", [LOCATIONS, SNAPSHOT_LOCATIONS])
async def test_a_secret_that_another_location_uses_stays(kind):
    bench = Bench()
    other(bench, "offsite", credential=FORMER)
    bench.kube.put(kind, "second", {"provider": "aws", "credential": FORMER})
    bench.kube.put(SECRETS, FORMER["name"])
    assert await told(bench, remove_command("op1")) == ["finished"]
    assert bench.kube.names(SECRETS) == [FORMER["name"]]


async def test_what_is_gone_or_was_changed_is_not_removed():
    bench = Bench()
    assert await told(bench, remove_command("op1")) == ["rejected"]
    other(bench, "offsite")
    assert await told(bench, remove_command("op2", expected="0")) == ["rejected"]
    codes = [bench.stream.refusal(op).code for op in ("op1", "op2")]
    assert (codes, bench.kube.names(LOCATIONS)) == (["LocationGone", "LocationChanged"], ["offsite"])


async def test_one_that_the_cluster_keeps_is_waited_for_until_the_deadline():
    bench = Bench()
    other(bench, "offsite")
    bench.kube.finalized.add("offsite")
    order = remove_command("op1", expires_in=60)
    assert await told(bench, order) == []
    bench.now = NOW + timedelta(seconds=61)
    assert await told(bench, order) == ["rejected"]
    assert bench.stream.refusal("op1").code == "LocationNotDeleted"


async def test_one_that_the_cluster_lets_go_later_has_been_removed():
    bench = Bench()
    other(bench, "offsite")
    bench.kube.finalized.add("offsite")
    order = remove_command("op1")
    assert await told(bench, order) == []
    del bench.kube.objects[LOCATIONS.plural, "offsite"]
    assert await told(bench, order) == ["finished"]


async def test_a_command_that_comes_again_removes_no_other_of_that_name():
    bench = Bench()
    other(bench, "offsite")
    order = remove_command("op1")
    assert await told(bench, order) == ["finished"]
    assert await told(bench, apply_command("op2", AWS, credential=await credential(bench))) == ["accepted"]
    assert await told(bench, order) == ["finished"]
    assert (bench.kube.names(LOCATIONS), secret(bench, "leeward-bsl-offsite-op2")) == (["offsite"], "secret text")


async def test_what_the_api_server_made_although_it_failed_is_accepted_also_past_the_deadline():
    bench = Bench()
    create = bench.kube.create

    async def slow(kind, body):
        bench.now += timedelta(hours=2)
        return await create(kind, body)

    bench.kube.create = slow
    bench.kube.breaks["create", LOCATIONS.plural] = InternalError("etcdserver: request timed out")
    assert await told(bench, apply_command("op1", AWS)) == ["accepted"]
    assert bench.kube.names(LOCATIONS) == ["offsite"]


async def test_while_nobody_can_see_whether_it_was_made_it_is_not_refused_at_the_deadline():
    bench = Bench()
    order, get = apply_command("op1", AWS), bench.kube.get

    async def lost(kind, name):
        if bench.kube.find(kind, name):
            bench.now = NOW + timedelta(hours=2)
            raise InternalError("etcdserver: no leader")
        return await get(kind, name)

    bench.kube.breaks["create", LOCATIONS.plural] = InternalError("etcdserver: request timed out")
    bench.kube.get = lost
    assert await told(bench, order) == []
    bench.kube.get = get
    assert await told(bench, order) == ["accepted"]


# ---------------------------------------------------------------------- the process ends on the way


async def making(bench):
    other(bench, default=True)
    return apply_command("op1", {**AWS, "default": True}, credential=await credential(bench))


async def changing(bench):
    other(bench, default=True)
    other(bench, "offsite", **OLD, credential=FORMER)
    bench.kube.put(SECRETS, FORMER["name"])
    bench.kube.find(SECRETS, FORMER["name"])["data"] = {"cloud": base64.b64encode(b"former").decode()}
    more = {"expected": expected(bench), "credential": await credential(bench)}
    return apply_command("op1", {**AWS, "default": True}, **more)


async def removing(bench):
    other(bench, "offsite", credential=FORMER)
    bench.kube.put(SECRETS, FORMER["name"])
    await bench.sealing.public()
    return remove_command("op1")


def outcome(bench):
    """What there is in the end, apart from versions."""
    what = [
        (plural, name, body.get("spec"), body["metadata"].get("labels")) for (plural, name), body in bench.kube.objects.items()
    ]
    return sorted(what, key=str), secret(bench), bench.stream.ends("op1")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("story", [making, changing, removing])
async def test_wherever_the_process_ends_the_end_is_the_same(story, after):
    reference = Bench()
    order = await story(reference)
    arranged = len(reference.kube.writes)
    await told(reference, order)
    for number in range(len(reference.kube.writes) - arranged):
        bench = Bench()
        order = await story(bench)
        bench.kube.end(number, after=after)
        await told(bench, order)
        assert bench.kube.end_at is None, "the process was to end on the way"
        assert outcome(bench) == outcome(reference)


@pytest.mark.parametrize("story", [making, changing, removing])
async def test_what_was_done_but_not_reported_is_reported_by_the_next(story):
    reference, bench = Bench(), Bench()
    await told(reference, await story(reference))
    order = await story(bench)
    bench.stream.deaf = True
    await told(bench, order)
    assert outcome(bench) == outcome(reference)


async def cut(bench, order, at):
    """Deliver a command to a process that ends before that write, and see what another finds."""
    bench.kube.end(at)
    ports = bench.ports()
    with pytest.raises(Ended):
        await carry_out(ports, order, Application(STORAGE, ports, order))


async def late(bench):
    bench.now = NOW + timedelta(days=1)


async def overtaken(bench):
    other(bench, **AWS)


@pytest.mark.parametrize("meanwhile", [late, overtaken])
async def test_no_secret_is_left_where_the_next_process_does_not_make_the_location_any_more(meanwhile):
    bench = Bench()
    order = apply_command("op1", AWS, credential=await credential(bench))
    await cut(bench, order, 1)
    assert bench.kube.names(SECRETS) == ["leeward-bsl-offsite-op1", HOLDER]
    await meanwhile(bench)
    assert await told(bench, order) == ["rejected"]
    assert bench.kube.names(SECRETS) == [HOLDER]


async def test_what_cannot_be_undone_just_now_is_undone_before_it_is_told():
    bench = Bench()
    order = apply_command("op1", AWS, credential=await credential(bench))
    bench.kube.refuses |= {("create", LOCATIONS.plural): InvalidError("no"), ("delete", SECRETS.plural): GoneError("not now")}
    assert await told(bench, order) == []
    del bench.kube.refuses["delete", SECRETS.plural]
    assert await told(bench, order) == ["rejected"]
    assert bench.kube.names(SECRETS) == [HOLDER]


@pytest.mark.parametrize("story", [making, changing])
async def test_at_no_time_is_there_no_default_or_a_location_without_its_credential(story):
    reference = Bench()
    order = await story(reference)
    arranged = len(reference.kube.writes)
    await told(reference, order)
    for number in range(len(reference.kube.writes) - arranged):
        bench = Bench()
        order = await story(bench)
        await cut(bench, order, number)
        assert defaults(bench)
        for name in bench.kube.names(LOCATIONS):
            held = bench.kube.find(LOCATIONS, name)["spec"].get("credential")
            assert held is None or secret(bench, held["name"]) in {"former", "secret text"}
        await late(bench)
        done = number > 1  # the Secret, the location
        assert await told(bench, order) == (["accepted"] if done else ["rejected"])
        assert len(defaults(bench)) == 1
        assert secret(bench) == ("secret text" if done else None)
