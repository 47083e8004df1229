"""Keep a real fleet running in the foreground, to try things on by hand.

python -m tests.e2e.real.up -n 2
"""

# ruff: noqa: T201  (a command prints)

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.real.fixtures import unavailable
from tests.e2e.real.fleet import Fleet, cluster_names


def main() -> None:
    """Start, print the ways in, wait for Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--clusters", type=int, default=2, help="how many (default 2); each takes about 550 MB")
    parser.add_argument("--shared-prefix", action="store_true", help="let all clusters write to the root of the bucket")
    arguments = parser.parse_args()
    if reason := unavailable():
        sys.exit(reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="leeward-real-") as directory:
        names = cluster_names(arguments.clusters)
        try:
            with Fleet(Path(directory), names, own_prefix=not arguments.shared_prefix) as fleet:
                for cluster in fleet.clusters.values():
                    print(f"{cluster.name}  {cluster.server}  {cluster.kubeconfig}")
                print(f"bucket  {fleet.s3.url}/velero")
                print(f"\nReady in {time.monotonic() - started:.0f} s. Contexts {', '.join(names)}; Ctrl-C ends it.")
                print(f"export KUBECONFIG={fleet.kubeconfig}", flush=True)
                signal.pause()
        except KeyboardInterrupt:
            print("Ended.")


if __name__ == "__main__":
    main()
