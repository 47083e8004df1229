"""Bearer tokens and what each may do: as little of RBAC as it takes to see a client meet 401 and 403."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.errors import forbidden, unauthorized
from simulator.kinds import Kind


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources (plural, with the group: `backups.velero.io`) in namespaces, of some names; `*` stands for all."""

    verbs: frozenset[str]
    resources: frozenset[str]
    namespaces: frozenset[str] = frozenset("*")
    names: frozenset[str] = frozenset("*")

    def allows(self, verb: str, resource: str, namespace: str, name: str) -> bool:
        """Tell whether the rule covers a request; one for all namespaces needs `*`, and so does one without a name."""
        facts = ((verb, self.verbs), (resource, self.resources), (namespace, self.namespaces), (name, self.names))
        return all(asked in allowed or "*" in allowed for asked, allowed in facts)


@dataclass(frozen=True, slots=True)
class User:
    """Who a token belongs to. Without rules the user may do everything."""

    name: str
    rules: tuple[Rule, ...] | None = None


ADMIN = User("admin")


@dataclass(slots=True)
class Access:
    """The users of one cluster by token. Without any, everybody is an administrator."""

    tokens: dict[str, User] = field(default_factory=dict)

    def user(self, headers: Mapping[str, str]) -> User:
        """Find who asks. Raise ApiError (401) when nobody that we know does."""
        if not self.tokens:
            return ADMIN
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            raise unauthorized()
        return self.tokens[token]


def authorize(user: User, verb: str, kind: Kind, namespace: str, name: str) -> None:
    """Raise ApiError (403) unless the user may do this."""
    if user.rules is None or any(rule.allows(verb, kind.resource, namespace, name) for rule in user.rules):
        return
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {verb} resource "{kind.plural}" in API group "{kind.group}" {where}'
    raise forbidden(kind, name, why)
