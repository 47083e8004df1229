"""Credentials: taken in the words of their provider, written as Velero's plugin reads them, sealed to one cluster's key. Pure.

Nothing here can show a secret by accident: it has no repr, no dump and no error that would carry it.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from nacl.exceptions import CryptoError
from nacl.public import PublicKey, SealedBox
from pydantic import AfterValidator, Field, Secret, SecretStr, model_validator

from shared.contracts.base import Wire
from shared.contracts.commands import Sealed
from shared.contracts.events import SealingKey
from shared.contracts.locationspec import Provider, provider_of

MAX_FILE = 64 * 1024
"""Characters of a credential file."""
_LINE = re.compile(r"[\x21-\x7e]+")
_PLAIN = re.compile(r"[-A-Za-z0-9_.~+/=]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
AZURE_KEY_VARIABLE = "storageAccountKeyEnvVar"
"""The setting that tells Velero's plugin under which name the key of a storage account stands in the file."""
_AWS_PROFILE = "profile"


def _line(value: SecretStr) -> SecretStr:
    if not _LINE.fullmatch(value.get_secret_value()):
        raise ValueError("must be printable ASCII without a space; give the credential as `file` if it has others")
    return value


def _text(value: SecretStr) -> SecretStr:
    if "\x00" in value.get_secret_value():
        raise ValueError("must be text")
    return value


Line = Annotated[SecretStr, Field(min_length=1, max_length=4096), AfterValidator(_line)]


class Credential(Wire):
    """What opens an object storage, in the words of its provider. It is sealed on arrival and never shown again.

    One of: `accessKeyId` and `secretAccessKey`, with a `sessionToken` if there is one (aws); `storageAccountKey`, or
    `tenantId`, `clientId` and `clientSecret`, with a `subscriptionId` if there is one (azure); `serviceAccountKey`, the JSON of
    its file (gcp); `file`, the text of the file that Velero's plugin reads (any provider).
    """

    access_key_id: Line | None = None
    secret_access_key: Line | None = None
    session_token: Line | None = None
    storage_account_key: Line | None = None
    tenant_id: Line | None = None
    client_id: Line | None = None
    client_secret: Line | None = None
    subscription_id: Line | None = None
    service_account_key: Secret[dict[str, Any]] | None = None
    file: Annotated[SecretStr, Field(min_length=1, max_length=MAX_FILE), AfterValidator(_text)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if form_of(self) is None:
            raise ValueError(f"must be one of: {'; '.join(form.words for form in FORMS)}")
        return self

    def said(self) -> frozenset[str]:
        """Return the names of what is given."""
        return frozenset(
            info.alias or name for name, info in type(self).model_fields.items() if getattr(self, name) is not None
        )


Config = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Form:
    """One way to give a credential: its fields, whose it is (None: anybody's), the setting it needs, how it is written."""

    needed: frozenset[str]
    provider: Provider | None
    write: Callable[[Credential, Config], str]
    optional: frozenset[str] = field(default=frozenset())
    setting: str | None = None

    @property
    def words(self) -> str:
        """The form as a person is told of it."""
        whose = f" ({self.provider})" if self.provider else ""
        maybe = f" [{', '.join(sorted(self.optional))}]" if self.optional else ""
        return f"{', '.join(sorted(self.needed))}{maybe}{whose}"


def form_of(credential: Credential) -> Form | None:
    """Return the form that a credential has; None if it is of none, or of several at once."""
    said = credential.said()
    return next((form for form in FORMS if form.needed <= said <= form.needed | form.optional), None)


def _shown(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _aws(credential: Credential, config: Config) -> str:
    lines = {
        "aws_access_key_id": credential.access_key_id,
        "aws_secret_access_key": credential.secret_access_key,
        "aws_session_token": credential.session_token,
    }
    said = "".join(f"{name}={_shown(secret)}\n" for name, secret in lines.items() if secret)
    return f"[{config.get(_AWS_PROFILE) or 'default'}]\n{said}"


def _environment(lines: Mapping[str, SecretStr | None]) -> str:
    """Write lines of an environment file; what could mean something else there stands in quotes."""
    return "".join(f"{name}={_quoted(_shown(secret))}\n" for name, secret in lines.items() if secret)


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _azure_key(credential: Credential, config: Config) -> str:
    return _environment({config[AZURE_KEY_VARIABLE]: credential.storage_account_key})


def _azure_principal(credential: Credential, _config: Config) -> str:
    return _environment(
        {
            "AZURE_SUBSCRIPTION_ID": credential.subscription_id,
            "AZURE_TENANT_ID": credential.tenant_id,
            "AZURE_CLIENT_ID": credential.client_id,
            "AZURE_CLIENT_SECRET": credential.client_secret,
        }
    )


def _gcp(credential: Credential, _config: Config) -> str:
    key = credential.service_account_key
    return json.dumps(key.get_secret_value() if key else {}, indent=2)


def _file(credential: Credential, _config: Config) -> str:
    return _shown(credential.file)


FORMS = (
    Form(frozenset({"accessKeyId", "secretAccessKey"}), Provider.AWS, _aws, frozenset({"sessionToken"})),
    Form(frozenset({"storageAccountKey"}), Provider.AZURE, _azure_key, setting=AZURE_KEY_VARIABLE),
    Form(frozenset({"tenantId", "clientId", "clientSecret"}), Provider.AZURE, _azure_principal, frozenset({"subscriptionId"})),
    Form(frozenset({"serviceAccountKey"}), Provider.GCP, _gcp),
    Form(frozenset({"file"}), None, _file),
)
"""Every way to give a credential. No two have a field in common."""


class UnfitError(ValueError):
    """The credential is none of this provider's, or the config does not say how it is to be written; `pointer` tells where."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.detail = detail


def credential_text(provider: str, credential: Credential, config: Config | None = None) -> str:
    """Return the text of the file that Velero's plugin of that provider reads.

    `config` is that of the location: it names the profile (aws) and the variable of the key (azure).
    Raises UnfitError.
    """
    form, settings = form_of(credential), config or {}
    assert form is not None  # noqa: S101 - a credential of no form cannot be made
    if form.provider is not None and form.provider is not provider_of(provider):
        ours = [each.words for each in FORMS if each.provider in {None, provider_of(provider)}]
        raise UnfitError("/credential", f"is for {form.provider}; a credential for {provider} is one of: {'; '.join(ours)}")
    if form.setting and not _VARIABLE.fullmatch(settings.get(form.setting, "")):
        words = (
            f"needs {form.setting}: the name under which the key stands in the file, such as AZURE_STORAGE_ACCOUNT_ACCESS_KEY"
        )
        raise UnfitError("/spec/config", words)
    return form.write(credential, settings)


class KeyUnusableError(ValueError):
    """What a cluster told as its public key is none."""


def seal(key: SealingKey, text: str) -> Sealed:
    """Seal a text, so that only the executor that has the private half of the key can read it.

    Raises KeyUnusableError.
    """
    try:
        box = SealedBox(PublicKey(key.key))
        return Sealed(key=key.id, box=box.encrypt(text.encode()))
    except (CryptoError, TypeError, ValueError):
        raise KeyUnusableError("is no Curve25519 public key") from None
