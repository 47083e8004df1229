"""`leeward demo`: the whole system on this machine for about a minute, and a story of what it does."""


def demo() -> int:
    """Start everything in a temporary folder, back up two simulated clusters, show what happens, and stop again.

    Needs no cluster and no network.
    """
    from leeward.stack import telling  # noqa: PLC0415 - only who starts it waits for what it needs
    from leeward.story import CHAPTERS  # noqa: PLC0415 - as above

    return telling.tell(CHAPTERS)
