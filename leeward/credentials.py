"""What opens an object storage, read from a file, from stdin or from the environment: never an argument, never shown.

A file is sent in the words of its provider if these hold all that it says, else as it is, for Velero's plugin to read.
"""

import configparser
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from leeward.errors import CliError, Exit

Credential = dict[str, Any]
_MOST = 64 * 1024
"""Bytes of a credential file."""
_AWS: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "accessKeyId",
    "AWS_SECRET_ACCESS_KEY": "secretAccessKey",
    "AWS_SESSION_TOKEN": "sessionToken",
}
_AZURE: Mapping[str, str] = {
    "AZURE_TENANT_ID": "tenantId",
    "AZURE_CLIENT_ID": "clientId",
    "AZURE_CLIENT_SECRET": "clientSecret",
    "AZURE_SUBSCRIPTION_ID": "subscriptionId",
}
_NEEDED = frozenset({"accessKeyId", "secretAccessKey"}), frozenset({"tenantId", "clientId", "clientSecret"})
_PROFILE = "default"

FILE, FROM_ENV = "--credential-file", "--credential-from-env"
CredentialFile = Annotated[
    str | None,
    typer.Option(
        FILE, metavar="FILE", help="What opens the storage, as Velero's plugin reads it: AWS ini, Azure, GCP; - for stdin."
    ),
]
CredentialFromEnv = Annotated[
    bool, typer.Option(FROM_ENV, help="What opens the storage, from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
]


def given(file: str | None, *, from_env: bool, from_file: str | None = None) -> Credential | None:
    """Return the credential that was given, None if none was; `from_file` is where the rest of the request is read.

    Raises CliError, which never holds what was read.
    """
    if file is not None and from_env:
        raise CliError(f"{FILE} and {FROM_ENV} exclude each other", Exit.USAGE)
    if from_env:
        return from_environment(os.environ)
    if file is None:
        return None
    if file == from_file == "-":
        raise CliError(f"{FILE} and --from-file cannot both be read from stdin", Exit.USAGE)
    return credential(_read(file))


def from_environment(environment: Mapping[str, str]) -> Credential:
    """Return the keys that stand in the environment.

    Raises CliError when there are none.
    """
    found = {field: environment[name] for name, field in _AWS.items() if environment.get(name)}
    if missing := [name for name, field in _AWS.items() if field in _NEEDED[0] - found.keys()]:
        raise CliError(f"{FROM_ENV}: {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not set", Exit.USAGE)
    return found


def credential(text: str) -> Credential:
    """Return a credential file in the words of its provider, or as it is if these could not say all of it. Pure."""
    for read in (_gcp, _aws, _azure):
        if said := read(text):
            return said
    return {"file": text}


def _gcp(text: str) -> Credential | None:
    try:
        key = json.loads(text)
    except ValueError:
        return None
    return {"serviceAccountKey": key} if isinstance(key, dict) and key.get("type") == "service_account" else None


def _aws(text: str) -> Credential | None:
    ini = configparser.ConfigParser(interpolation=None, default_section="", strict=True)
    try:
        ini.read_string(text)
    except configparser.Error:
        return None
    return _said(dict(ini[_PROFILE]), _AWS, _NEEDED[0]) if ini.sections() == [_PROFILE] else None


def _azure(text: str) -> Credential | None:
    lines = [line.strip() for line in text.splitlines()]
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    plain = all(equals and not value.startswith(("'", '"')) for _, equals, value in pairs)
    return _said({key: value for key, _, value in pairs}, _AZURE, _NEEDED[1]) if plain else None


def _said(values: Mapping[str, str], known: Mapping[str, str], needed: frozenset[str]) -> Credential | None:
    """Return values by the names that the API gives them; None if one has no such name, or one is missing."""
    named = {known.get(key.upper()): value for key, value in values.items()}
    return {str(key): value for key, value in named.items()} if None not in named and needed <= named.keys() else None


def _read(file: str) -> str:
    name = "stdin" if file == "-" else file
    try:
        raw = sys.stdin.buffer.read(_MOST + 1) if file == "-" else _beginning(Path(file))
        text = raw.decode()
    except OSError as error:
        raise CliError(f"{FILE}: {name} cannot be read: {error.strerror}", Exit.USAGE) from None
    except UnicodeDecodeError:
        raise CliError(f"{FILE}: {name} is no text", Exit.USAGE) from None
    if len(raw) > _MOST:
        raise CliError(f"{FILE}: {name} is larger than any credential", Exit.USAGE)
    if not text.strip():
        raise CliError(f"{FILE}: {name} is empty", Exit.USAGE)
    return text


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST + 1)
