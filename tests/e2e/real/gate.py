"""Be a door in front of the object storage that checks signatures, because the storage itself (moto) checks none of URLs.

moto can be told to check who asks (INITIAL_NO_AUTH_ACTION_COUNT), but then it fails on every signed URL, by which Velero
hands out logs and results. So this door computes each signature itself, as AWS documents it (Signature Version 4, in the
Authorization header or in the query), answers as S3 does when it is wrong, and otherwise passes the request on as it is.
"""

import hashlib
import hmac
import http.client
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
REFUSALS = {
    "AccessDenied": "Access Denied",
    "InvalidAccessKeyId": "The AWS Access Key Id you provided does not exist in our records.",
    "SignatureDoesNotMatch": (
        "The request signature we calculated does not match the signature you provided. Check your key and signing method."
    ),
}
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True)
class Signed:
    """What a request says of its signature."""

    identity: str
    scope: str
    headers: list[str]
    signature: str
    moment: str
    payload: str
    query: list[tuple[str, str]]


def read_signature(target: str, headers: Mapping[str, str]) -> Signed | None:
    """What the query or the Authorization header says; None without a signature."""
    query = parse_qsl(urlsplit(target).query, keep_blank_values=True)
    asked = dict(query)
    if "X-Amz-Signature" in asked:
        rest = [pair for pair in query if pair[0] != "X-Amz-Signature"]
        credential, signed, signature = (asked[f"X-Amz-{part}"] for part in ("Credential", "SignedHeaders", "Signature"))
        moment, payload = asked["X-Amz-Date"], "UNSIGNED-PAYLOAD"
    else:
        scheme, _, told = headers.get("authorization", "").partition(" ")
        if scheme != ALGORITHM:
            return None
        facts = dict(part.strip().partition("=")[::2] for part in told.split(","))
        credential, signed, signature, rest = facts["Credential"], facts["SignedHeaders"], facts["Signature"], query
        moment, payload = headers["x-amz-date"], headers["x-amz-content-sha256"]
    identity, _, scope = credential.partition("/")
    return Signed(identity, scope, signed.split(";"), signature, moment, payload, rest)


def sign(signed: Signed, secret: str, method: str, target: str, headers: Mapping[str, str]) -> str:
    """The signature that a request should have."""
    path = quote(unquote(urlsplit(target).path), safe="/-_.~")
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in signed.query)
    told = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signed.headers)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    request = "\n".join([method, path, query, told, ";".join(signed.headers), signed.payload])
    text = "\n".join([ALGORITHM, signed.moment, signed.scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in signed.scope.split("/"):
        key = _mac(key, part)
    return _mac(key, text).hex()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Gate:
    """Listens on `port`, and on `tls_port` with a certificate. It lets in the keys in `secrets` (by id), none at first."""

    def __init__(self, port: int, tls_port: int, behind: int, certificate: tuple[Path, Path]) -> None:
        self.port, self.tls_port, self.behind = port, tls_port, behind
        self.url, self.tls_url = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
        self.secrets: dict[str, str] = {}
        self._certificate = certificate
        self._servers: list[_Server] = []

    def open(self) -> None:
        """Listen, unless it does already."""
        if self._servers:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._certificate)
        methods = ("GET", "HEAD", "PUT", "POST", "DELETE")
        handler = type("Handler", (_Handler,), {"gate": self, **{f"do_{method}": _Handler.answer for method in methods}})
        self._servers = [_Server(("127.0.0.1", port), handler) for port in (self.port, self.tls_port)]
        self._servers[1].socket = context.wrap_socket(self._servers[1].socket, server_side=True, do_handshake_on_connect=False)
        for server in self._servers:
            threading.Thread(target=server.serve_forever, name="gate", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []

    def refusal(self, method: str, target: str, headers: Mapping[str, str]) -> str:
        """The code by which a request is refused; empty if it is let in."""
        signed = read_signature(target, headers)
        if signed is None:
            return "AccessDenied"
        if signed.identity not in self.secrets:
            return "InvalidAccessKeyId"
        right = sign(signed, self.secrets[signed.identity], method, target, headers)
        return "" if hmac.compare_digest(right, signed.signature) else "SignatureDoesNotMatch"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients break off, and some do not like the certificate."""


class _Handler(BaseHTTPRequestHandler):
    gate: Gate
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Refuse a request, or pass it on."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if code := self.gate.refusal(self.command, self.path, headers):
            text = f"<Error><Code>{code}</Code><Message>{REFUSALS[code]}</Message><RequestId>R</RequestId></Error>".encode()
            self._answer(403, {"Content-Type": "application/xml"}, text)
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.behind, timeout=60)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            self._answer(answer.status, kept, answer.read(), answer.getheader("content-length", "0"))
        except OSError:
            self.close_connection = True
        finally:
            connection.close()

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, length: str = "") -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
