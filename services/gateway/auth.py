"""Who is asking: bearer tokens from a file of hashes, each with a name and a role."""

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.runtime import logging
from shared.runtime.health import Dependency

log = structlog.get_logger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class Role(StrEnum):
    """What a token may do: each role may do what the one before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Tell whether this role may do what the other one may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. The name stands in every command."""

    name: str
    role: Role


ANONYMOUS = Principal("anonymous", Role.ADMIN)
"""Everybody, while there is no tokens file and only this machine can connect."""


def _matching(pattern: re.Pattern[str], words: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(words)
        return value

    return AfterValidator(check)


class TokenEntry(BaseModel):
    """One line of the tokens file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, _matching(_NAME, "a name has 1 to 128 letters, digits and . _ @ + -")]
    role: Role
    hash: Annotated[str, _matching(_HASH, "a hash is sha256: and 64 hexadecimal digits")]


class TokensFileError(Exception):
    """The tokens file cannot be used; the words say why, without what is in it."""


class BrokenTokensFileError(TokensFileError):
    """The tokens file can be read, but is not a list of entries: reading it again would change nothing."""


_ENTRIES = TypeAdapter(list[TokenEntry])


def hash_of(token: str) -> str:
    """Return what is stored of a token. Tokens are random and long, so a plain hash cannot be guessed backwards."""
    return "sha256:" + hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def read_entries(path: Path) -> list[TokenEntry]:
    """Read a tokens file.

    Raises TokensFileError when it is missing, unreadable or not a list of entries.
    """
    try:
        return _ENTRIES.validate_json(path.read_bytes())
    except OSError as error:
        raise TokensFileError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BrokenTokensFileError(f"{path}: {'/'.join(map(str, first['loc']))}: {first['msg']}") from None


class Tokens:
    """The tokens file, read again whenever it changes.

    A change that cannot be read leaves the last good tokens in force, and is a problem of the dependency until it can.
    """

    def __init__(self, path: Path, dependency: Dependency | None = None) -> None:
        self._path = path
        self._dependency = dependency or Dependency("tokens")
        self._stamp = _stamp(path)
        self._entries = read_entries(path)
        self._dependency.answers()

    def principal(self, token: str) -> Principal | None:
        """Return whose token it is; None for nobody's. Compares with every entry in constant time."""
        self.refresh()
        presented, found = hash_of(token), None
        for entry in self._entries:
            if hmac.compare_digest(entry.hash, presented):
                found = Principal(entry.name, entry.role)
        return found

    def refresh(self) -> None:
        """Read the file again if it has changed; one that could not be opened is tried again the next time."""
        stamp = _stamp(self._path)
        if stamp is not None and stamp == self._stamp:
            return
        try:
            self._entries = read_entries(self._path)
        except TokensFileError as error:
            if isinstance(error, BrokenTokensFileError):
                self._stamp = stamp
            if self._dependency.problem != str(error):
                log.error("tokens file not read, the last good one stays in force", **{logging.REASON: str(error)})  # noqa: TRY400 - no trace
            self._dependency.missing(str(error))
        else:
            self._stamp = stamp
            self._dependency.answers()
            log.info("tokens file read", entries=len(self._entries))


def add_token(path: Path, name: str, role: Role, *, replace: bool = False) -> str:
    """Make a token, store its hash in the file (made if missing, readable only by its owner) and return the token.

    Raises TokensFileError when the name has a token already and `replace` is not set, or the file cannot be used.
    """
    entries = read_entries(path) if path.exists() else []
    if any(e.name == name for e in entries) and not replace:
        raise TokensFileError(f"{path}: {name} has a token already (--replace makes it invalid)")
    token = "lwt_" + secrets.token_urlsafe(32)
    try:
        entry = TokenEntry(name=name, role=role, hash=hash_of(token))
    except ValidationError as error:
        raise TokensFileError(error.errors(include_url=False, include_input=False, include_context=False)[0]["msg"]) from None
    kept = [e for e in entries if e.name != name]
    _write(path, json.dumps([e.model_dump(mode="json") for e in (*kept, entry)], indent=2) + "\n")
    return token


def _write(path: Path, text: str) -> None:
    """Replace the file in one step, so that a running gateway never reads half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
