"""`make schemas`: write docs/schemas, one JSON Schema a message type, from the models."""

import json
from pathlib import Path

from shared.contracts.catalogue import TYPES
from shared.contracts.envelope import Envelope

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


def schema_of(kind: str) -> dict[str, object]:
    schema = Envelope[TYPES[kind]].model_json_schema(by_alias=True, mode="validation")  # type: ignore[name-defined]
    schema["title"] = kind
    schema["properties"]["type"] = {"const": kind}
    return lenient(schema)


def text_of(kind: str) -> str:
    return json.dumps(schema_of(kind), indent=2, sort_keys=True) + "\n"


def lenient(node):
    """Readers skip what they do not know: nothing in a published schema forbids a further field."""
    if isinstance(node, dict):
        return {k: lenient(v) for k, v in node.items() if (k, v) != ("additionalProperties", False)}
    return [lenient(v) for v in node] if isinstance(node, list) else node


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for stale in FOLDER.glob("*.json"):
        stale.unlink()
    for kind in TYPES:
        (FOLDER / f"{kind}.json").write_text(text_of(kind))


if __name__ == "__main__":
    main()
