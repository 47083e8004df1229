"""Requests, and parts of them, that are written in a file."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leeward.errors import CliError, Exit
from leeward.request import Body, ValueFormError

FROM_FILE = "--from-file"


def request_in(file: str, parts: str) -> Body:
    """Read a request from a file (`-`: stdin) in which these parts are expected; YAML is read for JSON, too.

    Raises CliError.
    """
    name = named(file)
    try:
        body: Body = part(f"request: {parts} were expected")(file)
    except ValueFormError as error:
        raise CliError(f"{FROM_FILE}: {error}", Exit.USAGE) from error
    if "apiVersion" in body:
        raise CliError(
            f"{FROM_FILE}: {name} is a Kubernetes object; a request has {parts}",
            Exit.USAGE,
            hints=["its spec can be taken over, but namespaces go into scope: {kind: specific, namespaces: […]}"]
            if "scope" in parts
            else ["its spec can be taken over"],
        )
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError) as error:  # what YAML has and JSON has not
        raise CliError(f"{FROM_FILE}: {name}: {error}", Exit.USAGE, hints=["put dates and times in quotes"]) from error
    return body


def named(file: str) -> str:
    """Return what a file is called in a sentence."""
    return "stdin" if file == "-" else file


def part(expected: str) -> Callable[[str], Body]:
    """Return a reader of files that hold a part of a request; `expected` says in words what that is.

    It raises ValueFormError.
    """

    def read(file: str) -> Body:
        found = _parsed(text(file), named(file))
        if not isinstance(found, dict):
            raise ValueFormError(f"{named(file)} holds no {expected}")
        return found

    return read


def text(file: str) -> str:
    """Return what a file holds.

    Raises ValueFormError.
    """
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueFormError(f"{named(file)} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueFormError(f"{named(file)} is no text") from error


def _parsed(written: str, name: str) -> Any:
    import yaml  # noqa: PLC0415 - only who has a file waits for it

    try:
        return yaml.safe_load(written)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueFormError(f"{name} is neither YAML nor JSON{_place(error)}") from error


def _place(error: Exception) -> str:
    """Say where in a file the reader stumbled, if it says so."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f": line {mark.line + 1}, {problem}" if mark is not None else ""
