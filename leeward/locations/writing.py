"""Making and changing locations, and giving one a new credential."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer

from leeward import arguments, asking, completion, credentials
from leeward.arguments import InCluster, Patience
from leeward.credentials import CredentialFile, CredentialFromEnv
from leeward.errors import CliError, Exit, UnreachableError
from leeward.locations import settling
from leeward.locations.arguments import Name, SharedBucket, Wait
from leeward.locations.looking import find
from leeward.locations.sorts import Sort
from leeward.problems import ApiError
from leeward.request import Body, body_of
from leeward.requestfile import named, request_in
from leeward.session import Session

_PARTS = "name and spec"


async def create(
    sort: Sort,
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What to call it.", show_default=False)] = None,
    *,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", "-c", metavar="CLUSTER", help="The cluster to make it in.", autocompletion=completion.clusters
        ),
    ] = None,
    credential_file: CredentialFile = None,
    credential_from_env: CredentialFromEnv = False,
    allow_shared_bucket: SharedBucket = False,
    from_file: arguments.FromFile = None,
    deadline: arguments.Deadline = None,
    wait: Wait = False,
    timeout: Patience = None,
    idempotency_key: arguments.IdempotencyKey = None,
    **fields: Any,
) -> Exit | None:
    """Make a {noun} in a cluster.

    A credential is sealed so that only that cluster can read it, and becomes a Secret there. Without one, Velero's own is used.
    """
    patience = arguments.patience(timeout, wait=wait)
    if cluster is None:
        raise CliError("say in which cluster (--cluster; `leeward cluster list` shows them)", Exit.USAGE)
    credential = credentials.given(credential_file, from_env=credential_from_env, from_file=from_file)
    base = request_in(from_file, _PARTS) if from_file is not None else None
    body, options = body_of({**fields, "name": name}, sort.form, base=base)
    sent = _with(body, credential, deadline)
    request = asking.Request(
        sort.address(cluster), sent, {**options, **_OPTIONS}, _source(from_file), idempotency_key, {**body, "cluster": cluster}
    )
    answer = await asking.sent(session, request, _shared(allow_shared_bucket))
    begin = settling.Seen.of(sort, cluster, str(sent["name"]), answer, before=None)
    return await settling.settled(session, begin, "is made", patience, wait=wait)


async def edit(
    sort: Sort,
    session: Session,
    name: Name,
    *,
    cluster: InCluster = None,
    credential_file: CredentialFile = None,
    credential_from_env: CredentialFromEnv = False,
    allow_shared_bucket: SharedBucket = False,
    from_file: arguments.FromFile = None,
    unset: arguments.Unset = [],  # noqa: B006 - Typer copies it
    deadline: arguments.Deadline = None,
    wait: Wait = False,
    timeout: Patience = None,
    **fields: Any,
) -> Exit | None:
    """Change a {noun}.

    An option replaces all that its field says. One that somebody else has changed in the same moment is not overwritten.
    """
    patience = arguments.patience(timeout, wait=wait)
    credential = credentials.given(credential_file, from_env=credential_from_env, from_file=from_file)
    base = request_in(from_file, _PARTS) if from_file is not None else None
    found = await find(session.client, sort, name, cluster)
    item, version = await session.client.tagged(sort.address(found["cluster"], name))
    now = {"name": name, "cluster": found["cluster"], "spec": item.get("spec") or {}}
    changes, options = sort.change.of(now, fields, unset, base=base)
    said = allow_shared_bucket and not item.get("sharedBucket")
    if not changes and credential is None and not said:
        raise CliError(f"{sort.words} {name} is like that already: say what is to change", Exit.USAGE)
    request = asking.Request(
        sort.address(found["cluster"], name), _with(changes, credential, deadline), {**options, **_OPTIONS}, _source(from_file)
    )
    return await _changed(
        session, sort, item, request, version, _shared(allow_shared_bucket), "is changed", patience, wait=wait
    )


async def rotate(
    sort: Sort,
    session: Session,
    name: Name,
    *,
    cluster: InCluster = None,
    credential_file: CredentialFile = None,
    credential_from_env: CredentialFromEnv = False,
    deadline: arguments.Deadline = None,
    wait: Wait = False,
    timeout: Patience = None,
) -> Exit | None:
    """Give a {noun} a new credential, and change nothing else."""
    patience = arguments.patience(timeout, wait=wait)
    credential = credentials.given(credential_file, from_env=credential_from_env)
    if credential is None:
        raise CliError(f"say which credential ({credentials.FILE}, or {credentials.FROM_ENV})", Exit.USAGE)
    item = await find(session.client, sort, name, cluster)
    request = asking.Request(sort.address(item["cluster"], name), _with({}, credential, deadline), _OPTIONS)
    return await _changed(session, sort, item, request, None, None, "has a new credential", patience, wait=wait)


_OPTIONS: Mapping[str, str] = {"/credential": "the credential", "/deadline": "--deadline", "/cluster": "--cluster"}


async def _changed(
    session: Session,
    sort: Sort,
    item: Mapping[str, Any],
    request: asking.Request,
    version: str | None,
    params: Mapping[str, str] | None,
    what: str,
    patience: timedelta | None,
    *,
    wait: bool,
) -> Exit | None:
    """Send the change of a location, and say what has become of it."""
    try:
        answer = await session.client.patch(request.address, request.body, version, params)
    except ApiError as error:
        raise request.told(error) from error
    except UnreachableError as error:
        if error.sent:
            error.hints.append(f"it may have been taken: `leeward {sort.command} describe {item['name']}` shows it")
        raise
    begin = settling.Seen.of(sort, item["cluster"], item["name"], answer, before=item.get("lastValidatedAt"))
    return await settling.settled(session, begin, what, patience, wait=wait)


def _with(body: Body, credential: credentials.Credential | None, deadline: str | None) -> Body:
    more = {"credential": credential, "deadline": deadline}
    return {**body, **{key: value for key, value in more.items() if value is not None}}


def _shared(allowed: bool) -> dict[str, str] | None:
    return {"allowSharedBucket": "true"} if allowed else None


def _source(from_file: str | None) -> str | None:
    return named(from_file) if from_file is not None else None
