"""With which keys Velero uses a location: those of the Secret that the location names, or else its own."""

import base64
import binascii

from simulator.documents import Document, dig
from simulator.keys import PROFILE, Keys, read_keys
from simulator.velero.client import Client
from simulator.velero.naming import Unasked

OWN = ("cloud-credentials", "cloud")
"""Name and key of the Secret that an installation of Velero mounts as its own credentials."""


class NoCredential(Unasked):
    """The Secret that a location names does not hold what it should."""

    def __init__(self, why: str) -> None:
        super().__init__("", f"unable to get credentials: unable to get key for secret: {why}")


def keys_for(client: Client, location: Document) -> Keys | NoCredential:
    """Return the keys for a location, or why there are none to be had."""
    named = dig(location, "spec.credential")
    name, key = (str(named.get("name", "")), str(named.get("key", ""))) if named else OWN
    secret = client.find("secrets", name)
    if named and secret is None:
        return NoCredential(f'Secret "{name}" not found')
    data = (secret or {}).get("data") or {}
    if named and key not in data:
        return NoCredential(f'"{name}" secret is missing data for key "{key}"')
    return read_keys(_text(data.get(key, "")), str(dig(location, "spec.config.profile") or PROFILE))


def _text(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
