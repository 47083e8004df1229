"""Where every message goes: the only place that builds or reads a NATS subject.

`lw.<family>.<cluster>.…`: the cluster is always the third token, so that what a cluster may say and hear is one wildcard.
"""

from dataclasses import dataclass

from shared.contracts.ids import is_cluster_id, is_token


class SubjectError(ValueError):
    """The text is not a subject of Leeward's."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject taken apart. `noun` and `verb` name the type; `id` is an operation id, an object's uid or a view's id."""

    family: str
    cluster: str
    noun: str
    verb: str
    id: str | None = None


def command(cluster: str, noun: str, verb: str, operation_id: str) -> str:
    """Do this once."""
    return _join("cmd", cluster, noun, verb, operation_id)


def observed(cluster: str, noun: str, uid: str) -> str:
    """Name the subject of an object as the cluster shows it now."""
    return _join("evt", cluster, noun, "observed", uid)


def snapshot(cluster: str, noun: str) -> str:
    """Name the subject of what exists after a list, in pages."""
    return _join("evt", cluster, noun, "snapshot")


def operation(cluster: str, verb: str, operation_id: str) -> str:
    """Name the subject of what became of a command: `accepted`, `rejected`, `step` or `finished`."""
    return _join("evt", cluster, "operation", verb, operation_id)


def inventory(cluster: str) -> str:
    """Name the subject of a cluster's versions, namespaces and kinds."""
    return _join("evt", cluster, "inventory")


def presence(cluster: str) -> str:
    """Name the subject that says when the API server and Velero last answered."""
    return _join("evt", cluster, "presence")


def state(cluster: str, noun: str, status: str, view_id: str) -> str:
    """Name the subject of a change of a status that people see: the public feed."""
    return _join("state", cluster, noun, status, view_id)


def live(cluster: str, noun: str, view_id: str) -> str:
    """Name the subject of progress, which is not stored."""
    return _join("live", cluster, noun, view_id)


def hint(schedule_id: str) -> str:
    """Name the subject that says that something about a schedule has changed. Not stored; of no cluster."""
    if not is_token(schedule_id):
        raise SubjectError(f"not the id of a schedule: {schedule_id!r}")
    return f"lw.hint.schedule.{schedule_id}"


def artifact(cluster: str, *, agent: bool) -> str:
    """Ask for a piece of an artifact: the agent inside the cluster, or the executor at the hub. Not stored."""
    return _join("rpc" if agent else "hub", cluster, "artifact", "read")


def survey(cluster: str, *, agent: bool) -> str:
    """Ask what is in a backup. Not stored."""
    return _join("rpc" if agent else "hub", cluster, "backup", "survey")


def look(cluster: str, *, agent: bool) -> str:
    """Ask what a restore would meet. Not stored."""
    return _join("rpc" if agent else "hub", cluster, "restore", "look")


def measured(cluster: str, uid: str, noun: str = "backup") -> str:
    """Name the subject of what was found out about a backup, or a restore, that has ended."""
    return _join("evt", cluster, noun, "measured", uid)


def captured(cluster: str, uid: str, noun: str = "backup") -> str:
    """Name the subject of texts that outlive their backup or restore."""
    return _join("evt", cluster, noun, "captured", uid)


def dead_letter(stream: str, consumer: str) -> str:
    """Name the subject of a message given up on."""
    return f"lw.dlq.{stream}.{consumer}"


def stored_command(operation_id: str) -> str:
    """Return the filter that finds the command of an operation, whatever its cluster, noun and verb."""
    if not is_token(operation_id):
        raise SubjectError(f"not an operation id: {operation_id!r}")
    return f"lw.cmd.*.*.*.{operation_id}"


def commands_of(cluster: str) -> str:
    """Return the filter for every command to one cluster."""
    return _join("cmd", cluster) + ".>"


def parse(subject: str) -> Subject:
    """Take a subject apart; one of a dead letter names no cluster.

    Raises SubjectError for anything that is not ours.
    """
    match subject.split("."):
        case ["lw", "cmd", cluster, noun, verb, operation_id]:
            return Subject("cmd", cluster, noun, verb, operation_id)
        case ["lw", "evt", cluster, ("inventory" | "presence") as noun]:
            return Subject("evt", cluster, noun, "observed")
        case ["lw", "evt", cluster, noun, "snapshot"]:
            return Subject("evt", cluster, noun, "snapshot")
        case ["lw", "evt", cluster, noun, verb, uid]:
            return Subject("evt", cluster, noun, verb, uid)
        case ["lw", "state", cluster, noun, _status, view_id]:
            return Subject("state", cluster, noun, "changed", view_id)
        case ["lw", "live", cluster, noun, view_id]:
            return Subject("live", cluster, noun, "progressed", view_id)
        case ["lw", ("rpc" | "hub") as family, cluster, noun, verb]:
            return Subject(family, cluster, noun, verb)
        case ["lw", "hint", noun, view_id]:
            return Subject("hint", "", noun, "hinted", view_id)
        case ["lw", "dlq", _stream, _consumer]:
            return Subject("dlq", "", "message", "buried")
        case _:
            raise SubjectError(f"not a subject of ours: {subject!r}")


def _join(family: str, cluster: str, *tokens: str) -> str:
    if not is_cluster_id(cluster):
        raise SubjectError(f"not a cluster id: {cluster!r}")
    for token in tokens:
        if not is_token(token):
            raise SubjectError(f"not a subject token: {token!r}")
    return ".".join(("lw", family, cluster, *tokens))
