"""Free loopback ports, below the range from which the kernel takes ports for connections."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection
from pathlib import Path

from headrace.domain.errors import Unavailable

LOWEST = 20_000


def free_ports(count: int, taken: Collection[int]) -> list[int]:
    """``count`` ports that nobody listens on now; ``taken`` ones are given to deployments that may not listen yet.

    Raises:
        Unavailable: there are none.
    """
    highest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) - 1
    if highest - LOWEST < 1000:
        highest = LOWEST + 12_000
    candidates = [port for port in range(LOWEST, highest) if port not in taken]
    random.shuffle(candidates)
    found = []
    for port in candidates:
        if _free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise Unavailable(f"no free port between {LOWEST} and {highest} on 127.0.0.1")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As Flink binds: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
