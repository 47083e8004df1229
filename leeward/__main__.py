"""`leeward`: where the command begins."""

import sys


def main() -> None:
    """Run the command."""
    try:
        from leeward.app import run  # noqa: PLC0415 - what it needs is an extra, and may be missing
    except ModuleNotFoundError as missing:
        sys.exit(f"leeward: {missing.name} is missing: install 'leeward[cli]'")
    sys.exit(run())


if __name__ == "__main__":
    main()
