"""What a scope means in a cluster now, before anything is asked for."""

from collections.abc import Mapping
from typing import Any

from leeward import words
from leeward.errors import Exit
from leeward.finding import known_clusters, path
from leeward.problems import ApiError
from leeward.session import Session

_KINDS: Mapping[str, str] = {
    "all": "all namespaces",
    "production": "all production namespaces",
    "nonProduction": "all non-production namespaces",
}
_LATER = ", and every one made until then"


def told(scope: Any) -> str | None:
    """Return a scope in words."""
    if not isinstance(scope, Mapping):
        return None
    kind = scope.get("kind")
    what = words.plain(scope.get("namespaces")) if kind == "specific" else _KINDS.get(str(kind), words.plain(kind))
    without = f" without {words.plain(scope['excludedNamespaces'])}" if scope.get("excludedNamespaces") else ""
    return what + without


async def preview(session: Session, body: Mapping[str, Any], options: Mapping[str, str], source: str | None) -> Exit | None:
    """Print the namespaces that a request would be of now; nothing is asked for.

    Raises ApiError for a scope that the cluster would refuse.
    """
    cluster, scope, output = str(body["cluster"]), body["scope"], session.output
    try:
        answer = await session.client.post(path("clusters", cluster, "scope"), {"scope": scope})
    except ApiError as error:
        if error.exit_code is Exit.NOT_FOUND:
            error.hints += await known_clusters(session.client)
        raise error.told(options, body, source) from error
    if output.table:
        names = answer.get("namespaces") or []
        output.facts(
            {
                "Cluster": cluster,
                "Scope": told(scope),
                "Namespaces": words.number(len(names)) + (_LATER if answer.get("everything") else ""),
                "Left Out": answer.get("excluded"),
                "Opted Out": answer.get("optedOut"),
                "As Of": words.moment(answer.get("asOf"), seconds=True),
            }
        )
        for name in names:
            output.line(f"  {words.plain(name)}")
        if answer.get("truncated"):
            output.say("the cluster has more namespaces than it could tell")
    else:
        output.data(answer)
    if isinstance(answer.get("refusal"), Mapping):
        raise ApiError.of(answer["refusal"]).told(options, body, source)
    return None
