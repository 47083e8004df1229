import os
import tempfile

import pytest

from leeward.errors import Exit
from leeward.stack import programs
from leeward.stack.process import StartError
from leeward.stack.telling import tell
from leeward.story import CHAPTERS


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_demonstration_that_fails_says_what_and_where_the_logs_are(tmp_path, monkeypatch, capsys):
    def missing(name, _package):
        raise StartError(f"{name} is missing")

    monkeypatch.setattr(programs, "_tool", missing)
    assert tell(CHAPTERS) == Exit.FAILED
    (left,) = tmp_path.iterdir()
    said = capsys.readouterr().out
    assert "The demo failed: nats-server is missing" in said or "The demo failed: secantusd-py is missing" in said
    assert f"Logs are in {left}/logs" in said
