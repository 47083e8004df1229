"""From what is wanted of a thing to the merge patch (RFC 7396) that makes it so. Pure."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from leeward.errors import CliError, Exit
from leeward.request import Body, Field, Form, filled, put


@dataclass(frozen=True, slots=True)
class Change:
    """What can be changed of a thing: its form, and what a file may say of it and nothing can change."""

    noun: str
    form: Form
    fixed: Sequence[str]

    def of(
        self, now: Body, given: Mapping[str, Any], unset: Sequence[str] = (), *, base: Body | None = None
    ) -> tuple[Body, dict[str, str]]:
        """Return the merge patch that makes of a thing what is wanted, and which option wants which place.

        `base` is what a file said, `unset` names options whose fields go back to what they usually are. An option replaces all
        that stands in its field. Raises CliError for a value that cannot be read, and for an option that is not known.
        """
        wanted = _merged(now, base or {})
        for key in self.fixed:
            if key in (base or {}) and wanted[key] != now.get(key):
                words = f"the file is of {key} {wanted[key]}, the {self.noun} of {key} {now.get(key)}"
                raise CliError(words, Exit.USAGE)
        options = {}
        for field in (_field(self.form, name) for name in unset):
            put(wanted, field.pointer, None)
            options[field.pointer] = f"--unset {field.option.lstrip('-')}"
        wanted, said = filled(given, self.form, wanted)
        return patch(now, wanted), options | said


def _field(form: Form, name: str) -> Field:
    """Return the field of an option by its name, with or without dashes.

    Raises CliError.
    """
    for field in form.fields:
        if f"--{name.lstrip('-')}" in field.names.replace("/", " ").split():
            return field
    raise CliError(f"--unset {name}: there is no option --{name.lstrip('-')} of a field", Exit.USAGE)


_NOTHING: Sequence[Any] = (None, "", [], {})
"""What says as much as leaving the field out."""


def patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Body:
    """Return the merge patch that leads from one object to another."""
    changed: Body = {}
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if below := patch(old, new):
                changed[key] = below
        elif old != new and not (old in _NOTHING and new in _NOTHING):
            changed[key] = new
    return changed


def _merged(now: Body, change: Mapping[str, Any]) -> Body:
    """Return an object with a merge patch applied."""
    merged = deepcopy(now)
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = _merged(below if isinstance(below, dict) else {}, value) if isinstance(value, Mapping) else value
    return merged
