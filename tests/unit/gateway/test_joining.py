"""What joins a cluster is what this repository really has: its settings, its files, its programs."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from services.executor.settings import ClusterSettings
from services.gateway.clusters.joining import JoinRecipe, Mode, recipe
from shared.messaging.__main__ import main
from shared.messaging.permissions import users

ROOT = Path(__file__).parents[3]
BOTH = pytest.mark.parametrize("mode", get_args(Mode))


def told(joined: JoinRecipe) -> dict[str, str]:
    return {name: value for step in joined.steps for name, value in step.environment.items()}


@BOTH
@pytest.mark.parametrize("namespace", [None, "velero", "backups"])
def test_the_executor_takes_the_entry_that_is_told(mode: Mode, namespace: str | None) -> None:
    joined = recipe("ap1", mode, ["eu1"], namespace)
    (entry,) = json.loads(told(joined)["LEEWARD_CLUSTERS"])
    read = ClusterSettings.model_validate(entry)
    assert (read.id, read.in_cluster, read.namespace) == ("ap1", mode == "Agent", namespace or "velero")
    names_it = any("Replace its namespace" in step.detail for step in joined.steps)
    assert names_it == (namespace == "backups")


@BOTH
def test_nats_is_told_of_every_cluster_and_of_the_user_that_is_there(mode: Mode, capsys: pytest.CaptureFixture[str]) -> None:
    joined = recipe("ap1", mode, ["us1", "eu1", "ap1"])
    line = next(command for step in joined.steps for command in step.commands if "permissions" in command)
    assert "--clusters ap1,eu1,us1 " in line
    arguments = line.removeprefix("python -m shared.messaging ").partition(" >")[0].split()
    assert main(arguments) == 0
    (password,) = [name for name in told(joined) if name.startswith("LEEWARD_NATS_PASSWORD_")]
    assert f"${password}" in capsys.readouterr().out
    assert "cluster-ap1" in {user.name for user in users(["ap1"])}
    assert told(joined).get("LEEWARD_NATS__USER") == (None if mode == "Hub" else "cluster-ap1")


@BOTH
def test_what_is_typed_is_there(mode: Mode) -> None:
    joined = recipe("ap1", mode, [])
    commands = [command for step in joined.steps for command in step.commands]
    assert (ROOT / "deploy/rbac/executor.yaml").read_text().count("name: leeward-executor")
    assert "kubectl --context ap1 apply -f deploy/rbac/executor.yaml" in commands
    for module in re.findall(r"python -m ([\w.]+)", "\n".join(commands)):
        assert (ROOT / module.replace(".", "/") / "__main__.py").exists()
    assert all(step.title and step.detail for step in joined.steps)


def test_a_token_for_the_hub_is_of_the_service_account_with_the_rights() -> None:
    (content,) = [json.loads(text) for step in recipe("ap1", "Hub", [], "backups").steps for text in step.files.values()]
    assert content["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "leeward-executor"}
    assert content["metadata"]["namespace"] == "backups"
