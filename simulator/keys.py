"""Access keys of the storage: how a client is given them, and which bucket lets whom in."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field

PROFILE = "default"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a client signs its requests with. Without an id it cannot sign any."""

    id: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a bucket does not let a client in, as the client words it."""

    code: str
    words: str


_UNSIGNED = Refused(
    "",
    "get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found, operation error ec2imds: "
    'GetMetadata, access disabled to EC2 IMDS via client option, or "AWS_EC2_METADATA_DISABLED" environment variable',
)
_UNKNOWN = Refused("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
_WRONG = Refused(
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
)


def read_keys(text: str, profile: str = PROFILE) -> Keys:
    """Return the keys of a profile of a credential file of AWS; none from what is no such file."""
    file = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        file.read_string(text)
        section = file[profile]
    except (configparser.Error, KeyError):
        return Keys()
    return Keys(section.get("aws_access_key_id", ""), section.get("aws_secret_access_key", ""))


class Doors:
    """Which keys each bucket asks for; one that is not locked lets everybody in."""

    def __init__(self) -> None:
        self._secrets: dict[str, dict[str, str]] = {}

    def lock(self, bucket: str, secrets: Mapping[str, str] | None = None) -> None:
        """Let only these keys (secrets by id) into a bucket from now on."""
        self._secrets[bucket] = dict(secrets or {})

    def admit(self, bucket: str, identity: str, secret: str) -> None:
        """Let these keys into a locked bucket, too, or instead of the ones with this id."""
        self._secrets[bucket][identity] = secret

    def dismiss(self, bucket: str, identity: str) -> None:
        """Let the keys with this id in no more."""
        self._secrets[bucket].pop(identity, None)

    def open(self, bucket: str) -> None:
        """Let everybody into a bucket."""
        self._secrets.pop(bucket, None)

    def open_all(self) -> None:
        """Let everybody in everywhere."""
        self._secrets.clear()

    @property
    def locked(self) -> list[str]:
        """The buckets that ask for keys."""
        return sorted(self._secrets)

    def secret(self, bucket: str, identity: str) -> str:
        """Return the secret that goes with an id at a bucket, empty where there is none."""
        return self._secrets.get(bucket, {}).get(identity, "")

    def refusal(self, bucket: str, keys: Keys) -> Refused | None:
        """Return why these keys do not open a bucket, if they do not."""
        wanted = self._secrets.get(bucket)
        if wanted is None or (keys.id in wanted and wanted[keys.id] == keys.secret):
            return None
        if not keys.id:
            return _UNSIGNED
        return _WRONG if keys.id in wanted else _UNKNOWN
