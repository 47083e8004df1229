"""What the Dockerfile says, read without Docker: stages, what each copies, and how its image runs."""

import json
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Copy:
    """`COPY`: from the source folder, or from another stage."""

    sources: tuple[str, ...]
    target: str
    stage: str | None = None


@dataclass(frozen=True)
class Stage:
    """One stage with everything that it inherits from the stages it is made on."""

    name: str
    base: str
    """The image outside of this file that it goes back to."""
    environment: dict[str, str] = field(default_factory=dict)
    copies: tuple[Copy, ...] = ()
    runs: tuple[str, ...] = ()
    user: str | None = None
    workdir: str = "/"
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()

    def at(self, path: str) -> str:
        """An absolute path in the image."""
        return path if path.startswith("/") else f"{self.workdir.rstrip('/')}/{path}"


def instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def stages(path: Path = ROOT / "Dockerfile") -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    current = ""
    for word, rest in instructions(path.read_text()):
        if word == "ARG" and not current:
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word == "FROM":
            image, _, name = rest.partition(" AS ")
            image = re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], image)
            current = name
            found[name] = replace(found[image], name=name) if image in found else Stage(name, image)
        elif current:
            found[current] = _with(found[current], word, rest)
    return found


def _with(stage: Stage, word: str, rest: str) -> Stage:
    match word:
        case "ENV":
            return replace(stage, environment=stage.environment | dict(pair.split("=", 1) for pair in shlex.split(rest)))
        case "WORKDIR":
            return replace(stage, workdir=rest)
        case "USER":
            return replace(stage, user=rest)
        case "CMD":
            return replace(stage, command=tuple(json.loads(rest)))
        case "HEALTHCHECK":
            return replace(stage, healthcheck=tuple(json.loads(rest.partition("CMD ")[2])))
        case "RUN":
            return replace(stage, runs=(*stage.runs, rest))
        case "COPY":
            words = shlex.split(rest)
            options = dict(w[2:].split("=", 1) for w in words if w.startswith("--"))
            *sources, target = (w for w in words if not w.startswith("--"))
            return replace(stage, copies=(*stage.copies, Copy(tuple(sources), target, options.get("from"))))
        case "ARG" | "EXPOSE":
            return stage
        case _:
            raise AssertionError(f"teach tests/support/dockerfile.py what {word} does")
