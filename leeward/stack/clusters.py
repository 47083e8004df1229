"""Which clusters are served: the simulated ones, or contexts of a kubeconfig."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.contracts.ids import is_cluster_id

_LONGEST = 63


class ChoiceError(Exception):
    """The clusters cannot be served as asked; the words say what to change."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster: what Leeward calls it, and the context that reaches it."""

    id: str
    context: str
    kubeconfig: Path
    display_name: str
    namespace: str = "velero"
    """Where Velero lives in it."""


def simulated(kubeconfig: Path) -> tuple[Cluster, ...]:
    """Return the clusters of the simulator, which writes that kubeconfig."""
    names = {"eu1": "Europe 1", "us1": "America 1"}
    return tuple(Cluster(name, name, kubeconfig, words) for name, words in names.items())


def chosen(kubeconfig: Path | None, contexts: Sequence[str], namespace: str) -> tuple[Cluster, ...]:
    """Return the real clusters behind these contexts (`CONTEXT`, or `ID=CONTEXT`), or behind the current one.

    Raises ChoiceError.
    """
    path = (kubeconfig or _usual()).expanduser().absolute()
    known, current = _contexts(path)
    pairs = [_pair(text, known) for text in contexts or [current] if text]
    if not pairs:
        raise ChoiceError(f"{path} has no current context: choose with --context ({', '.join(known) or 'it has none'})")
    for _, context in pairs:
        if context not in known:
            raise ChoiceError(f"{path} has no context {context!r}; it has {', '.join(known) or 'none'}")
    names = identities(pairs)
    return tuple(Cluster(names[c], c, path, c[:_LONGEST], namespace) for _, c in pairs)


def identities(pairs: Iterable[tuple[str | None, str]]) -> Mapping[str, str]:
    """Give each context the id that was asked for, else one made of its name: a DNS label that no other one has.

    Raises ChoiceError.
    """
    made: dict[str, str] = {}
    for asked, context in pairs:
        if context in made:
            raise ChoiceError(f"the context {context!r} is given twice")
        if asked is not None and not is_cluster_id(asked):
            raise ChoiceError(f"{asked!r} is no id for a cluster: lower-case letters, digits and '-', at most {_LONGEST}")
        if asked in made.values():
            raise ChoiceError(f"the id {asked!r} is given twice")
        base = asked or re.sub(r"[^a-z0-9]+", "-", context.lower()).strip("-")[:_LONGEST].rstrip("-") or "cluster"
        name, number = base, 2
        while name in made.values():
            name, number = f"{base[: _LONGEST - 4]}-{number}", number + 1
        made[context] = name
    return made


def _pair(text: str, known: Iterable[str]) -> tuple[str | None, str]:
    """Read `ID=CONTEXT`; a context whose name has such a sign in it is taken as it stands."""
    name, sign, context = text.partition("=")
    return (name, context) if sign and text not in known else (None, text)


def _usual() -> Path:
    """Return the kubeconfig that kubectl would use (the first one, if there are several)."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path("~/.kube/config")


def _contexts(path: Path) -> tuple[list[str], str]:
    try:
        config: Any = yaml.safe_load(path.read_text())
        names = [str(entry["name"]) for entry in config.get("contexts") or []]
        return names, str(config.get("current-context") or "")
    except OSError as error:
        raise ChoiceError(f"the kubeconfig {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ChoiceError(f"{path} is not a kubeconfig") from error
