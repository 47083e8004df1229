"""`make secrets`: make what docker-compose.yml mounts as secrets, in a folder that only its owner can enter.

Whatever is there already stays as it is, so that it may be run again at any time; what only derives from other files
(nats.conf, the database's URLs) is written anew.

Compose mounts a secret from a file as that file, with its owner and mode, whatever the container's user is. So the files can be
read by everybody (0444) and stand in a folder that nobody but its owner can enter (0700): on this machine only its owner (and
root) gets at them, and in a container whoever runs there, but only at those that were mounted.
"""

import argparse
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from services.gateway.auth import Role, add_token
from shared.messaging.permissions import ADMIN, EXECUTOR, GATEWAY, SCHEDULER, STATUS, server_config

FOLDER = Path(__file__).parents[2] / ".leeward" / "compose"
CLUSTERS = ("eu1", "us1")
"""What the simulator's seed is called, in the order of its ports."""
NATS_USERS = (ADMIN, GATEWAY, SCHEDULER, STATUS, EXECUTOR)
MONGODB_USERS = (GATEWAY, SCHEDULER, STATUS)
NATS_PORT, MONITOR, CLUSTER_PORT = 4222, "127.0.0.1:8222", 6443
_READABLE, _PRIVATE = 0o444, 0o700


def prepare(folder: Path, clusters: Sequence[str] = CLUSTERS) -> None:
    """Make every file that is missing."""
    folder.parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    folder.mkdir(mode=_PRIVATE, exist_ok=True)
    nats = {user: kept(folder / f"nats-{user}") for user in NATS_USERS}
    config = server_config(clusters, nats, host="0.0.0.0", port=NATS_PORT, store="/data")  # noqa: S104 - in its container
    write(folder / "nats.conf", f"{config}http: {json.dumps(MONITOR)}\n")
    kept(folder / "mongodb-root")
    for user in MONGODB_USERS:
        password = kept(folder / f"mongodb-{user}")
        write(folder / f"mongodb-url-{user}", f"mongodb://{user}:{password}@mongodb:27017/leeward")
    token = kept(folder / "clusters-token")
    if not (folder / "kubeconfig").exists():  # it may be of clusters that are not simulated
        write(folder / "kubeconfig", json.dumps(kubeconfig(clusters, token), indent=2) + "\n")
    if not (folder / "tokens.json").exists():
        write(folder / "token", add_token(folder / "tokens.json", "admin", Role.ADMIN) + "\n")
        (folder / "tokens.json").chmod(_READABLE)


def kept(path: Path) -> str:
    """Return the secret of a file, having made one if there is none."""
    if not path.exists():
        write(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def write(path: Path, text: str) -> None:
    """Write into the file that is there: a new one under its name would not be the one that is mounted."""
    if path.exists() and path.read_text() == text:
        return
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
    path.chmod(_READABLE)


def kubeconfig(clusters: Sequence[str], token: str) -> dict[str, object]:
    """Return the way to the simulated clusters, a context each (JSON is YAML, too)."""
    servers = [(name, f"http://clusters:{CLUSTER_PORT + index}") for index, name in enumerate(clusters)]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in servers],
        "users": [{"name": "leeward", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "leeward"}} for name, _ in servers],
        "current-context": clusters[0],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make secrets", description="Make the secrets of docker-compose.yml.")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--clusters", default=",".join(CLUSTERS), help="comma-separated ids of the clusters to serve")
    options = parser.parse_args()
    prepare(options.folder, options.clusters.split(","))
