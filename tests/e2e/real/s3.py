"""Be the object storage that all clusters share, and let a test see what is really in the bucket."""

from pathlib import Path
from xml.etree import ElementTree as ET

import httpx2

from tests.e2e.real import layout
from tests.e2e.real.gate import Gate
from tests.e2e.real.pki import Pki
from tests.e2e.real.processes import Process, free_port

BUCKET, VAULT = "velero", "vault"


def credential_file(identity: str, secret: str) -> str:
    """A credential file as Velero's plugin reads it."""
    return f"[default]\naws_access_key_id={identity}\naws_secret_access_key={secret}\n"


CREDENTIALS = credential_file("leeward", "leeward")
"""Any will do for the server itself, which checks no signature; its gate does, and does not let these in."""


class S3Server(Process):
    """moto's S3 (and EC2, for volume snapshots) with two buckets; what it holds goes with the process.

    Both can be reached past the gate, by anybody, and through it, with the keys that it lets in.
    """

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.pki = Pki(directory / "s3-pki")
        self.gate = Gate(free_port(), free_port(), self.port, self.pki.pair("apiserver"))
        super().__init__("s3", [layout.MOTO_SERVER, "-H", "127.0.0.1", "-p", str(self.port)], directory)
        headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=leeward/20260101/us-east-1/s3/aws4_request"}
        self._client = httpx2.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30)

    def open(self) -> None:
        """Start the server with its gate and make the buckets."""
        self.start(lambda: self._client.get("/moto-api/data.json").is_success)
        self.gate.open()
        for bucket in (BUCKET, VAULT):
            self._client.put(f"/{bucket}").raise_for_status()

    @property
    def ports(self) -> tuple[int, ...]:
        """Where it can be reached."""
        return self.port, self.gate.port, self.gate.tls_port

    def keys(self, prefix: str = "") -> list[str]:
        """Keys that begin with `prefix`, in order."""
        found: list[str] = []
        query = {"list-type": "2", "prefix": prefix}
        while True:
            page = ET.fromstring(self._client.get(f"/{BUCKET}", params=query).raise_for_status().content)
            found += [key.text or "" for key in page.iterfind("{*}Contents/{*}Key")]
            if not (token := page.findtext("{*}NextContinuationToken")):
                return found
            query["continuation-token"] = token

    def make_volume(self, zone: str) -> str:
        """The id of a new EC2 volume of one gibibyte."""
        query = {"Action": "CreateVolume", "Version": "2016-11-15", "Size": "1", "AvailabilityZone": zone}
        headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=leeward/20260101/us-east-1/ec2/aws4_request"}
        answer = self._client.post("/", data=query, headers=headers).raise_for_status()
        return ET.fromstring(answer.content).findtext("{*}volumeId") or ""

    def get(self, key: str) -> bytes:
        """The bytes of one object."""
        return self._client.get(f"/{BUCKET}/{key}").raise_for_status().content

    def put(self, key: str, data: bytes) -> None:
        """Put an object there, past Velero."""
        self._client.put(f"/{BUCKET}/{key}", content=data).raise_for_status()

    def remove(self, key: str) -> None:
        """Remove one object, past Velero."""
        self._client.delete(f"/{BUCKET}/{key}").raise_for_status()
