"""What `leeward demo` tells: chapters of words and of commands as a person would type them. Another one is one more entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leeward.errors import Exit


@dataclass(frozen=True, slots=True)
class Command:
    """`leeward …`, and how it must end; any other end is a failure of the demonstration."""

    line: str
    ends: Exit = Exit.OK


@dataclass(frozen=True, slots=True)
class Order:
    """Something that happens to a simulated cluster; `words` say it."""

    words: str
    fault: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Slot:
    """The first slot of schedules comes, and what it asks for is done; so does one to be left out. `words` say it."""

    words: str
    schedules: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A title, what it is about, and what happens."""

    title: str
    words: str
    scenes: Sequence[Command | Order | Slot]


CHAPTERS: Sequence[Chapter] = (
    Chapter(
        "What there is",
        "Two Kubernetes clusters, each with a Velero that makes the backups. They are simulated; everything else is real.",
        (Command("cluster list"), Command("cluster namespaces eu1")),
    ),
    Chapter(
        "What shall run by itself",
        "Three schedules, each at every full minute, so that you see them run; usually it is a line like the first one. One "
        "leaves out its next time, because somebody said so. One wants a storage location that is not there: it is kept, and "
        "says what is wrong.",
        (
            Command('schedule preview "30 2 * * 1-5" --timezone Europe/Berlin --count 2'),
            Command('schedule create shop --cluster eu1 --cron "* * * * *" --namespace shop --ttl 24h'),
            Command('schedule create carts --cluster us1 --cron "* * * * *" --namespace cart --ttl 24h'),
            Command("schedule skip carts"),
            Command('schedule create vault --cluster us1 --cron "* * * * *" --production --storage-location vault'),
        ),
    ),
    Chapter(
        "A backup in each cluster",
        "Before an upgrade the shop is backed up. One request, carried to the right cluster; its status is what that shows.",
        (
            Command("backup create shop-before-upgrade --cluster eu1 --namespace shop,cart,payments --label team=shop --wait"),
            Command(
                "backup create warehouse-weekly --cluster us1 --namespace analytics --ttl 168h "
                "--default-volumes-to-fs-backup --wait"
            ),
            Command("backup create everything-that-earns --cluster eu1 --production --preview"),
        ),
    ),
    Chapter(
        "Mistakes",
        "A request that cannot be right is refused in words, before or by the cluster. Nothing is made.",
        (
            Command("backup create shop-again --cluster eu2 --namespace shop", Exit.NOT_FOUND),
            Command("backup create shop-again --cluster eu1 --namespace shop,chekout", Exit.FAILED),
            Command("backup create shop-before-upgrade --cluster eu1 --namespace shop", Exit.FAILED),
        ),
    ),
    Chapter(
        "A failure",
        "A backup that lacks something is no good backup, and says so; scripts see it by the exit code.",
        (
            Order(
                "something in us1 cannot be read while it is backed up",
                {"cluster": "us1", "fault": "partial-failure", "name": "carts-weekly"},
            ),
            Command("backup create carts-weekly --cluster us1 --namespace shop,cart --wait", Exit.PARTIALLY_FAILED),
        ),
    ),
    Chapter(
        "Why, and what then",
        "What Velero wrote is read through the cluster. The next try is whole, so the first one can go, with all of its data.",
        (
            Command("backup results carts-weekly --cluster us1"),
            Command("backup logs carts-weekly --cluster us1 --tail 2"),
            Command("backup create carts-weekly-2 --cluster us1 --namespace shop,cart --wait"),
            Command("backup delete carts-weekly --cluster us1 --confirm --wait"),
        ),
    ),
    Chapter(
        "A cluster that is away",
        "What is asked for meanwhile is kept, and done once it is back.",
        (
            Order("the API server of eu1 goes down", {"cluster": "eu1", "fault": "api-down"}),
            Command("backup create payments-month-end --cluster eu1 --namespace payments"),
            Order("the API server of eu1 comes back", {"cluster": "eu1", "fault": "api-up"}),
            Command("backup wait payments-month-end --cluster eu1 --timeout 1m"),
        ),
    ),
    Chapter(
        "Back again, elsewhere",
        "The shop of eu1 is brought into us1, beside the one that runs there: under another name. What stands against a "
        "restore is said before. us1 has a storage location that reaches the backup, so that is used.",
        (
            Command("restore preflight --backup shop-before-upgrade --namespace checkout", Exit.FAILED),
            Command("restore preflight --backup shop-before-upgrade --cluster us1 --namespace shop --map shop=shop-of-eu1"),
            Command(
                "restore create shop-of-eu1 --backup shop-before-upgrade --cluster us1 --namespace shop --map shop=shop-of-eu1 "
                "--wait"
            ),
        ),
    ),
    Chapter(
        "Through a mirror",
        "eu1 has no way to the backups of us1. It gets one, read-only, until the restore has ended; nothing of that stays.",
        (
            Command("restore create analytics --backup warehouse-weekly --cluster eu1 --wait"),
            Command("restore list"),
            Command("location list --cluster eu1"),
        ),
    ),
    Chapter(
        "What became of each time",
        "Nothing is left out without a word: every slot of every schedule says what was decided, and what came of it.",
        (
            Slot("the next full minute comes", ("shop", "carts", "vault")),
            Command("schedule ticks shop"),
            Command("schedule ticks carts"),
            Command("schedule ticks vault"),
            Command("schedule edit vault --storage-location default"),
            Command("schedule list --managed-by leeward"),
        ),
    ),
    Chapter(
        "The whole fleet in one list",
        "Also what was made past Leeward, and copies: us1 may read the bucket of eu1, so it shows the backups in there, too.",
        (Command("backup list"),),
    ),
)
