"""`leeward demo`, the first thing that a newcomer sees: it works, and leaves nothing behind."""

import os
import subprocess
import sys

import pytest

from leeward.story import CHAPTERS, Command
from tests.support.stack import processes_in


@pytest.mark.timeout(330)
def test_the_story_is_told_to_its_end_and_nothing_is_left(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "LEEWARD_URL": "http://127.0.0.1:9", "LEEWARD_TOKEN": "of-another"}
    told = subprocess.run(
        [sys.executable, "-P", "-m", "leeward", "demo"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    for chapter in CHAPTERS:
        assert chapter.title in told.stdout
        assert all(f"$ leeward {scene.line}\n" in told.stdout for scene in chapter.scenes if isinstance(scene, Command))
    for name, said in (("shop", "Triggered"), ("carts", "Skipped"), ("vault", "LocationUnknown")):
        ticks = told.stdout.partition(f"$ leeward schedule ticks {name}\n")[2].partition("\n\n")[0].splitlines()
        assert any(said in tick for tick in ticks[1:]), ticks  # on a slow machine another minute may have come
    scheduled = told.stdout.partition("$ leeward schedule list")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in scheduled.splitlines()[1:]][-3:] == ["carts", "shop", "vault"]
    assert "FailedValidation" not in scheduled  # it was mended
    listed = told.stdout.rpartition("$ leeward backup list")[2]
    rows = {tuple(line.split()[:4]) for line in listed.splitlines()}
    assert {
        ("shop-before-upgrade", "eu1", "anna", "Completed"),
        ("warehouse-weekly", "us1", "anna", "Completed"),
        ("carts-weekly-2", "us1", "anna", "Completed"),
        ("payments-month-end", "eu1", "anna", "Completed"),
    } <= rows
    assert "shop-again" not in listed
    assert ("carts-weekly", "us1") not in {row[:2] for row in rows}
    assert "backup carts-weekly of cluster us1 is deleted\n" in told.stdout
    assert "an item could not be handled" in told.stdout.partition("backup results")[2].partition("backup create")[0]
    restored = told.stdout.partition("$ leeward restore list\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert {tuple(line.split()[:4]) for line in restored} == {
        ("shop-of-eu1", "us1", "shop-before-upgrade", "(eu1)"),
        ("analytics", "eu1", "warehouse-weekly", "(us1)"),
    }
    assert all("Completed" in line for line in restored)
    assert "\n  checkout\n" in told.stdout.partition("$ leeward restore preflight")[2]
    left = told.stdout.partition("$ leeward location list --cluster eu1\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert [line.split()[0] for line in left] == ["default"]  # the mirror is gone
    assert list(tmp_path.iterdir()) == []
    assert not [command for command in processes_in(tmp_path).values() if command]
