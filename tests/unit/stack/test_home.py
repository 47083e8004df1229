import os
import subprocess
import sys

import pytest

from leeward.stack.home import BusyError, Home, LeftoversError, write


def test_what_is_secret_is_made_once_and_read_by_its_owner_only(tmp_path):
    home = Home.at(tmp_path / "data")
    secret = home.secret("gateway/leeward_nats__password")
    assert len(secret) >= 32
    assert Home.at(tmp_path / "data").secret("gateway/leeward_nats__password") == secret
    assert home.secret("status/leeward_nats__password") != secret
    for path in (home.root, *home.secrets.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_secret_that_was_lost_with_the_power_is_made_anew(tmp_path):
    home = Home.at(tmp_path / "data")
    lost = home.secrets / "gateway" / "leeward_nats__password"
    write(lost, "\n")
    assert home.secret("gateway/leeward_nats__password") == lost.read_text() != ""


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write(tmp_path / "taken", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_git_does_not_see_a_directory_that_was_made_and_one_that_was_there_is_left_as_it_is(tmp_path):
    assert (Home.at(tmp_path / "new").root / ".gitignore").read_text() == "*\n"
    (tmp_path / "mine").mkdir()
    assert not (Home.at(tmp_path / "mine").root / ".gitignore").exists()


def test_only_one_may_hold_it_and_it_says_who_does(tmp_path):
    home = Home.at(tmp_path)
    with home.held(), pytest.raises(BusyError, match=f"process {os.getpid()}"), home.held():
        pass
    with home.held():
        pass


def test_it_stays_held_until_the_last_process_that_works_in_it_has_ended(tmp_path):
    home = Home.at(tmp_path)
    with home.held() as lock:
        worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    with pytest.raises(LeftoversError, match="fuser -k"), home.held():
        pass
    worker.communicate(b"\n")
    with home.held():
        pass


def test_the_end_of_a_log_is_read_and_the_log_of_the_last_run_is_put_aside(tmp_path):
    home = Home.at(tmp_path)
    home.begin_log("status").write_text("".join(f"line {n}\n" for n in range(10_000)))
    assert home.last_lines("status", 2) == ["line 9998", "line 9999"]
    home.begin_log("status")
    assert home.last_lines("status", 2) == []
    assert (home.logs / "status.log.1").exists()


def test_what_was_kept_and_cannot_be_read_is_as_if_it_were_not_there(tmp_path):
    home = Home.at(tmp_path)
    assert home.read_json("ports.json") is None
    (home.root / "ports.json").write_text("{")
    assert home.read_json("ports.json") is None
    home.write_json("ports.json", {"gateway": 8080})
    assert home.read_json("ports.json") == {"gateway": 8080}
