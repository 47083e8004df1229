"""From options to the body of a request, and back from a place in the body to the option that it came from. Pure."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from leeward.errors import CliError, Exit

Body = dict[str, Any]


class ValueFormError(ValueError):
    """A value is not written as it should be."""


def words(values: Sequence[str]) -> list[str]:
    """Return repeated and comma-separated values in one list."""
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def pairs(values: Sequence[str]) -> dict[str, str]:
    """Read `key=value`, repeated or comma-separated."""
    found = {}
    for word in words(values):
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ValueFormError(f"{word!r} is not written as key=value")
        found[key] = value
    return found


def mapping(values: Sequence[str]) -> dict[str, str]:
    """Read `from=to`, or `from:to` as Velero's own command takes it."""
    return pairs([value.replace(":", "=") for value in values])


def selector(value: str) -> dict[str, Any]:
    """Read a label selector: `team=shop,tier!=cache,backup,!temporary`, all of which must hold."""
    labels: dict[str, str] = {}
    expressions: list[dict[str, Any]] = []
    for term in words([value]):
        key, unequal, unwanted = term.partition("!=")
        if unequal and key:
            expressions.append({"key": key.strip(), "operator": "NotIn", "values": [unwanted.strip()]})
        elif term.startswith("!"):
            expressions.append({"key": term[1:].strip(), "operator": "DoesNotExist"})
        elif "=" not in term:
            expressions.append({"key": term, "operator": "Exists"})
        else:
            key, _, wanted = term.partition("=")
            labels[key.strip()] = wanted.removeprefix("=").strip()
    if any(c in value for c in "()"):
        raise ValueFormError("`in (…)` goes into a file (--from-file), here only key=value, key!=value, key and !key")
    return {name: part for name, part in (("matchLabels", labels), ("matchExpressions", expressions)) if part}


def selectors(values: Sequence[str]) -> list[dict[str, Any]]:
    """Read selectors of which one must hold."""
    return [selector(value) for value in values]


def config_map(value: str) -> dict[str, str]:
    """Return a reference to a ConfigMap."""
    return {"kind": "configmap", "name": value}


def same(value: Any) -> Any:
    """Return a value that is what the API takes already."""
    return value


@dataclass(frozen=True, slots=True)
class Field:
    """An option that fills a request: how it is written, the place in the body that it fills, and how it is read."""

    names: str
    pointer: str
    kind: Any
    metavar: str | None
    help: str
    form: Callable[[Any], Any] = same

    @property
    def parameter(self) -> str:
        """The name of the option in Python."""
        return self.option.lstrip("-").replace("-", "_")

    @property
    def option(self) -> str:
        """The name that errors use."""
        return self.names.replace("/", " ").split()[0]


SCOPES: Mapping[str, tuple[str, str]] = {
    "all_namespaces": ("--all-namespaces", "all"),
    "production": ("--production", "production"),
    "non_production": ("--non-production", "nonProduction"),
    "namespace": ("--namespace", "specific"),
}
"""What a form's scope can be: the parameter that says so, its option, and the API's word. One at a time."""


@dataclass(frozen=True, slots=True)
class Form:
    """A request that options fill: where the scope stands in it, if it has one, and what it cannot do without, in words.

    That is asked for before anything is sent. Whether it is right is the gateway's to say.
    """

    fields: Sequence[Field]
    scope: str | None
    needed: Mapping[str, str]


def body_of(given: Mapping[str, Any], form: Form, *, base: Body | None = None) -> tuple[Body, dict[str, str]]:
    """Return the body, and which option fills which place. `base` is what a file said; options win over it.

    Raises CliError for a value that cannot be read, for a scope that says two things, and for what is missing.
    """
    begin = deepcopy(base or {})
    options = {} if base is not None else {field.pointer: field.option for field in form.fields}
    if form.scope is not None and at(begin, form.scope) is None:  # without a word everything, as Velero's own command takes it
        put(begin, form.scope, {"kind": "all"})
        options[form.scope] = "--exclude-namespace"
    body, said = filled(given, form, begin)
    options |= said
    missing = [what for key, what in form.needed.items() if key not in body]
    if missing:
        raise CliError(f"say {' and '.join(missing)}", Exit.USAGE)
    return body, options


def filled(given: Mapping[str, Any], form: Form, base: Body) -> tuple[Body, dict[str, str]]:
    """Return a copy of `base` with what the options say in it, and which option has filled which place.

    Raises CliError for a value that cannot be read, and for a scope that says two things.
    """
    body, options = deepcopy(base), dict[str, str]()
    if given.get("name"):
        body["name"] = given["name"]
        options["/name"] = "NAME"
    scopes = [scope for parameter, scope in SCOPES.items() if given.get(parameter)] if form.scope is not None else []
    if len(scopes) > 1:
        raise CliError(f"{' and '.join(option for option, _ in scopes)} exclude each other", Exit.USAGE)
    for option, kind in scopes:
        put(body, str(form.scope), {"kind": kind})
        options[str(form.scope)] = option
    for field in form.fields:
        if given.get(field.parameter) in (None, [], ()):
            continue
        try:
            value = field.form(given[field.parameter])
        except ValueFormError as error:
            raise CliError(f"{field.option}: {error}", Exit.USAGE) from error
        put(body, field.pointer, value)
        options[field.pointer] = field.option
    return body, options


def at(body: Any, pointer: str) -> Any:
    """Return what stands in a place of a body; None where there is nothing."""
    for step in pointer.split("/")[1:]:
        body = body.get(step) if isinstance(body, dict) else None
    return body


def put(body: Body, pointer: str, value: Any) -> None:
    """Fill a place of a body, with the way that leads there."""
    *way, last = pointer.split("/")[1:]
    for step in way:
        if not isinstance(body.get(step), dict):
            body[step] = {}
        body = body[step]
    body[last] = value
