"""Give each cluster a certificate authority of its own, so that a credential of one cluster is worth nothing in another."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=30)


class Pki:
    """The keys (EC P-256) and certificates of one cluster, as PEM files in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._authority_key = self._make_key("ca")
        self._authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leeward-real-ca")])
        self._issue("ca", self._authority, self._authority_key, x509.BasicConstraints(ca=True, path_length=None))
        self._issue_client("admin", "leeward-admin", organization="system:masters")
        self._issue_client("controller-manager", "system:kube-controller-manager")
        self._issue_server("apiserver")
        signing_key = self._make_key("service-accounts").public_key()
        self.service_accounts_public.write_bytes(signing_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    @property
    def ca(self) -> Path:
        return self.certificate("ca")

    @property
    def service_accounts_public(self) -> Path:
        """Checks the tokens that the key `service-accounts` signs."""
        return self.directory / "service-accounts.pub"

    def certificate(self, name: str) -> Path:
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    def pair(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of a client."""
        return self.certificate(name), self.key(name)

    def _make_key(self, name: str) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        file = self.key(name)
        file.touch(mode=0o600)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        return key

    def _issue_client(self, name: str, common_name: str, organization: str = "") -> None:
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        self._issue(name, x509.Name(attributes), self._make_key(name), usage)

    def _issue_server(self, name: str) -> None:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        self._issue(name, subject, self._make_key(name), usage, names)

    def _issue(self, name: str, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> None:
        now = dt.datetime.now(dt.UTC)  # noqa: TID251  (servers check certificates by the machine's clock)
        authority = self._authority_key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        certificate = builder.sign(self._authority_key, hashes.SHA256())
        self.certificate(name).write_bytes(certificate.public_bytes(Encoding.PEM))
