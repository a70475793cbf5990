"""Whether this machine can open a TCP connection to an address: as jobs could, which run here."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

ADDRESS = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?):[0-9]{1,5}"
"""``host:port``; the host is a name, an IPv4 address, or an IPv6 address in brackets."""

CONNECT_S = 2.0
MAX_TRIED = 3
"""Of the IP addresses that a name has."""


@dataclass(frozen=True)
class Address:
    """Where to connect to."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """The address that ``host:port`` names; None if it names none."""
        if re.fullmatch(ADDRESS, text) is None:
            return None
        host, _, port = text.rpartition(":")
        return cls(host.strip("[]"), int(port)) if 1 <= int(port) <= 65535 else None

    def is_reachable(self) -> bool:
        """Connects, and hangs up at once; nothing is sent. Takes some seconds at most, or as long as the resolver."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # a name that nobody knows, or one that cannot be a name
            return False
        return any(_connects(family, target) for family, _, _, _, target in found[:MAX_TRIED])


def _connects(family: int, target: object) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_S)
        return probe.connect_ex(target) == 0  # type: ignore[arg-type]  # as getaddrinfo gave it
