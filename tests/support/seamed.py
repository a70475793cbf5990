"""``python -m tests.support.seamed ORDERS``: the server of ``headrace.faults.server``, whose wall clock jumps and which
ends itself as ordered, and which waits for a locked database for no more than two seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path

from headrace.faults import server
from headrace.store import database

BUSY_TIMEOUT_MS = 2_000

if __name__ == "__main__":
    database.BUSY_TIMEOUT_MS = BUSY_TIMEOUT_MS
    server.run(Path(sys.argv[1]))
