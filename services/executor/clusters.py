"""How to reach each cluster: contexts of a kubeconfig at the hub, the service account inside a cluster."""

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.request import getproxies

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigLoader, KubeConfigMerger, refresh_token

from services.executor.kube import KubeClient
from services.executor.settings import ClusterSettings
from shared.messaging.outcomes import Unavailable

_CONNECTIONS = 512
"""To one API server: more than commands that hold one each, and watches, together."""


def _kubeconfig(path: Path | None) -> Any:
    """Return the kubeconfig, or what several that the environment names are together."""
    paths = [os.path.expanduser(each) for each in str(path or KUBE_CONFIG_DEFAULT_LOCATION).split(os.pathsep)]  # noqa: PTH111 - texts
    return _merged(os.pathsep.join(paths), tuple(map(_stamp, paths)))


@functools.lru_cache(maxsize=8)
def _merged(paths: str, _stamps: tuple[object, ...]) -> Any:
    """Read kubeconfigs once for all clusters that stand in them, until a file changes: a large one takes seconds."""
    return KubeConfigMerger(paths).config


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


@contextlib.asynccontextmanager
async def reach(cluster: ClusterSettings, timeout: float, writing: float) -> AsyncGenerator[KubeClient]:
    """Open a client for the cluster; nothing is sent yet, so that a cluster that is away does not matter here.

    `timeout` and `writing` in seconds, see KubeClient.

    Raises Unavailable when the kubeconfig, its context or the service account cannot be read: they may appear later.
    """
    configuration = Configuration()
    # Looked up for every request, in a thread, although the environment of a process does not change.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.retries = None  # when to try again is decided in one place, and that is not the client
    try:
        if cluster.in_cluster:
            account = Path(cluster.service_account)
            InClusterConfigLoader(str(account / "token"), str(account / "ca.crt")).load_and_set(configuration)
            renewing = None
        else:
            config = _kubeconfig(cluster.kubeconfig)
            loader = KubeConfigLoader(config, config_base_path=None, active_context=cluster.context or cluster.id)
            await loader.load_and_set(configuration)
            renewing = asyncio.create_task(refresh_token(loader, configuration))
    except Exception as error:  # also of a half-written file, or of a plugin: whatever it is, it may be right in a moment
        raise Unavailable(f"cluster {cluster.id}", f"cannot be configured: {error}") from error
    try:
        async with ApiClient(configuration) as api:
            yield KubeClient(api, cluster.id, cluster.namespace, timeout, writing)
    finally:
        if renewing:
            renewing.cancel()
            await asyncio.wait({renewing})
