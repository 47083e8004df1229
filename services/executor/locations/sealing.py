"""The key pair of a cluster: what is sealed to it elsewhere is opened here, and nowhere else.

It lies in a Secret of Velero's namespace and is read anew each time, so that any number of executors, one after the other or at
once, have the same one, and a person who replaces it is heard. Nothing here tells the private half, not even in an error.
"""

import base64
import binascii
import contextlib
import hashlib
from dataclasses import dataclass
from typing import Final

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from services.executor.backups.choices import Refused
from services.executor.kube import SECRETS, AlreadyExistsError, ForbiddenError, Kube, KubeError, NotFoundError, Object
from shared.contracts import names
from shared.contracts.commands import Sealed
from shared.contracts.events import Problem, SealingKey
from shared.contracts.refusals import Code, refusal

HOLDER: Final = "leeward-executor-key"
"""The Secret that holds it."""
_FIELD = "private"

NOT_ALLOWED: Final = Problem(
    code="NotAllowed",
    message=f"Leeward may not make or read Secret {HOLDER}: no credential can be taken for this cluster. "
    "Apply the rights in deploy/rbac/executor.yaml.",
    object=f"Secret/{HOLDER}",
)
UNUSABLE: Final = Problem(
    code="SealingKeyUnusable",
    message=f"Secret {HOLDER} holds no key: no credential can be taken for this cluster. "
    "Delete it; Leeward makes another within a minute.",
    object=f"Secret/{HOLDER}",
)
REFUSED: Final = Problem(
    code="SealingKeyUnusable",
    message=f"The cluster does not take Secret {HOLDER}: no credential can be taken for it. "
    "See whether a quota or an admission webhook is in its way.",
    object=f"Secret/{HOLDER}",
)


class _UnusableError(Exception):
    """The Secret is there, and holds no key."""


@dataclass(slots=True)
class Sealing:
    """The key pair of one cluster, and what is wrong with it now."""

    cluster: str
    namespace: str
    kube: Kube
    problem: Problem | None = None

    async def public(self) -> SealingKey | None:
        """Return the public half, having made the pair if there was none; None, with a problem, where that cannot be.

        Raises Unavailable when the API server does not answer.
        """
        key, self.problem = await self._key_or_problem()
        if key is None:
            return None
        public = bytes(key.public_key)
        return SealingKey(id=_id(public), key=public)

    async def open(self, sealed: Sealed) -> bytes:
        """Return what was sealed.

        Raises Refused when it was sealed to another key, or is no box; Unavailable or KubeError as reading a Secret does.
        """
        with contextlib.suppress(_UnusableError, CryptoError, ValueError, TypeError):
            key = await self._key()
            if _id(bytes(key.public_key)) == sealed.key:
                return bytes(SealedBox(key).decrypt(sealed.box))
        raise Refused(refusal(Code.CREDENTIAL_UNREADABLE, cluster=self.cluster))

    async def _key_or_problem(self) -> tuple[PrivateKey | None, Problem | None]:
        try:
            return await self._key(), None
        except ForbiddenError:
            return None, NOT_ALLOWED
        except _UnusableError:
            return None, UNUSABLE
        except NotFoundError:
            return None, None  # there is no such namespace, and so no Velero: that is told elsewhere
        except KubeError:
            return None, REFUSED

    async def _key(self) -> PrivateKey:
        try:
            return _read(await self.kube.get(SECRETS, HOLDER))
        except NotFoundError:
            return _read(await self._made())

    async def _made(self) -> Object:
        private = base64.b64encode(bytes(PrivateKey.generate())).decode()
        body = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.name,
            "metadata": {"name": HOLDER, "namespace": self.namespace, "labels": {names.LABEL_CLUSTER: self.cluster}},
            "type": "Opaque",
            "data": {_FIELD: private},
        }
        try:
            return await self.kube.create(SECRETS, body)
        except AlreadyExistsError:
            return await self.kube.get(SECRETS, HOLDER)  # another executor was first


def _read(secret: Object) -> PrivateKey:
    try:
        return PrivateKey(base64.b64decode((secret.get("data") or {})[_FIELD], validate=True))
    except (KeyError, TypeError, ValueError, binascii.Error, CryptoError):
        raise _UnusableError from None


def _id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]
