import errno
import json
import os

import pytest

from services.gateway.__main__ import command, make_token
from services.gateway.auth import Principal, Role, Tokens, TokensFileError, add_token, hash_of, read_entries
from services.gateway.settings import GatewayHttp, Settings
from services.gateway.web.edge import is_loopback_host
from shared.runtime.health import Dependency


def rewrite(path, entries):
    before = path.stat().st_mtime_ns
    path.write_text(json.dumps(entries) if not isinstance(entries, str) else entries)
    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


def test_a_token_is_shown_once_and_only_its_hash_is_kept(tmp_path, capsys):
    path = tmp_path / "tokens.json"
    assert make_token(["anna", "--role", "operator", "--file", str(path)]) == 0
    token = capsys.readouterr().out.strip()
    assert token not in path.read_text()
    assert json.loads(path.read_text()) == [{"name": "anna", "role": "operator", "hash": hash_of(token)}]
    assert path.stat().st_mode & 0o077 == 0
    assert Tokens(path).principal(token) == Principal("anna", Role.OPERATOR)


def test_a_second_token_for_a_name_is_refused_unless_it_replaces_the_first(tmp_path, capsys):
    path = tmp_path / "tokens.json"
    first = add_token(path, "anna", Role.VIEWER)
    assert make_token(["anna", "--role", "admin", "--file", str(path)]) == 1
    assert "anna has a token already" in capsys.readouterr().err
    second = add_token(path, "anna", Role.ADMIN, replace=True)
    tokens = Tokens(path)
    assert (tokens.principal(first), tokens.principal(second)) == (None, Principal("anna", Role.ADMIN))


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "-a", "ä", "a" * 129])
def test_a_name_that_cannot_stand_in_a_command_is_refused(tmp_path, name):
    with pytest.raises(TokensFileError):
        add_token(tmp_path / "tokens.json", name, Role.VIEWER)


def test_nobodys_token_is_nobodys(tmp_path):
    path = tmp_path / "tokens.json"
    token = add_token(path, "anna", Role.VIEWER)
    tokens = Tokens(path)
    assert [tokens.principal(t) for t in ("", token[:-1], token + "x", hash_of(token), "ä\udc80")] == [None] * 5


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "tokens.json"
    anna = add_token(path, "anna", Role.VIEWER)
    tokens = Tokens(path)
    eve = add_token(path, "eve", Role.ADMIN)
    assert tokens.principal(eve) == Principal("eve", Role.ADMIN)
    rewrite(path, [{"name": "eve", "role": "viewer", "hash": hash_of(eve)}])
    assert (tokens.principal(anna), tokens.principal(eve)) == (None, Principal("eve", Role.VIEWER))


@pytest.mark.parametrize("broken", ["", "[", "{}", '[{"name": "x"}]'])
def test_a_change_that_cannot_be_read_leaves_the_last_good_tokens_in_force(tmp_path, broken):
    path = tmp_path / "tokens.json"
    token = add_token(path, "anna", Role.VIEWER)
    tokens = Tokens(path)
    rewrite(path, broken)
    assert tokens.principal(token)
    path.unlink()
    assert tokens.principal(token)


def test_a_revoked_token_is_refused_as_soon_as_the_file_can_be_read_again(tmp_path, monkeypatch):
    path, dependency = tmp_path / "tokens.json", Dependency("tokens")
    token = add_token(path, "anna", Role.VIEWER)
    tokens = Tokens(path, dependency)
    assert dependency.problem is None
    rewrite(path, [])
    with monkeypatch.context() as patch:

        def too_many(_self):
            raise OSError(errno.EMFILE, "Too many open files")

        patch.setattr("pathlib.Path.read_bytes", too_many)
        assert tokens.principal(token)
        assert "Too many open files" in dependency.problem
    assert tokens.principal(token) is None
    assert dependency.problem is None


def test_a_file_that_is_broken_or_gone_is_a_problem_until_it_is_good_again(tmp_path):
    path, dependency = tmp_path / "tokens.json", Dependency("tokens")
    token = add_token(path, "anna", Role.VIEWER)
    tokens, good = Tokens(path, dependency), path.read_text()
    for spoil in (lambda: rewrite(path, "["), path.unlink):
        spoil()
        tokens.refresh()
        tokens.refresh()
        assert str(path) in dependency.problem
        assert tokens.principal(token)
    path.write_text(good)
    tokens.refresh()
    assert dependency.problem is None


def test_a_file_that_cannot_be_read_at_the_start_is_an_error_without_its_contents(tmp_path):
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([{"name": "anna", "role": "viewer", "hash": "plain-text-token"}]))
    with pytest.raises(TokensFileError) as caught:
        read_entries(path)
    assert "plain-text-token" not in str(caught.value)
    assert "hash" in str(caught.value)


def test_each_role_may_do_what_the_one_before_it_may():
    covered = {(a, b) for a in Role for b in Role if a.covers(b)}
    assert covered == {
        ("viewer", "viewer"),
        ("operator", "viewer"),
        ("operator", "operator"),
        ("admin", "viewer"),
        ("admin", "operator"),
        ("admin", "admin"),
    }


@pytest.mark.parametrize(
    ("host", "refused"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("10.1.2.3", True), ("::", True)],
)
def test_without_tokens_only_a_loopback_address_is_bound(tmp_path, host, refused):
    assert (Settings(http=GatewayHttp(host=host)).refusal_to_bind is not None) == refused
    assert Settings(http=GatewayHttp(host=host), tokens_file=tmp_path / "t").refusal_to_bind is None


def test_the_refusal_to_bind_names_the_setting(monkeypatch):
    monkeypatch.setenv("LEEWARD_HTTP__HOST", "0.0.0.0")
    with pytest.raises(SystemExit, match="LEEWARD_TOKENS_FILE"):
        command([])


def test_a_missing_tokens_file_ends_the_start_with_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("LEEWARD_TOKENS_FILE", str(tmp_path / "missing.json"))
    with pytest.raises(SystemExit, match=r"missing\.json"):
        command([])


def test_the_environment_sets_the_gateway(monkeypatch, tmp_path):
    monkeypatch.setenv("LEEWARD_HTTP__HOST", "::1")
    monkeypatch.setenv("LEEWARD_MONGO__DATABASE", "other")
    monkeypatch.setenv("LEEWARD_EVENTS__HISTORY", "7")
    settings = Settings()
    assert (settings.http.host, settings.http.port, settings.mongo.database, settings.events.history) == (
        "::1",
        8080,
        "other",
        7,
    )


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8080", True),
        ("LocalHost:1", True),
        ("[::1]:8080", True),
        ("evil.example", False),
        ("evil.example:8080", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("", False),
        ("[::1", False),
        ("127.0.0.1@evil.example", False),
    ],
)
def test_only_a_loopback_name_is_this_machine(host, local):
    assert is_loopback_host(host) == local
