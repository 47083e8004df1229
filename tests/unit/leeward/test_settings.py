"""Where the command looks for Leeward, in which order, and what it never does with a token."""

import json
import os
from pathlib import Path

import pytest

from leeward.errors import CliError, Exit
from leeward.settings import Given, find

LOCAL = "http://127.0.0.1:8080"


@pytest.fixture
def folder(tmp_path):
    """A folder two levels below the one that `leeward up` was run in."""
    home = tmp_path / ".leeward"
    (home / "secrets").mkdir(parents=True)
    (home / "secrets" / "token").write_text("lwt_local\n")
    (home / "client.json").write_text(json.dumps({"url": LOCAL, "tokenFile": "secrets/token"}))
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    return below


def found(folder, environment=None, **given):
    return find(Given(**given), environment or {}, folder)


def test_the_file_of_a_folder_above_is_found_and_its_paths_count_from_where_it_lies(folder):
    connection = found(folder)
    assert (connection.url, connection.token.value) == (LOCAL, "lwt_local")
    assert connection.source.endswith(".leeward/client.json")


def test_an_option_comes_before_the_environment_and_that_before_the_file(folder):
    environment = {"LEEWARD_URL": "http://two:2", "LEEWARD_TOKEN": "lwt_env"}
    assert found(folder, environment).url == "http://two:2"
    assert found(folder, environment, url="http://one:1").url == "http://one:1"
    assert found(folder, environment, url="http://one:1").token.value == "lwt_env"


def test_the_first_token_counts(folder, tmp_path):
    (tmp_path / "mine").write_text("lwt_option")
    (tmp_path / "env").write_text("lwt_env_file")
    both = {"LEEWARD_TOKEN": "lwt_env", "LEEWARD_TOKEN_FILE": str(tmp_path / "env")}
    assert found(folder, both, token_file=tmp_path / "mine").token.value == "lwt_option"
    assert found(folder, both).token.value == "lwt_env"
    assert found(folder, {"LEEWARD_TOKEN_FILE": str(tmp_path / "env")}).token.value == "lwt_env_file"


def test_the_token_of_the_file_goes_to_no_other_address(folder):
    assert found(folder, url="http://elsewhere:8080").token is None
    assert found(folder, {"LEEWARD_URL": "http://elsewhere:8080"}).token is None
    assert found(folder, url=f"{LOCAL}/api/v1/").token.value == "lwt_local"


def test_a_home_that_is_named_is_the_only_one_looked_at(folder, tmp_path):
    home = tmp_path / "other"
    home.mkdir()
    (home / "client.json").write_text(json.dumps({"url": "http://other:1"}))
    assert found(folder, {"LEEWARD_HOME": str(home)}).url == "http://other:1"
    with pytest.raises(CliError, match="no Leeward to talk to"):
        found(folder, {"LEEWARD_HOME": str(tmp_path / "nowhere")})


def test_nowhere_to_go_says_what_to_do(tmp_path):
    with pytest.raises(CliError) as error:
        found(tmp_path)
    assert error.value.exit_code is Exit.USAGE
    assert "make up" in error.value.hints[0]
    assert "LEEWARD_URL" in error.value.hints[0]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"url": 5}', '{"url": "ftp://x"}', '{"url": "http://x", "tokenFile": 5}'])
def test_a_broken_file_is_named_and_stands_in_nobodys_way_who_needs_none_of_it(folder, text):
    path = folder.parent.parent / ".leeward" / "client.json"
    path.write_text(text)
    with pytest.raises(CliError, match=r"client\.json"):
        found(folder)
    assert found(folder, url="http://one:1").url == "http://one:1"


def test_a_file_of_another_user_is_not_believed(folder, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    real = Path.stat

    def of_somebody(self, **how):
        facts = list(real(self, **how))
        facts[4] = 4712
        return os.stat_result(facts)

    monkeypatch.setattr(Path, "stat", of_somebody)
    with pytest.raises(CliError, match="belongs to another user"):
        found(folder)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://leeward.example/", "https://leeward.example"),
        ("https://host/behind/a/proxy/api/v1/", "https://host/behind/a/proxy"),
        (" http://[::1]:8080 ", "http://[::1]:8080"),
    ],
)
def test_addresses_are_taken_as_people_copy_them(tmp_path, url, base):
    assert found(tmp_path, url=url).url == base


@pytest.mark.parametrize(
    "url", ["localhost:8080", "//x", "http://", "http://x:99999", "http://x:0", "http://x?a=b", "http://[1"]
)
def test_what_is_no_address_is_told_by_its_source(tmp_path, url):
    with pytest.raises(CliError, match="LEEWARD_URL") as error:
        found(tmp_path, {"LEEWARD_URL": url})
    assert error.value.exit_code is Exit.USAGE


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path):
    with pytest.raises(CliError) as error:
        found(tmp_path, url="https://anna:hunter2@host")
    assert "hunter2" not in error.value.words


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe", b"new\nline"])
def test_what_is_no_token_is_told_by_its_source_and_not_repeated(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(CliError, match="token") as error:
        found(tmp_path, url=LOCAL, token_file=tmp_path / "token")
    assert "words" not in error.value.words.replace("one word", "")


def test_a_token_is_never_shown(folder):
    assert "lwt_local" not in repr(found(folder))
