"""What joins a cluster to Leeward: the steps that nobody can take through the API, because they need rights elsewhere. Pure.

Nothing in them is secret: where a password or a token belongs, they say where it comes from.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Literal

from shared.contracts.base import Wire

Mode = Literal["Hub", "Agent"]
ELLIPSIS = "…"
"""Stands for what only the person knows: a password, an address."""
_RIGHTS = "deploy/rbac/executor.yaml"
_ACCOUNT = "leeward-executor"


class JoinStep(Wire):
    """One step, in words; `commands` and `environment` are what is typed and set, `files` what the commands read, by name."""

    title: str
    detail: str
    commands: list[str] = []
    environment: dict[str, str] = {}
    files: dict[str, str] = {}


class JoinRecipe(Wire):
    """How a cluster is joined: by an executor at the hub that reaches its API server, or by an agent inside that dials out."""

    cluster: str
    mode: Mode
    steps: list[JoinStep]


def recipe(cluster: str, mode: Mode, others: Iterable[str], namespace: str | None = None) -> JoinRecipe:
    """Return the steps for a cluster, beside the others that the installation serves. `namespace`: Velero's, if it is known."""
    names = sorted({cluster, *others})
    where = namespace or "velero"
    ways = [_kubeconfig(cluster, where), _at_the_hub(cluster, where)] if mode == "Hub" else [_inside(cluster, where)]
    steps = [_nats(cluster, names, mode), _rights(cluster, where), *ways, _look(cluster)]
    return JoinRecipe(cluster=cluster, mode=mode, steps=steps)


def _nats(cluster: str, names: Sequence[str], mode: Mode) -> JoinStep:
    user = f"cluster-{cluster}"
    password = f"LEEWARD_NATS_PASSWORD_{user.upper().replace('-', '_')}"
    speaks = (
        f"The executor speaks as user {user}" if mode == "Agent" else "The hub's executor speaks for all clusters in the list"
    )
    return JoinStep(
        title="Let NATS know the cluster",
        detail=f"{speaks}; its permissions are written from the list of clusters. Reload twice: after the first time the new "
        "account's imports lead nowhere yet. Nobody is disconnected. nats-server takes the password from its own environment: "
        "where a running one cannot be given it, write the password, or its bcrypt hash, into nats.conf in place of the name.",
        environment={password: ELLIPSIS},
        commands=[
            f"python -m shared.messaging permissions --clusters {','.join(names)} --store {ELLIPSIS} > nats.conf",
            "nats-server --signal reload",
            "nats-server --signal reload",
        ],
    )


def _rights(cluster: str, namespace: str) -> JoinStep:
    moved = "" if namespace == "velero" else f" Replace its namespace velero by {namespace} first."
    return JoinStep(
        title="Give the executor its rights in the cluster",
        detail=f"The file has a service account, {_ACCOUNT}, and all that it may do; each rule says what for.{moved}",
        commands=[f"kubectl --context {cluster} apply -f {_RIGHTS}"],
    )


def _kubeconfig(cluster: str, namespace: str) -> JoinStep:
    there = f"kubectl --context {cluster}"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": f"{_ACCOUNT}-token",
            "namespace": namespace,
            "annotations": {"kubernetes.io/service-account.name": _ACCOUNT},
        },
    }
    cluster_of = f"{there} config view --minify --raw -o jsonpath='{{.clusters[0].cluster"
    server = f"{cluster_of}.server}}'"
    token = f"{there} -n {namespace} get secret {_ACCOUNT}-token -o jsonpath='{{.data.token}}' | base64 -d"
    to = "kubectl --kubeconfig fleet.yaml config"
    return JoinStep(
        title="Let the hub reach the cluster's API server",
        detail="A token of that service account goes into the kubeconfig of the hub's executor (fleet.yaml), under a context "
        "named like the cluster. Whoever has the file has those rights: keep it where only the executor reads it.",
        files={"token.json": json.dumps(secret, indent=2)},
        commands=[
            f"{there} apply -f token.json",
            f"{cluster_of}.certificate-authority-data}}' | base64 -d > {cluster}.crt",
            f'{to} set-cluster {cluster} --server "$({server})" --certificate-authority {cluster}.crt --embed-certs',
            f'{to} set-credentials {cluster} --token "$({token})"',
            f"{to} set-context {cluster} --cluster {cluster} --user {cluster}",
        ],
    )


def _at_the_hub(cluster: str, namespace: str) -> JoinStep:
    entry = {"id": cluster, "kubeconfig": "fleet.yaml", "context": cluster, **_elsewhere(namespace)}
    return JoinStep(
        title="Tell the hub's executor",
        detail="Add this entry to the list that it serves already, and start it anew.",
        environment={"LEEWARD_CLUSTERS": json.dumps([entry])},
        commands=["python -m services.executor"],
    )


def _inside(cluster: str, namespace: str) -> JoinStep:
    entry = {"id": cluster, "in_cluster": True, **_elsewhere(namespace)}
    return JoinStep(
        title="Run the executor inside the cluster",
        detail=f"As a Deployment of one replica in namespace {namespace} under service account {_ACCOUNT}, from the image that "
        "`docker build --target executor .` makes. It dials out to NATS and needs no way in. Give it the password as a file: "
        "with LEEWARD_SECRETS_DIR, leeward_nats__password in that folder is the setting.",
        environment={
            "LEEWARD_NATS__URL": f"nats://{ELLIPSIS}:4222",
            "LEEWARD_NATS__USER": f"cluster-{cluster}",
            "LEEWARD_SECRETS_DIR": "/run/secrets",
            "LEEWARD_CLUSTERS": json.dumps([entry]),
        },
        commands=["python -m services.executor"],
    )


def _elsewhere(namespace: str) -> dict[str, str]:
    return {} if namespace == "velero" else {"namespace": namespace}


def _look(cluster: str) -> JoinStep:
    return JoinStep(
        title="See that it has come",
        detail="Within a minute the cluster shows as Online, with what it lacks among its problems.",
        commands=[f"leeward cluster get {cluster}"],
    )
