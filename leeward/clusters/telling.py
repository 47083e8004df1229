"""What joins a cluster, for people."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from leeward import words
from leeward.finding import path
from leeward.output import Output
from leeward.session import Session

Item = Mapping[str, Any]


async def join(session: Session, name: str, mode: str | None = None) -> None:
    """Print the steps that let an executor work in a cluster: from the hub, or as an agent inside of it."""
    answer = await session.client.get(path("clusters", name, "join"), {"mode": mode.capitalize() if mode else None})
    if session.output.table:
        show(session.output, answer)
    else:
        session.output.data(answer)


def show(output: Output, answer: Item) -> None:
    """Print the steps, each with what is to be written, set and typed, so that it can be copied from here."""
    for number, step in enumerate(answer.get("steps") or [], 1):
        output.line(f"\n{number}. {words.plain(step.get('title'))}")
        if step.get("detail"):
            output.indented([str(step["detail"])])
        for line in _typed(step):
            output.line(f"  {line}")


def _typed(step: Item) -> Iterator[str]:
    for file, text in (step.get("files") or {}).items():
        yield from (f"cat > {shlex.quote(file)} <<'END'", *str(text).splitlines(), "END")
    for variable, value in (step.get("environment") or {}).items():
        yield f"export {variable}={shlex.quote(str(value))}"
    yield from map(str, step.get("commands") or [])
