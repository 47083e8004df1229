"""Reading what lies in the storage beside a backup: its log, its results, what it holds, and all of it as a file."""

import codecs
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from leeward import downloading, words
from leeward.arguments import InCluster, NameOrId, Patience, duration, within
from leeward.errors import CliError, Exit
from leeward.finding import backup as find_backup
from leeward.finding import path
from leeward.nouns import BACKUP, Noun
from leeward.output import Format, Output
from leeward.session import Session

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    import httpx2

Tail = Annotated[int | None, typer.Option("--tail", metavar="N", min=1, help="Only the last N lines.")]
_TEXT, _JSON = "text/plain", "application/json"


async def logs(
    session: Session,
    backup: NameOrId,
    *,
    cluster: InCluster = None,
    tail: Tail = None,
    timeout: Patience = None,
) -> None:
    """Print Velero's log of a backup.

    It is there once the backup has ended, and stays when the backup has gone (its first 5 MiB).
    """
    async with within(duration(timeout)):
        await print_log(session, address(BACKUP, await find_backup(session.client, backup, cluster)), tail)


def address(noun: Noun, found: Mapping[str, Any]) -> str:
    """Return the address of a backup or a restore, below which lies what Velero wrote."""
    return path(noun.things, str(found["id"]))


async def print_log(session: Session, of: str, tail: int | None) -> None:
    """Print the log of what has this address."""
    async with session.client.stream(f"{of}/logs", _TEXT, {"tail": tail}) as response:
        _say_copy(session, response)
        with _Lines(session.output) as lines:
            async for line in _lines(response.aiter_bytes()):
                lines.write(line)


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Return the lines of a text, whatever the pieces that it comes in."""
    decoder, begun = codecs.getincrementaldecoder("utf-8")("replace"), ""
    async for piece in pieces:
        *whole, begun = (begun + decoder.decode(piece)).split("\n")
        for line in whole:
            yield line
    if begun := begun + decoder.decode(b"", final=True):
        yield begun


class _Lines:
    """Prints lines as they come, to programs as a list of texts, which is closed only if they came to their end."""

    def __init__(self, output: Output) -> None:
        self._write, self._format, self._count = output.stdout.file.write, output.format, 0

    def __enter__(self) -> Self:
        return self

    def write(self, line: str) -> None:
        """Print one."""
        match self._format:
            case Format.TABLE:
                self._write(words.safe(line) + "\n")
            case Format.JSON:
                self._write(("," if self._count else "[") + f"\n  {json.dumps(line)}")
            case Format.YAML:
                self._write(f"- {json.dumps(line)}\n")
        self._count += 1

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._format is Format.JSON:
            self._write("\n]\n" if self._count else "[]\n")
        if kind is None and self._format is Format.YAML and not self._count:
            self._write("[]\n")


async def results(session: Session, backup: NameOrId, *, cluster: InCluster = None) -> None:
    """Show the errors and warnings of a backup."""
    await print_results(session, address(BACKUP, await find_backup(session.client, backup, cluster)))


async def print_results(session: Session, of: str) -> None:
    """Print the errors and warnings of what has this address."""
    answer = await _json(session, of, "results")
    if not session.output.table:
        session.output.data(answer)
        return
    for number, title in enumerate(("Errors", "Warnings")):
        told = list(_told(answer.get(title.lower()) or {}))
        session.output.line(("\n" if number else "") + (f"{title}:" if told else f"{title}: none"))
        for line in told:
            session.output.line(f"  {line}")


def _told(result: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines of errors or warnings: Velero's own, those outside of namespaces, those of each namespace."""
    places = {"Velero": result.get("velero"), "Cluster": result.get("cluster")}
    places |= {f"Namespace {name}": told for name, told in sorted((result.get("namespaces") or {}).items())}
    for place, told in places.items():
        if told:
            yield f"{place}:"
            yield from (f"  {line}" for text in told for line in str(text).strip().splitlines())


async def resources(session: Session, backup: NameOrId, *, cluster: InCluster = None) -> None:
    """List the objects that a backup holds, by kind."""
    found = await find_backup(session.client, backup, cluster)
    await print_resources(session, address(BACKUP, found), "the backup holds no objects")


async def print_resources(session: Session, of: str, none: str) -> None:
    """Print the objects of what has this address, by kind; `none` is said if there are none."""
    answer = await _json(session, of, "resources")
    if not session.output.table:
        session.output.data(answer)
        return
    for line in _held(answer):
        session.output.line(line)
    if not answer:
        session.output.say(none)


async def describe_resources(session: Session, of: str) -> None:
    """Print the objects of something below its description; that they cannot be had is said, and no reason to fail."""
    try:
        session.output.section("Resource List", list(_held(await _json(session, of, "resources"))))
    except CliError as error:
        session.output.section("Resource List", [f"not to be had: {error.words}"])


async def _json(session: Session, of: str, what: str) -> dict[str, Any]:
    """Return what Velero wrote as JSON; it writes null for nothing.

    Raises CliError.
    """
    async with session.client.stream(f"{of}/{what}", _JSON) as response:
        _say_copy(session, response)
        text = await response.aread()
    try:
        answer = json.loads(text)
    except ValueError:
        raise session.client.stranger(f"{what} that are not JSON") from None
    return answer if isinstance(answer, dict) else {}


def _say_copy(session: Session, response: "httpx2.Response") -> None:
    """Say so when the cluster was not asked, or could not answer."""
    if response.headers.get("leeward-source") == "copy":
        session.output.say("the cluster cannot give it now: this is the copy that was kept when the backup ended")


def _held(answer: Mapping[str, Any]) -> Iterator[str]:
    for kind, names in sorted(answer.items()):
        yield f"{kind}: {words.number(len(names))}"
        yield from (f"  - {name}" for name in names)


async def download(
    session: Session,
    backup: NameOrId,
    *,
    cluster: InCluster = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file, or a folder [here: NAME-data.tar.gz].")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
    timeout: Patience = None,
) -> None:
    """Download what a backup holds, as a file.

    A download that broke off goes on with the same command. Until it is whole it lies beside, as FILE.part.
    """
    patience = duration(timeout)
    if str(output) == "-":
        raise CliError("--output: a download goes into a file, so that it can go on when it breaks", Exit.USAGE)
    found = await find_backup(session.client, backup, cluster)
    target = downloading.place(str(found["name"]), output)
    if target.exists() and not force:
        raise CliError(f"there is a file {target} already: nothing was downloaded", hints=["--force replaces it"])
    async with within(patience):
        size = await downloading.download(session.client, session.output, path("backups", found["id"], "contents"), target)
    session.output.line(f"{target}: {words.size(size)}")
