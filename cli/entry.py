"""What `listbridge` runs: the commands, and an end without a word by Ctrl-C while they are being loaded."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""128 and the number of SIGINT, as a shell counts it."""


def run() -> None:
    try:
        from cli.main import main
        from listbridge.logs import write_log
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    write_log("WARNING", "%(message)s")
    main()
