"""`python -m shared.runtime.ready [URL]`: exit code 0 if a process says that it is ready, so that a container can be asked.

Without a URL it asks this machine's `/readyz` on LEEWARD_HTTP__PORT. No shell, no curl, and no proxy in between.
"""

import http.client
import os
import sys
from urllib.parse import urlsplit

_PATIENCE = 4.0


def main(arguments: list[str], port: str | None) -> int:
    """Ask once; whatever is not a 200 is said on stderr."""
    if not arguments and not port:
        sys.stderr.write("set LEEWARD_HTTP__PORT, or name a URL\n")
        return 2
    url = urlsplit(arguments[0] if arguments else f"http://127.0.0.1:{port}/readyz")
    connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port, timeout=_PATIENCE)
    try:
        connection.request("GET", url.path)
        answer = connection.getresponse()
        words = answer.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{url.geturl()}: {error}\n")
        return 1
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.OK:
        return 0
    sys.stderr.write(f"{url.geturl()}: HTTP {answer.status} {words}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get("LEEWARD_HTTP__PORT")))
