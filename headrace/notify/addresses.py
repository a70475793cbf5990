"""What an HTTP subscription may reach: its URL names a server that strangers chose, and we are inside the network.

A name is resolved once, and what was judged is what is connected to: a name that means another address a moment later
(DNS rebinding) gains nothing. IPv4 is judged by a list of what is special; of IPv6 only 2000::/3 is public at all, so
forms that hide an IPv4 address (NAT64, 6to4, Teredo) are refused as a whole, and an IPv4-mapped one is judged as the
IPv4 address that it means. Sources: the IANA registries of special-purpose addresses (RFC 6890 and later).

Public addresses of this machine itself are refused too: what listens at them often trusts who comes from the machine.
"""

from __future__ import annotations

import queue
import re
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 2048
PORTS = {"http": 80, "https": 443}
SPECIAL: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; 100.100.100.200 is a cloud's metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # a public address that is a cloud's own service inside its machines
        "169.254.0.0/16",  # link-local; 169.254.169.254 is the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # protocols' own, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
PUBLIC_IPV6 = IPv6Network("2000::/3")
_NOBODYS = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}
"""IP version -> an address of documentation, which no machine has."""
_HOST = re.compile(r"(?=.{1,253}\.?\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")
_NUMBER = re.compile(r"(0[xX][0-9A-Fa-f]*|[0-9]+)\.?")
_TARGET = re.compile(r"[\x21-\x7e]*")


class Forbidden(Exception):
    """The URL is malformed, or leads where it may not; the message says which."""


@dataclass(frozen=True)
class Target:
    """The parts of an endpoint. ``host`` is a name or an IP address without brackets; ``path`` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str) -> Target:
    """The parts of a URL of a receiver.

    Raises:
        Forbidden: it is not ``http(s)://host[:port]/path``, in ASCII, without a user and password.
    """
    if len(url) > MAX_URL:
        raise Forbidden(f"a URL may have {MAX_URL} characters")
    if not url.isascii() or _TARGET.fullmatch(url) is None:
        raise Forbidden("a URL is ASCII without blanks: write the host in Punycode and the rest percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Forbidden(f"no URL: {error}") from error
    scheme, host = parts.scheme, parts.hostname or ""
    if scheme not in PORTS:
        raise Forbidden("must begin with http:// or https://")
    if "@" in parts.netloc or "\\" in url:
        raise Forbidden("a URL here has no user, password or backslash")
    if port == 0:
        raise Forbidden("port 0 cannot be connected to")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, _host(host, bracketed="[" in parts.netloc), port or PORTS[scheme], path)


def _host(host: str, *, bracketed: bool) -> str:
    if bracketed:
        if "%" in host:
            raise Forbidden("an address with a zone is link-local")
        try:
            return str(IPv6Address(host))
        except ValueError as error:
            raise Forbidden(f"[{host}] is no IPv6 address") from error
    try:
        return str(IPv4Address(host))
    except ValueError:
        # What the system would read as an address although it is not written as one: 127.1, 2130706433, 0x7f.1, 0177.1
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            raise Forbidden(f"{host} is no address: write it as four decimal numbers") from None
    if _HOST.fullmatch(host) is None:
        raise Forbidden(f"{host[:80]!r} is no host name")
    return host


def system_resolver(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of ``host``, as the system has them; raises OSError, TimeoutError among them.

    The system's call cannot be given up, so it has a thread, which is left behind if it takes longer.
    """
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(f"{host}: {error}"))

    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise TimeoutError(f"the name {host} was not resolved within {seconds:.0f} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


Resolver = Callable[[str, int, float], Sequence[str]]
"""(host, port, seconds) -> addresses; raises OSError."""


class AddressGuard:
    """Judges addresses; the only way from a host to something that is connected to."""

    def __init__(
        self,
        allowed: Iterable[str] = (),
        resolve: Resolver = system_resolver,
        special: Iterable[Network] = SPECIAL,
    ) -> None:
        """
        Args:
            allowed: networks (CIDR) that may be reached although they are not public, or of this machine.
            resolve: the meaning of names.
            special: networks that are not public.
        """
        self._allowed = tuple(ip_network(network) for network in allowed)
        self._resolve = resolve
        self._special = tuple(special)

    def may_reach(self, text: str) -> bool:
        """Whether this IP address may be connected to."""
        address = _plain(text)
        if address is None:
            return False
        if any(address in network for network in self._allowed):
            return True
        if any(address in network for network in self._special):
            return False
        return (isinstance(address, IPv4Address) or address in PUBLIC_IPV6) and not is_own(address)

    def addresses(self, target: Target, seconds: float) -> list[str]:
        """The addresses that may be connected to for this target; at least one.

        Raises:
            Forbidden: there are addresses, but none that may be reached.
            OSError: the name cannot be resolved (in time).
        """
        found = [target.host] if _plain(target.host) else self._resolve(target.host, target.port, seconds)
        reachable = [str(_plain(text)) for text in found if self.may_reach(text)]
        if not reachable:
            # The addresses are not told: who subscribes has no right to know what names mean inside.
            raise Forbidden(
                f"{target.host} is not a public address of another machine. The operator can allow its network: "
                "notice_allowed_networks"
            )
        return reachable


def is_own(address: Address) -> bool:
    """Whether the address is one of this machine: then, and only then, a socket can be bound to it.

    Better than to compare both ends of a connection: to an interface's second address one comes from its first, and
    here nothing is sent at all. Where the system lets anything be bound (``net.ipv4.ip_nonlocal_bind``), that says
    nothing, and nothing is refused for it.
    """
    return _can_be_bound(address) and not _can_be_bound(_NOBODYS[address.version])


def _can_be_bound(address: Address) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:  # it is elsewhere, or this machine has no IPv6
        return False
    return True


def _plain(text: str) -> Address | None:
    """The address; an IPv4-mapped one as the IPv4 address that it means. None: no address, or one with a zone."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address
