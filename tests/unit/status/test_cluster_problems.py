"""What is wrong with a cluster and only shows when it is compared: two executors, a clock, two that write into one place."""

import random
from datetime import timedelta
from itertools import permutations

import pytest

from services.status.judging import Judge
from services.status.sweeper import sweep
from shared.contracts.documents import from_document
from shared.contracts.events import Problem, SealingKey
from shared.contracts.names import Noun
from shared.contracts.views import ClusterItem
from tests.support.messages import NOW
from tests.support.status_memory import Desk
from tests.support.status_messages import inventory, location, observed, presence
from tests.support.status_views import hear, judged

SHARED = {"annotations": {"leeward.dev/shared-bucket": "true"}}


@pytest.fixture
def desk():
    return Desk()


def cluster(desk, name="eu1"):
    return ClusterItem.read(from_document(desk.memory.rows[Noun.CLUSTER, name]["item"]))


def problems(desk, name="eu1"):
    return [problem.code for problem in cluster(desk, name).problems]


def later(seconds):
    return NOW + timedelta(seconds=seconds)


def told(seconds, instance, uid):
    return presence(later(seconds), instance=instance, cluster_uid=uid)


# ---------------------------------------------------------------- two executors


async def test_two_executors_that_see_different_clusters_are_a_problem_until_one_is_silent(desk):
    await hear(desk, told(0, "a", "k1"), told(1, "b", "k2"))
    (problem,) = cluster(desk).problems
    assert problem.code == "TwoClusters"
    assert "a (kube-system k1), b (kube-system k2)" in problem.message
    await hear(desk, told(60, "a", "k1"))
    desk.now = later(91)
    await sweep(desk.ports)
    assert problems(desk) == ["TwoClusters"]
    desk.now = later(91.002)
    await sweep(desk.ports)
    assert problems(desk) == []


@pytest.mark.parametrize(
    "messages",
    [
        [told(0, "a", "k1"), told(1, "b", "k1")],
        [told(0, "a", "k1"), told(1, "b", None)],
        [told(0, "a", "k1"), told(1, "a", "k2")],
        [told(0, "a", "k1"), told(100, "b", "k2")],
    ],
)
async def test_two_of_one_cluster_and_one_that_was_moved_are_no_problem(desk, messages):
    await hear(desk, *messages[:1])
    desk.now = messages[-1][2].time
    await hear(desk, *messages[1:])
    assert problems(desk) == []


async def test_whoever_was_heard_of_late_is_known_in_whatever_order():
    async def ending(messages):
        desk = Desk(now=later(700))
        await hear(desk, *messages)
        return desk.memory.rows[Noun.CLUSTER, "eu1"]["voices"], desk.memory.rows[Noun.CLUSTER, "eu1"]["skews"]

    messages = [told(n * 10, f"i{n % 25}", f"k{n % 3}") for n in range(70)]
    mixed = random.Random(7).sample(messages, len(messages)) + messages[:20]
    assert await ending(mixed) == await ending(messages)


# ---------------------------------------------------------------- its clock


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        ([45, 46], "45 s ahead of"),
        ([-120, -31], "31 s behind"),
        ([30, 45], None),
        ([45], None),
        ([-120, 0], None),
        ([-120, 120], None),
    ],
)
async def test_a_clock_that_is_wrong_twice_is_a_problem(ahead, words):
    """What a broken connection held back is as late once as if a clock had sent it."""
    messages = [(*presence(later(10 * n + off)), later(10 * n)) for n, off in enumerate(ahead)]
    for order in permutations(messages):
        desk = Desk(now=later(10))
        await hear(desk, *order)
        assert problems(desk) == (["ClockSkew"] if words else [])
        assert all(words in problem.message for problem in cluster(desk).problems)


async def test_a_clock_that_the_executor_told_of_is_told_once(desk):
    own = {"problems": [Problem(code="ClockSkew", message="of the API server")]}
    await hear(desk, *((*presence(later(10 * n + 60), **own), later(10 * n)) for n in range(2)))
    assert problems(desk) == ["ClockSkew"]


# ---------------------------------------------------------------- two that write into one place


def place(where="eu1", rv=5, **more):
    return observed(location("l1", rv, **more), noun="location", cluster=where)


def twice(rv, **more):
    return observed(location("other", rv, name="offsite", **more), noun="location")


async def shown(desk, judge):
    """Let the judge look, also at what it has just been told of."""
    await judged(desk, judge)
    return problems(desk), problems(desk, "us1")


async def test_two_clusters_that_write_into_one_place_are_a_problem_of_both_until_one_does_not(desk):
    judge = Judge()
    await hear(desk, presence(), presence(cluster="us1"), place(), place("us1", name="offsite"))
    assert await shown(desk, judge) == (["SharedBucket"], ["SharedBucket"])
    ours, theirs = cluster(desk).problems[0], cluster(desk, "us1").problems[0]
    assert (ours.object, theirs.object) == ("default", "offsite")
    assert "of cluster eu1 and offsite of cluster us1 both write into bucket b, prefix p" in ours.message
    assert "default of cluster eu1 both write" in theirs.message
    await hear(desk, place("us1", 6, name="offsite", mode="ReadOnly"))
    assert await shown(desk, judge) == ([], [])
    await hear(desk, place("us1", 7, name="offsite"))
    assert await shown(desk, judge) == (["SharedBucket"], ["SharedBucket"])
    await hear(desk, place("us1", 8, name="offsite", bucket="another"))
    assert await shown(desk, judge) == ([], [])
    await hear(desk, place("us1", 9, name="offsite"), place("us1", 10, name="offsite", deleted=True))
    assert await shown(desk, judge) == ([], [])


def azure(message, account):
    """The same location, in this storage account."""
    message[2].data.object["spec"] |= {"provider": "azure", "config": {"storageAccount": account}}
    return message


async def test_containers_of_one_name_in_two_storage_accounts_are_two_places(desk):
    judge = Judge()
    await hear(desk, presence(), presence(cluster="us1"), azure(place(), "a"), azure(place("us1"), "b"))
    assert await shown(desk, judge) == ([], [])
    await hear(desk, azure(place("us1", 6), "a"))
    assert await shown(desk, judge) == (["SharedBucket"], ["SharedBucket"])


@pytest.mark.parametrize("marked", ["eu1", "us1"])
async def test_what_a_person_has_said_is_another_storage_is_no_problem(desk, marked):
    marks = {name: SHARED if name == marked else None for name in ("eu1", "us1")}
    await hear(desk, presence(), presence(cluster="us1"), *(place(name, marks=marks[name]) for name in marks))
    assert await shown(desk, Judge()) == ([], [])


async def test_a_cluster_that_writes_twice_into_one_place_is_told_once(desk):
    await hear(desk, presence(), place(), twice(6))
    assert problems(desk) == ["SharedBucket"]
    await hear(desk, twice(7, deleted=True))
    assert problems(desk) == []


async def test_a_cluster_that_is_no_more_writes_nowhere_but_its_rows_stay(desk):
    await hear(desk, presence(), presence(cluster="us1"), place(), place("us1"))
    desk.memory.registered |= {"eu1", "us1"}
    judge, desk.now = Judge(), later(120)
    await sweep(desk.ports)
    assert await shown(desk, judge) == (["SharedBucket"], ["SharedBucket"])
    desk.memory.registered -= {"us1"}
    await judged(desk, judge)
    assert problems(desk) == []
    assert {(noun, row["cluster"]) for (noun, _), row in desk.memory.rows.items()} == {
        (noun, name) for noun in (Noun.CLUSTER, Noun.LOCATION) for name in ("eu1", "us1")
    }


# ---------------------------------------------------------------- what else is told


async def test_whether_a_node_agent_runs_is_shown_and_the_key_for_credentials_is_kept(desk):
    await hear(desk, inventory(node_agent=True, sealing_key=SealingKey(id="3f2a", key=b"\x01" * 32)))
    assert cluster(desk).velero.node_agent is True
    assert desk.memory.rows[Noun.CLUSTER, "eu1"]["inventory"]["sealingKey"] == {"id": "3f2a", "key": b"\x01" * 32}
    await hear(desk, inventory(later(5)))
    assert cluster(desk).velero.node_agent is None
