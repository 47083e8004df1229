"""Asking for restores: what stands against one, making one, waiting for its end."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from leeward import arguments, asking, credentials, finding
from leeward.arguments import InCluster, Patience
from leeward.credentials import CredentialFile, CredentialFromEnv
from leeward.errors import CliError, Exit
from leeward.nouns import RESTORE
from leeward.problems import ApiError
from leeward.request import Body, body_of
from leeward.requestfile import named, request_in
from leeward.restores import form, telling
from leeward.restores.arguments import FromCluster, NameOrId
from leeward.session import Session

FIELD_PARAMETERS = arguments.fields(form.FIELDS)
Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="What to call the restore (usually BACKUP-TIME).", show_default=False),
]
_PARTS = "backup, cluster and spec"
_SOURCES: Mapping[str, str] = {"backup": "--backup", "schedule": "--schedule"}


async def create(
    session: Session,
    name: Name = None,
    *,
    from_cluster: FromCluster = None,
    credential_file: CredentialFile = None,
    credential_from_env: CredentialFromEnv = False,
    from_file: arguments.FromFile = None,
    wait: arguments.Wait = False,
    timeout: Patience = None,
    idempotency_key: arguments.IdempotencyKey = None,
    **fields: Any,
) -> Exit | None:
    """Bring back what was backed up.

    Into the same cluster, or another one (--cluster): a cluster that does not reach the backup gets a read-only storage
    location for it, with your credential if it needs one, and loses both when the restore has ended. What stands against it
    is looked at first, as `preflight` does. It is made once, however often the request has to be repeated.
    """
    patience = arguments.patience(timeout, wait=wait)
    credential = credentials.given(credential_file, from_env=credential_from_env, from_file=from_file)
    request = await _request(session, "/restores", {**fields, "name": name}, from_cluster, credential, from_file)
    return await asking.asked(session, request.repeating(idempotency_key), patience, wait=wait, noun=RESTORE)


async def preflight(
    session: Session,
    name: Name = None,
    *,
    from_cluster: FromCluster = None,
    credential_file: CredentialFile = None,
    credential_from_env: CredentialFromEnv = False,
    from_file: arguments.FromFile = None,
    **fields: Any,
) -> Exit:
    """Show what a restore would meet, and what stands against it; nothing is done.

    The exit code is 1 if it would be refused.
    """
    credential = credentials.given(credential_file, from_env=credential_from_env, from_file=from_file)
    request = await _request(session, "/restores/preflight", {**fields, "name": name}, from_cluster, credential, from_file)
    try:
        answer = await session.client.post(request.address, request.body)
    except ApiError as error:
        raise await asking.told(session, error, request) from error
    if session.output.table:
        telling.preflight(session.output, answer)
    else:
        session.output.data(answer)
    return Exit.FAILED if answer.get("blocked") else Exit.OK


async def _request(
    session: Session,
    address: str,
    given: Mapping[str, Any],
    from_cluster: str | None,
    credential: credentials.Credential | None,
    from_file: str | None,
) -> asking.Request:
    """Return what is to be sent: the backup, or the schedule, by its id.

    Raises CliError when none is named, or both, or there is none.
    """
    base = request_in(from_file, _PARTS) if from_file is not None else None
    body, options = body_of(given, form.RESTORE, base=base)
    sources = [key for key in _SOURCES if body.get(key)]
    if len(sources) != 1:
        if sources:
            raise CliError("--backup and --schedule exclude each other", Exit.USAGE)
        hint = "`leeward backup list` shows the backups"
        raise CliError(
            "say what to restore (--backup NAME, or --schedule NAME for its latest good one)", Exit.USAGE, hints=[hint]
        )
    key = sources[0]
    found = await finding.thing(session.client, key, str(body[key]), from_cluster, option="--from-cluster")
    sent: Body = {**body, key: found["id"], **({"credential": credential} if credential is not None else {})}
    if credential is not None:
        options["/credential"] = "the credential"
    source = named(from_file) if from_file is not None else None
    return asking.Request(address, sent, options, source, typed=body, facts={"cluster": found["cluster"]})


async def wait(session: Session, restore: NameOrId, cluster: InCluster = None, timeout: Patience = None) -> Exit:
    """Wait until a restore has ended, also one from another cluster until what it needed is removed; the exit code says how."""
    return await asking.waited(session, RESTORE, restore, cluster, timeout)
