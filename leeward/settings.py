"""Where Leeward is and who we are there: options, then the environment, then the file that `leeward up` writes."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from leeward.errors import CliError, Exit

FOLDER = ".leeward"
FILE = "client.json"
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_NOWHERE = (
    "run `make up` to have one on this machine, or set LEEWARD_URL and LEEWARD_TOKEN_FILE (or use --url and --token-file)"
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it came from, so that a wrong one can be told by its source and never by its value."""

    value: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Connection:
    """All that is needed to talk to Leeward. Without a token we are whoever the gateway takes for this machine."""

    url: str
    source: str
    token: Token | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says."""

    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None


def find(given: Given, environment: Mapping[str, str], folder: Path) -> Connection:
    """Return where to connect; the first source that says something counts, each for itself.

    The token that belongs to a client file goes nowhere but to the URL of that file.
    Raises CliError.
    """
    said = ((given.url, "--url"), (environment.get("LEEWARD_URL"), "LEEWARD_URL"))
    explicit = next(((_address(url, source), source) for url, source in said if url), None)
    try:
        local = next(_local(environment, folder), None)
    except CliError:
        if explicit is None:
            raise
        local = None
    if explicit is not None:
        url, source = explicit
    elif local is not None:
        url, source = local.url, local.source
    else:
        raise CliError("no Leeward to talk to", Exit.USAGE, hints=[_NOWHERE])
    own = local if local is not None and local.url == url else None
    ca_file = given.ca_file or _path(environment.get("LEEWARD_CA_FILE")) or (own.ca_file if own else None)
    if ca_file is not None and not ca_file.is_file():
        raise CliError(f"there is no certificate file {ca_file}", Exit.USAGE)
    return Connection(url, source, _token(given, environment, own), ca_file)


@dataclass(frozen=True, slots=True)
class _ClientFile:
    """What a client file says; its paths count from where it lies."""

    url: str
    source: str
    token_file: Path | None
    ca_file: Path | None


def _local(environment: Mapping[str, str], folder: Path) -> Iterator[_ClientFile]:
    """Find the client file: in LEEWARD_HOME, or in `.leeward` of this folder or the nearest one above."""
    home = environment.get("LEEWARD_HOME")
    folders = [Path(home)] if home else [place / FOLDER for place in (folder, *folder.parents)]
    for place in folders:
        path = place / FILE
        try:
            owner = path.stat().st_uid
        except OSError:
            continue
        if owner not in {os.getuid(), 0}:  # or another user of this machine could send our token wherever he likes
            raise CliError(f"{path} belongs to another user: not used", Exit.USAGE, hints=["set LEEWARD_URL instead"])
        yield _read(path)


def _read(path: Path) -> _ClientFile:
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        paths = [path.parent / told[key] if told.get(key) else None for key in ("tokenFile", "caFile")]
        return _ClientFile(_address(str(told["url"]), str(path)), str(path), *paths)
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}", Exit.USAGE) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        words = f'{path} is not a client file: it should say {{"url": "…", "tokenFile": "…"}}'
        raise CliError(words, Exit.USAGE, hints=["`make up` writes it anew"]) from error


def _token(given: Given, environment: Mapping[str, str], own: _ClientFile | None) -> Token | None:
    """Return the first token that is given; None if nobody gives one."""
    if given.token_file is not None:
        return _token_in(given.token_file, "--token-file")
    if value := environment.get("LEEWARD_TOKEN", "").strip():
        return _checked(value, "LEEWARD_TOKEN")
    if path := environment.get("LEEWARD_TOKEN_FILE"):
        return _token_in(Path(path), "LEEWARD_TOKEN_FILE")
    return _token_in(own.token_file, own.source) if own is not None and own.token_file is not None else None


def _token_in(path: Path, source: str) -> Token:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CliError(f"{source}: the token file {path} cannot be read: {error.strerror}", Exit.USAGE) from error
    except ValueError as error:
        raise CliError(f"{source}: {path} holds no token", Exit.USAGE) from error
    return _checked(value, f"{source} ({path})" if str(path) != source else source)


def _checked(value: str, source: str) -> Token:
    if not _TOKEN.fullmatch(value):
        raise CliError(f"{source} holds no token: one word was expected", Exit.USAGE)
    return Token(value, source)


def _address(url: str, source: str) -> str:
    """Return a base URL without what follows the host and path of the gateway."""
    no = CliError(f"{source}: {url!r} is not an address such as http://127.0.0.1:8080", Exit.USAGE)
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise no from None
    if "@" in parts.netloc:
        raise CliError(f"{source}: an address holds no user and no password; a token goes into a file", Exit.USAGE)
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise no
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/api/v1').rstrip('/')}"


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
