"""Every field of a RestoreSpec, from Velero's CRD."""

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import yaml


def leaves() -> list[str]:
    """The paths of all fields that hold something themselves, such as `hooks.resources[].name`."""
    text = (resources.files("simulator") / "crds/v1/velero.io_restores.yaml").read_text()
    versions = yaml.safe_load(text)["spec"]["versions"]
    return list(_leaves(versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]))


def _leaves(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    if "properties" in schema:
        for name, part in schema["properties"].items():
            yield from _leaves(part, f"{path}.{name}" if path else name)
    elif schema.get("type") == "array" and schema["items"].get("type") != "string":
        yield from _leaves(schema["items"], f"{path}[]")
    else:
        yield path
