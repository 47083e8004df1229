"""The `leeward` command as a process: begun, ended, and what it said."""

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Ended:
    code: int
    out: str
    err: str


@contextlib.asynccontextmanager
async def begun(folder, *words, stdin=None, **environment):
    own = {k: v for k, v in os.environ.items() if not k.startswith("LEEWARD_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "leeward", *words),
        cwd=folder,
        env={**own, "PYTHONPATH": str(Path.cwd()), "TZ": "UTC", **environment},
        stdin=stdin if isinstance(stdin, int) else asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def leeward(folder, *words, stdin=None, **environment):
    async with begun(folder, *words, stdin=stdin, **environment) as process:
        out, err = await process.communicate(stdin.encode() if stdin is not None else None)
    assert b"Traceback" not in err, err.decode()
    return Ended(process.returncode, out.decode(), err.decode())
