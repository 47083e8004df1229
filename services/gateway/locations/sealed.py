"""Credentials on their way to one cluster: sealed to the key that its executor has told."""

from collections.abc import Mapping

from services.gateway import reading
from services.gateway.locations.sealing import Credential, KeyUnusableError, credential_text, seal
from services.gateway.ports import Ports
from services.gateway.web.problems import ProblemError
from shared.contracts.commands import Sealed


async def sealed_for(
    ports: Ports, cluster: str, provider: str, credential: Credential | None, config: Mapping[str, str]
) -> Sealed | None:
    """Return a credential as only the executor of the cluster can read it; None without one.

    Raises the problem of a cluster whose key is not known; UnfitError when the credential is none of that provider's.
    """
    if credential is None:
        return None
    key = reading.sealing_key(await ports.store.cluster_state(cluster, "inventory.sealingKey"))
    if key is None:
        raise _keyless(cluster, "has not told the key to which a credential is sealed")
    try:
        return seal(key, credential_text(provider, credential, config))
    except KeyUnusableError as unusable:
        raise _keyless(cluster, f"has told a key that {unusable}") from None


def _keyless(cluster: str, what: str) -> ProblemError:
    words = (
        f"Cluster {cluster} {what}. Its executor tells one within a minute of coming online, if it may make and read the "
        "Secret leeward-executor-key (deploy/rbac/executor.yaml); what it lacks stands in the problems of the cluster. "
        "Or make a Secret in Velero's namespace yourself, and name it in spec.credential."
    )
    return ProblemError("sealing-key-unknown", words, errors=[{"pointer": "/credential", "detail": "cannot be sealed"}])
