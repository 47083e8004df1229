"""Be one Kubernetes cluster with a Velero in it: etcd, API server, controller manager, Velero, and handles to hurt them."""

import sys
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import yaml

from shared.runtime.clock import now
from tests.e2e.real import layout, netns
from tests.e2e.real.access import Access, write_kubeconfig
from tests.e2e.real.api import Json, KubeApi, velero_path
from tests.e2e.real.installation import manifest, velero_installation, workload
from tests.e2e.real.pki import Pki
from tests.e2e.real.processes import Process, free_port
from tests.e2e.real.s3 import CREDENTIALS, S3Server
from tests.e2e.real.waiting import eventually

CONTROLLERS = (
    "*,-node-lifecycle-controller,-node-ipam-controller,-cloud-node-lifecycle-controller,"
    "-service-lb-controller,-node-route-controller"
)
VELERO_PACE = (
    "--backup-sync-period=5s",
    "--store-validation-frequency=5s",
    "--garbage-collection-frequency=10s",
    "--item-operation-sync-frequency=1s",
    # For so long a Restore's finalizer tries to write to what was deleted at the moment of its completion, and all others wait.
    # A Backup's takes no notice of this, and tries ever more seldom without end.
    "--resource-timeout=1m",
    # With one at a time a wake-up is often lost, and the next backup waits a minute in the queue.
    "--concurrent-backups=10",
)
_DEFAULT = velero_path("backupstoragelocations", "default")
FINISHED = {"Completed", "PartiallyFailed", "Failed", "FailedValidation"}


class RealCluster:
    """One cluster: etcd, ports, certificates and files of its own; it shares only the bucket, writing under `prefix`."""

    def __init__(self, name: str, directory: Path, s3: S3Server, prefix: str) -> None:
        directory.mkdir(parents=True)
        self.name, self.directory, self.s3, self.prefix = name, directory, s3, prefix
        self.port = free_port()
        self.server = f"https://127.0.0.1:{self.port}"
        self.pki = Pki(directory / "pki")
        self.admin = Access(self.server, self.pki.ca, self.pki.pair("admin"))
        self.api = KubeApi(self.admin)
        self.kubeconfig = write_kubeconfig(directory / "admin.kubeconfig", {name: self.admin})
        self._etcd_url = f"http://127.0.0.1:{free_port()}"
        self._etcd = self._make_etcd()
        self._apiserver = self._make_apiserver()
        self._controller_manager = self._make_controller_manager()
        self._velero = self._make_velero()

    # The cluster as a whole

    def start(self) -> None:
        """From nothing to a Velero that answers: about 8 s."""
        self._etcd.start()
        self.start_apiserver()
        self._controller_manager.start()
        self._install_velero()
        self.start_velero()

    def stop(self) -> None:
        """End every process at once: nothing here is worth a graceful shutdown."""
        self.kill_velero()
        for process in (self._controller_manager, self._apiserver, self._etcd):
            process.kill()

    # The API server

    def start_apiserver(self) -> None:
        """Start it and wait until it is ready: 3 to 5 s."""
        self._apiserver.start(self.api.is_ready, timeout=120)

    def kill_apiserver(self) -> None:
        """kill -9: connections break."""
        self._apiserver.kill()

    def pause_apiserver(self) -> None:
        """Freeze it: clients hang rather than fail."""
        self._apiserver.pause()

    def resume_apiserver(self) -> None:
        """Let it run on; watches go on where they were."""
        self._apiserver.resume()

    # Velero

    def start_velero(self) -> None:
        """Start it and wait until it answers and its storage location is Available: 1 to 4 s."""
        left = {name for name, phase in self.phases().items() if phase == "ReadyToStart"}
        # Only a living Velero processes a ServerStatusRequest; the phase of the location may be left from its last life.
        request = manifest("ServerStatusRequest", "", "velero.io/v1")
        request["metadata"]["generateName"] = "up-"
        status_request = velero_path("serverstatusrequests", self.api.create(request)["metadata"]["name"])
        self._velero.start(lambda: self._phase(status_request) == "Processed", timeout=120)
        self.api.delete(status_request)
        eventually(f"storage location of {self.name}", lambda: self._phase(_DEFAULT) == "Available")
        for name, phase in self.phases().items():
            if phase == "ReadyToStart" and name not in left:  # got ready before anybody listened: it lies there until touched
                self.api.patch(velero_path("backups", name), {"metadata": {"labels": {"touched": "true"}}})

    def launch_velero(self) -> None:
        """Start it without waiting for an answer, which may never come."""
        self._velero.start()

    def stop_velero(self) -> None:
        """Let it end by itself, as when its Pod is deleted."""
        self._velero.stop(patience=30)

    def kill_velero(self) -> None:
        """kill -9, its plugins with it, as when its container is killed."""
        self._velero.kill(netns.KILL)

    def cut_velero(self) -> None:
        """Cut it off from the API server and the bucket: connections break, new ones are refused.

        It does not look at its storage meanwhile, because it might say what it saw just after the link is mended.
        """
        before = self._validated()
        eventually("the next second", lambda: now() >= datetime.fromisoformat(before) + timedelta(seconds=1))
        self.api.patch(_DEFAULT, {"spec": {"validationFrequency": "1h"}})  # it looks once for that
        eventually(f"{self.name} to look at its storage", lambda: self._validated() != before)
        self._velero.send(netns.CUT)

    def mend_velero(self) -> None:
        """Undo `cut_velero`."""
        self._velero.send(netns.MEND)
        self.api.patch(_DEFAULT, {"spec": {"validationFrequency": None}})

    # What a test asks for

    def executor_access(self) -> Access:
        """Let an executor in with the rights of deploy/rbac/executor.yaml, so that a right too few shows."""
        for item in yaml.safe_load_all(layout.EXECUTOR_RBAC.read_text()):
            self.api.ensure(item)
        return Access(self.server, self.pki.ca, token=self.api.token("velero", "leeward-executor"))

    def seed_workload(self, namespace: str, **labels: str) -> None:
        """Create a labelled namespace with Deployments, ConfigMaps and Secrets, unless it is there."""
        for item in workload(namespace, labels):
            self.api.ensure(item)

    def create_backup(self, name: str, **spec: object) -> Json:
        """Create a Backup directly, past Leeward."""
        return self.api.create(manifest("Backup", name, "velero.io/v1", spec=spec))

    def finished_backup(self, name: str, *, timeout: float = 130) -> Json:
        """The Backup, once its phase is final."""
        path = velero_path("backups", name)
        eventually(f"backup {name} on {self.name} to finish", lambda: self._phase(path) in FINISHED, timeout=timeout)
        return self.api.get(path)

    def _validated(self) -> str:
        return str(self.api.get(_DEFAULT)["status"]["lastValidationTime"])

    def phases(self) -> dict[str, str]:
        """The phase of every Backup, by name."""
        items = self.api.get(velero_path("backups"))["items"]
        return {item["metadata"]["name"]: item.get("status", {}).get("phase", "") for item in items}

    def _phase(self, path: str) -> str:
        return str(self.api.get(path).get("status", {}).get("phase", ""))

    def _install_velero(self) -> None:
        definitions = [yaml.safe_load(file.read_text()) for file in sorted(layout.CRDS.rglob("*.yaml"))]
        for definition in definitions:
            self.api.ensure(definition)
        for definition in definitions:
            served = f"/apis/velero.io/{definition['spec']['versions'][0]['name']}/{definition['spec']['names']['plural']}"
            eventually(f"{served} on {self.name}", partial(self.api.get, served))
        for item in velero_installation(self.s3, self.prefix):
            self.api.ensure(item)
        velero = Access(self.server, self.pki.ca, token=self.api.token("velero", "velero"))
        write_kubeconfig(self.directory / "velero.kubeconfig", {self.name: velero})

    # How each process is started

    def _make_etcd(self) -> Process:
        peer = f"http://127.0.0.1:{free_port()}"
        return Process(
            "etcd",
            [
                layout.ETCD,
                f"--data-dir={self.directory}/etcd",
                f"--listen-client-urls={self._etcd_url}",
                f"--advertise-client-urls={self._etcd_url}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
            self.directory,
        )

    def _make_apiserver(self) -> Process:
        return Process(
            "apiserver",
            [
                layout.KUBE_APISERVER,
                f"--etcd-servers={self._etcd_url}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",  # any other refuses to advertise a loopback address
                f"--secure-port={self.port}",
                f"--tls-cert-file={self.pki.certificate('apiserver')}",
                f"--tls-private-key-file={self.pki.key('apiserver')}",
                f"--client-ca-file={self.pki.ca}",
                "--authorization-mode=RBAC",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={self.pki.service_accounts_public}",
                f"--service-account-signing-key-file={self.pki.key('service-accounts')}",
                "--service-cluster-ip-range=10.96.0.0/24",
                "--profiling=false",
            ],
            self.directory,
        )

    def _make_controller_manager(self) -> Process:
        access = Access(self.server, self.pki.ca, self.pki.pair("controller-manager"))
        kubeconfig = write_kubeconfig(self.directory / "controller-manager.kubeconfig", {self.name: access})
        return Process(
            "controller-manager",
            [
                layout.KUBE_CONTROLLER_MANAGER,
                f"--kubeconfig={kubeconfig}",
                "--secure-port=0",
                "--leader-elect=false",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={self.pki.key('service-accounts')}",
                f"--root-ca-file={self.pki.ca}",
                f"--controllers={CONTROLLERS}",
            ],
            self.directory,
        )

    def _make_velero(self) -> Process:
        scratch, credentials = self.directory / "tmp", self.directory / "credentials"
        scratch.mkdir()
        credentials.write_text(CREDENTIALS)
        return Process(
            "velero",
            [
                *(sys.executable, netns.__file__, str(self.port), *map(str, self.s3.ports), "--"),
                *(layout.VELERO, "server", "--namespace=velero", "--log-format=json"),
                f"--kubeconfig={self.directory}/velero.kubeconfig",
                f"--plugin-dir={layout.PLUGINS}",
                *VELERO_PACE,
            ],
            self.directory,
            {
                "TMPDIR": str(scratch),
                "VELERO_NAMESPACE": "velero",
                "AWS_ENDPOINT_URL_EC2": self.s3.url,
                "AWS_EC2_METADATA_DISABLED": "true",
                # Its own credentials, for locations that name none. The file of one that is named it writes anew for every use,
                # and whoever reads it in that instant finds it empty, and fails.
                "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
            },
        )
