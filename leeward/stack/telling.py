"""Tells a story on an installation of its own. Every command is really run, with the arguments that a person would type."""

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from leeward import app
from leeward.client import API
from leeward.errors import Exit
from leeward.stack.home import Home
from leeward.stack.installation import Installation, Wanted, installed
from leeward.stack.interruption import Interruption
from leeward.stack.narration import Narrator
from leeward.stack.ports import NoPortError
from leeward.stack.process import StartError, surroundings
from leeward.story import Chapter, Command, Order, Slot
from shared.runtime import clock

PRINCIPAL, SPEED = "anna", 5.0
_PATIENCE = 90.0
"""Seconds for one command, or for a slot."""
_LOOK, _MINUTE = 0.2, 60
_ENDED = {"Completed", "PartiallyFailed", "Failed", "Expired", "Deleted"}


class TaleError(Exception):
    """A command did not end as it must."""


def tell(chapters: Sequence[Chapter]) -> int:
    """Start an installation, tell the story, stop; returns the exit code. What failed is said, and its logs are kept."""
    home = Home.at(Path(tempfile.mkdtemp(prefix="leeward-demo-")))
    # What the shell says of other installations is not meant here; commands find this one by itself.
    for name in os.environ.keys() - surroundings().keys():
        del os.environ[name]
    os.environ["LEEWARD_HOME"] = str(home.root)
    interruption, narrator, began = Interruption(), Narrator(quiet=True), time.monotonic()
    try:
        code = interruption.run(_tell(home, chapters, interruption, narrator))
    except (TaleError, StartError, NoPortError, OSError) as error:
        narrator.say(f"\nThe demo failed: {error}\nLogs are in {home.logs}", "red")
        return Exit.FAILED
    shutil.rmtree(home.root, ignore_errors=True)
    if code is None:
        narrator.say("Stopped; nothing is left.")
        return Exit.INTERRUPTED
    narrator.say(f"That was Leeward, in {time.monotonic() - began:.0f} seconds; everything is stopped and nothing is left.")
    narrator.say("`make up` starts it to stay.")
    return code


async def _tell(home: Home, chapters: Sequence[Chapter], interruption: Interruption, narrator: Narrator) -> int:
    wanted = Wanted(principal=PRINCIPAL, speed=SPEED)
    async with installed(home, wanted, step=narrator.step, tell=narrator.tell) as installation:
        interruption.kill = installation.kill
        interruption.asked = lambda: _hush(narrator)
        with narrator.waiting("Starting NATS, a database, four services and two simulated clusters"):
            await installation.start()
        for number, chapter in enumerate(chapters, 1):
            narrator.say(f"\n{number}. {chapter.title}", "bold")
            narrator.say(chapter.words)
            for scene in chapter.scenes:
                await _play(installation, scene, narrator)
        narrator.say("")
        installation.kill()  # nothing of it is kept, so nothing has to end in peace
    return Exit.OK


def _hush(narrator: Narrator) -> None:
    """Say that it stops; what the command that is left behind has to say about that interests nobody."""
    narrator.say("\nStopping …")
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends


async def _play(installation: Installation, scene: Command | Order | Slot, narrator: Narrator) -> None:
    if isinstance(scene, Order):
        narrator.say(f"\n  ({scene.words})", "italic")
        await _order(installation, scene)
        return
    if isinstance(scene, Slot):
        narrator.say("")
        with narrator.waiting(f"  ({scene.words}, in up to {_MINUTE - clock.now().second} s)"):
            await _come(installation, scene)
        return
    narrator.say(f"\n$ leeward {scene.line}", "cyan")
    try:
        async with asyncio.timeout(_PATIENCE):
            code = await _run(shlex.split(scene.line))
    except TimeoutError:
        raise TaleError(f"`leeward {scene.line}` took longer than {_PATIENCE:.0f} s") from None
    if code != scene.ends:
        raise TaleError(f"`leeward {scene.line}` ended with exit code {code}, not {scene.ends.value}")
    if scene.ends is not Exit.OK:
        narrator.say(f"(exit code {code})", "dim")


async def _run(arguments: list[str]) -> int:
    """Run a command of ours in a thread, which costs a second less than in a process; one that hangs is left behind."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    def work() -> None:
        code = app.run(arguments)
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(end, code)

    threading.Thread(target=work, daemon=True).start()
    return await ended


async def _order(installation: Installation, order: Order) -> None:
    where = json.loads(installation.plan.home.control_file.read_text())
    headers = {"Authorization": f"Bearer {where['token']}"}
    answer = await installation.plan.client.post(where["url"], json=dict(order.fault), headers=headers)
    if answer.is_error:
        raise TaleError(f"the simulator refused {order.fault}: {answer.text}")


async def _come(installation: Installation, slot: Slot) -> None:
    """Wait until the first slot of each schedule was decided, those to leave out too, and the backup it asked for has ended."""
    headers = {"Authorization": f"Bearer {installation.token}"}

    async def ask(path: str, **params: str) -> dict[str, Any]:
        answer = await installation.plan.client.get(f"{installation.url}{API}{path}", params=params, headers=headers)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def over(path: str) -> bool:
        return not (await ask(path))["skipNext"] and _over((await ask(f"{path}/ticks"))["items"])

    try:
        async with asyncio.timeout(_PATIENCE):
            for item in (await ask("/schedules", managedBy="Leeward"))["items"]:
                path = f"/schedules/{item['id']}"
                while item["name"] in slot.schedules and not await over(path):  # noqa: ASYNC110 - others have the answer
                    await asyncio.sleep(_LOOK)
    except (TimeoutError, httpx2.HTTPError) as error:
        raise TaleError(f"no slot came of {', '.join(slot.schedules)}: {type(error).__name__}") from error


def _over(ticks: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the first slot has come, and nothing of it goes on."""
    first = ticks[-1] if ticks else None
    return first is not None and (
        first["decision"] != "Triggered" or bool(first["refusal"]) or (first["backup"] or {}).get("status") in _ENDED
    )
