"""Kubernetes clusters in one process, with Velero and object storage, for tests and demonstrations.

Start reading at `cluster` (the API server), `velero` and `cloud`; `fleet` puts them together.
"""

from simulator.access import Rule, User
from simulator.api import Manner
from simulator.cloud import Cloud, StorageError
from simulator.cluster import SimulatedCluster
from simulator.errors import ApiError
from simulator.etcd import Snapshot
from simulator.faults import Call, Faults
from simulator.store import Store
from simulator.watch import Watch, WatchEvent

__all__ = [
    "ApiError",
    "Call",
    "Cloud",
    "Faults",
    "Manner",
    "Rule",
    "SimulatedCluster",
    "Snapshot",
    "StorageError",
    "Store",
    "User",
    "Watch",
    "WatchEvent",
]
