"""Be a fleet: clusters that know nothing of each other, and one bucket that all of them write to."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.real.access import write_kubeconfig
from tests.e2e.real.cluster import RealCluster
from tests.e2e.real.s3 import S3Server


def cluster_names(number: int) -> list[str]:
    """eu1, us1, ap1, eu2, …"""
    endless = (f"{region}{i}" for i in count(1) for region in ("eu", "us", "ap"))
    return list(islice(endless, number))


class Fleet:
    """Runs inside a `with` block; `fleet["eu1"]` is a cluster. All files go into `directory`.

    Without `own_prefix` all clusters write to the root of the bucket, as if they were one.
    """

    def __init__(self, directory: Path, names: Sequence[str] = ("eu1", "us1"), *, own_prefix: bool = True) -> None:
        self.s3 = S3Server(directory)
        self.clusters = {name: RealCluster(name, directory / name, self.s3, name if own_prefix else "") for name in names}
        contexts = {cluster.name: cluster.admin for cluster in self.clusters.values()}
        self.kubeconfig = write_kubeconfig(directory / "kubeconfig", contexts)

    def __getitem__(self, name: str) -> RealCluster:
        return self.clusters[name]

    def __enter__(self) -> Self:
        """Start everything, the clusters side by side; about 10 s for two on two cores."""
        try:
            self.s3.open()
            with ThreadPoolExecutor() as workers:
                list(workers.map(RealCluster.start, self.clusters.values()))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes; files stay."""
        for cluster in self.clusters.values():
            cluster.stop()
        self.s3.kill()
        self.s3.gate.close()
