"""Dockerfile, docker-compose.yml and the code cannot drift apart: settings, users, ports, secrets, and how each is confined."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from deploy.compose.prepare import CLUSTERS, prepare
from services.executor.settings import Settings as ExecutorSettings
from services.gateway.settings import Settings as GatewaySettings
from services.scheduler.settings import Settings as SchedulerSettings
from services.status.settings import Settings as StatusSettings
from shared.contracts.ids import is_cluster_id
from shared.messaging.__main__ import Settings as EnsureSettings
from shared.messaging.permissions import users
from shared.runtime import ready
from tests.support.containers import composition
from tests.support.dockerfile import ROOT, stages

COMPOSE, STAGES = composition(), stages()
SERVICES = COMPOSE["services"]
SETTINGS = {
    "gateway": GatewaySettings,
    "scheduler": SchedulerSettings,
    "status": StatusSettings,
    "executor": ExecutorSettings,
    "ensure": EnsureSettings,
}
OURS = [*SETTINGS, "clusters"]


def known(settings, variable):
    """Tell whether a variable sets something: `LEEWARD_NATS__URL` is `nats.url`."""
    model = settings
    for part in variable.upper().removeprefix("LEEWARD_").split("__"):
        field = model.model_fields.get(part.lower()) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is None:
            return False
        model = field.annotation
    return True


def mounted(service):
    """The secrets of a service: the name of the file in its container, and the secret's own name."""
    for secret in SERVICES[service].get("secrets", []):
        yield (secret, secret) if isinstance(secret, str) else (secret["target"], secret["source"])


def environment(service):
    built = SERVICES[service].get("build")
    return {**(STAGES[built["target"]].environment if built else {}), **SERVICES[service].get("environment", {})}


def check(service):
    """How it is asked for its health: by docker-compose.yml or by its image."""
    if "healthcheck" in SERVICES[service]:
        return SERVICES[service]["healthcheck"].get("test")
    return ["CMD", *STAGES[SERVICES[service]["build"]["target"]].healthcheck]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), "a number, and not root"
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "env_file"} & service.keys()
    assert all(volume.split(":")[0] in COMPOSE["volumes"] for volume in service.get("volumes", [])), "no folder of the host"
    if "build" in service:
        assert service["user"] == STAGES[service["build"]["target"]].user


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_can_be_asked_for_its_health_without_a_shell_unless_it_is_a_job(name):
    if SERVICES[name].get("healthcheck", {}).get("disable"):
        assert SERVICES[name]["restart"] == "on-failure"
    else:
        assert check(name)[0] == "CMD"
        assert len(check(name)) > 1


@pytest.mark.parametrize("name", SERVICES)
def test_whoever_is_waited_for_can_say_that_it_is_there(name):
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        job = SERVICES[other].get("healthcheck", {}).get("disable")
        assert wait["condition"] == ("service_completed_successfully" if job else "service_healthy")


def test_only_the_gateway_can_be_reached_and_only_from_this_machine():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    port = SERVICES["gateway"]["environment"]["LEEWARD_HTTP__PORT"]
    assert published == {"gateway": [f"127.0.0.1:{port}:{port}"]}
    outside = {name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")}
    assert {name for name, service in SERVICES.items() if outside & set(service["networks"])} == {"gateway"}


def test_nobody_shares_a_network_with_what_it_does_not_speak_to():
    members = {network: {n for n, s in SERVICES.items() if network in s["networks"]} for network in COMPOSE["networks"]}
    assert members == {
        "front": {"gateway"},
        "bus": {"nats", "ensure", "gateway", "scheduler", "status", "executor"},
        "database": {"mongodb", "gateway", "scheduler", "status"},
        "clusters": {"clusters", "executor"},
    }


@pytest.mark.parametrize("name", SETTINGS)
def test_every_variable_and_every_secret_of_a_service_is_a_setting_that_it_has(name):
    given = [v for v in environment(name) if v.startswith("LEEWARD_") and v != "LEEWARD_SECRETS_DIR"]
    if name == "ensure":
        given.remove("LEEWARD_HTTP__PORT")  # of the image; a job serves nothing
    settings = [file for file, _ in mounted(name) if file.startswith("leeward_")]
    assert settings, "passwords come as files"
    for variable in [*given, *settings]:
        assert known(SETTINGS[name], variable), variable
    assert environment(name)["LEEWARD_SECRETS_DIR"] == "/run/secrets"


@pytest.mark.parametrize("name", SETTINGS)
def test_the_settings_of_a_service_can_be_read_as_its_container_has_them(name, tmp_path, monkeypatch):
    prepare(tmp_path / "made")
    folder = tmp_path / "run"
    folder.mkdir()
    for target, source in mounted(name):
        shutil.copy(tmp_path / "made" / Path(COMPOSE["secrets"][source]["file"]).name, folder / target)
    for variable, value in environment(name).items():
        if variable.startswith("LEEWARD_"):
            monkeypatch.setenv(variable, value.replace("/run/secrets", str(folder)))
    settings = SETTINGS[name](_secrets_dir=folder)
    assert settings.nats.user == environment(name)["LEEWARD_NATS__USER"]
    assert settings.nats.password.get_secret_value() == (tmp_path / "made" / f"nats-{settings.nats.user}").read_text()
    if name in {"gateway", "scheduler", "status"}:
        assert settings.mongo.url.get_secret_value() == (tmp_path / "made" / f"mongodb-url-{name}").read_text()
    if name == "gateway":
        assert settings.refusal_to_bind is None
        assert settings.tokens_file.exists()


def test_every_user_of_nats_is_one_of_the_permissions_and_nobody_has_anothers_password():
    known_users = {user.name for user in users(CLUSTERS)}
    for name in SETTINGS:
        user = environment(name)["LEEWARD_NATS__USER"]
        assert user in known_users
        assert ("leeward_nats__password", f"nats-{user}") in mounted(name)
        assert not [source for _, source in mounted(name) if source.startswith("nats-") and source != f"nats-{user}"]


def test_every_secret_that_is_mounted_is_made_and_every_one_made_is_mounted_but_the_persons_own(tmp_path):
    prepare(tmp_path / "made")
    made = {path.name for path in (tmp_path / "made").iterdir()}
    declared = {Path(secret["file"]) for secret in COMPOSE["secrets"].values()}
    assert {path.parent for path in declared} == {Path(".leeward/compose")}
    assert {path.name for path in declared} == made - {"token"}
    assert {source for name in SERVICES for _, source in mounted(name)} == COMPOSE["secrets"].keys()


def test_secrets_can_be_read_in_a_container_and_by_nobody_else_on_the_machine_and_stay_when_made_again(tmp_path):
    folder = tmp_path / "made"
    prepare(folder)
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    prepare(folder)
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()} == before
    values = [
        path.read_text() for path in folder.iterdir() if path.name.startswith(("nats-", "mongodb-g", "mongodb-s", "mongodb-r"))
    ]
    assert len(set(values)) == len(values)


def test_the_clusters_are_the_same_everywhere():
    served = json.loads(SERVICES["executor"]["environment"]["LEEWARD_CLUSTERS"])
    assert tuple(cluster["id"] for cluster in served) == CLUSTERS
    command = SERVICES["ensure"]["command"]
    assert command[command.index("--clusters") + 1].split(",") == list(CLUSTERS)
    assert all(is_cluster_id(cluster) for cluster in CLUSTERS)


def test_the_users_that_the_database_makes_are_those_who_come_with_a_password():
    script = COMPOSE["configs"]["mongodb-users"]["content"]
    assert set(json.loads(re.search(r"\[.*?\]", script)[0])) == {"gateway", "scheduler", "status"}
    assert {f"mongodb-{user}" for user in ("root", "gateway", "scheduler", "status")} == {
        source for _, source in mounted("mongodb")
    }


def test_the_server_is_the_one_that_is_tested():
    version = subprocess.run(
        [Path(sys.executable).parent / "nats-server", "--version"], capture_output=True, text=True, check=True
    )
    assert STAGES["nats"].base.split(":")[1].removesuffix("-alpine") == version.stdout.split("v")[-1].strip()


@pytest.mark.parametrize("name", ["gateway", "scheduler", "status", "executor", "simulator"])
def test_an_image_holds_the_packages_of_its_service_and_nothing_of_the_others(name):
    (packages,) = (copy for copy in STAGES[name].copies if copy.target == "/app/.venv")
    (install,) = STAGES[packages.stage].runs
    assert packages.stage == f"{name}-packages"
    assert re.findall(r"--extra ([\w-]+)", install) == [name]
    assert {"--frozen", "--no-default-groups", "--no-install-project"} <= set(install.split())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert name in extras
    sources = {source for copy in STAGES[name].copies if copy.stage is None for source in copy.sources}
    assert all((ROOT / source).exists() for source in sources)
    others = {"gateway", "scheduler", "status", "executor", "simulator"} - {name}
    assert not [source for source in sources if Path(source).name in others]
    assert STAGES[name].command[:2] == ("python", "-m")


@pytest.mark.parametrize("stage", [s for s in STAGES.values() if ":" in s.base], ids=lambda s: s.name)
def test_every_image_that_ours_are_made_on_has_a_tag_that_says_which(stage):
    assert re.search(r":\d+\.\d+", stage.base), stage.base


def test_what_is_copied_into_images_is_let_through_and_nothing_else_is():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {line[1:] for line in lines if line.startswith("!")}
    copied = {Path(s).parts[0] for stage in STAGES.values() for c in stage.copies if c.stage is None for s in c.sources}
    assert "*" in lines
    assert copied == let_through


def test_asking_a_process_that_is_not_there_is_answered_in_words(capsys):
    assert ready.main(["http://127.0.0.1:9/readyz"], None) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
    assert ready.main([], None) == 2
