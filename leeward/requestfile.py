"""Requests that are written in a file."""

import json
import sys
from pathlib import Path

from leeward.errors import CliError, Exit
from leeward.request import Body


def request_in(file: str, parts: str) -> Body:
    """Read a request from a file (`-`: stdin) in which these parts are expected; YAML is read for JSON, too.

    Raises CliError.
    """
    import yaml  # noqa: PLC0415 - only who has a file waits for it

    name = "stdin" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        body = yaml.safe_load(text)
    except OSError as error:
        raise CliError(f"--from-file: {name} cannot be read: {error.strerror}", Exit.USAGE) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CliError(f"--from-file: {name} is neither YAML nor JSON{_place(error)}", Exit.USAGE) from error
    if not isinstance(body, dict):
        raise CliError(f"--from-file: {name} holds no request: {parts} were expected", Exit.USAGE)
    if "apiVersion" in body:
        raise CliError(
            f"--from-file: {name} is a Kubernetes object; a request has {parts}",
            Exit.USAGE,
            hints=["its spec can be taken over, but namespaces go into scope: {kind: specific, namespaces: […]}"],
        )
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError) as error:  # what YAML has and JSON has not
        raise CliError(f"--from-file: {name}: {error}", Exit.USAGE, hints=["put dates and times in quotes"]) from error
    return body


def _place(error: Exception) -> str:
    """Say where in a file the reader stumbled, if it says so."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f": line {mark.line + 1}, {problem}" if mark is not None else ""
