"""What an HTTP subscription may reach: spelled, hidden in other forms, or behind a name."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.notify.addresses import AddressGuard, Forbidden, is_own, parse_url, system_resolver


def nowhere(host: str, port: int, seconds: float) -> list[str]:
    raise AssertionError(f"{host} must not be resolved")


PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "100.63.255.255", "172.32.0.1", "2600::1", "2a00:1450:4001:80b::200e"]
NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    "255.255.255.255",
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "2001:db8::1", "3fff::1"),
    *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::"),
    *("2001::1", "2001:0:7f00:1::", "4000::1", "::ffff:0:127.0.0.1", "5f00::1"),
]


def url_of(address: str) -> str:
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    target = parse_url(url_of(address))
    assert AddressGuard(resolve=nowhere).addresses(target, 1) == [str(ipaddress.ip_address(address))]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_others_may_not_written_out_or_behind_a_name(address: str) -> None:
    with pytest.raises(Forbidden, match="not a public address"):
        AddressGuard(resolve=nowhere).addresses(parse_url(url_of(address)), 1)
    with pytest.raises(Forbidden, match="not a public address") as caught:
        AddressGuard(resolve=lambda *_: [address]).addresses(parse_url("http://inside.example.com/"), 1)
    assert address not in str(caught.value), "what a name means inside is not told"


@pytest.mark.parametrize("address", ["::ffff:8.8.8.8", "::ffff:808:808"])
def test_a_mapped_address_is_connected_to_as_what_it_means(address: str) -> None:
    assert AddressGuard().addresses(parse_url(url_of(address)), 1) == ["8.8.8.8"]


SPELLINGS = [
    *("http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/"),
    *("http://127.0.0.01/", "http://0/", "http://017700000001/", "http://127.0.0.1./", "http://1.2.3.4.5/"),
    *("http://0x/", "http://10.0x1/", "http://192.168.0xa.1/", "http://foo.1/"),
]


@pytest.mark.parametrize("url", SPELLINGS)
def test_addresses_that_only_look_like_names(url: str) -> None:
    with pytest.raises(Forbidden, match="is no address"):
        parse_url(url)


MALFORMED = [
    *("", "example.com", "//example.com", "http:/example.com", "http://", "http:///x", "ftp://example.com/"),
    *("file:///etc/passwd", "gopher://example.com/", "http+unix://x/", "javascript:alert(1)"),
    *("http://user@example.com/", "http://user:secret@example.com/", "http://@example.com/", "http://a@b@example.com/"),
    *("http://example.com:0/", "http://example.com:65536/", "http://example.com:x/", "http://example.com\\@inside/"),
    *("http://exa mple.com/", "http://example.com/a b", "http://example.com/\r\nX: y", "http://example.com/\x00"),
    *("http://[::1/", "http://[fe80::1%25eth0]/", "http://[v1.x]/", "http://[127.0.0.1]/", "http://::1/"),
    *(
        "http://ⅼocalhost/",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://münchen.example/",
        "http://%6cocalhost/",
    ),
    *("http://.example.com/", "http://a..b/", "http://-a.example/", "http://*/", "http://" + "a" * 254 + "/"),
    "http://example.com/" + "a" * 2048,
]


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_url_of_a_receiver(url: str) -> None:
    with pytest.raises(Forbidden):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "parts", "authority"),
    [
        ("http://example.com", ("http", "example.com", 80, "/"), "example.com"),
        ("HTTPS://Example.COM:8443/a/b?c=d#e", ("https", "example.com", 8443, "/a/b?c=d"), "example.com:8443"),
        ("https://example.com.:443/", ("https", "example.com.", 443, "/"), "example.com."),
        ("http://[2600::0001]:81/", ("http", "2600::1", 81, "/"), "[2600::1]:81"),
        ("http://under_score.example?x", ("http", "under_score.example", 80, "/?x"), "under_score.example"),
        ("http://xn--mnchen-3ya.example/", ("http", "xn--mnchen-3ya.example", 80, "/"), "xn--mnchen-3ya.example"),
    ],
)
def test_the_parts_of_a_url(url: str, parts: tuple[str, str, int, str], authority: str) -> None:
    target = parse_url(url)
    assert (target.scheme, target.host, target.port, target.path) == parts
    assert target.authority == authority


def test_the_operator_allows_networks() -> None:
    guard = AddressGuard(
        ["127.0.0.0/8", "fd00::/8"], resolve=lambda *_: ["10.0.0.1", "127.0.0.2", "fd00::1", "8.8.8.8"]
    )
    assert guard.addresses(parse_url("http://mixed.example/"), 1) == ["127.0.0.2", "fd00::1", "8.8.8.8"]
    assert guard.may_reach("::ffff:127.0.0.1")
    assert not guard.may_reach("169.254.169.254")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_an_address_of_this_machine_is_known_as_such(address: str) -> None:
    """127.0.0.2 is its interface's second: whoever connects to it comes from 127.0.0.1."""
    assert is_own(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_a_public_address_of_this_machine_may_not_be_reached(address: str) -> None:
    """The tests' machine may have none, so its own network counts as public."""
    guard = AddressGuard(special=[])
    with pytest.raises(Forbidden, match="not a public address of another machine"):
        guard.addresses(parse_url(url_of(address)), 1)
    assert AddressGuard([f"{address}/32"], special=[]).may_reach(address), "unless the operator allows it"
    assert guard.may_reach("8.8.8.8")


@given(st.ip_addresses(v=4))
def test_no_private_ipv4_address_passes(address: ipaddress.IPv4Address) -> None:
    if AddressGuard().may_reach(str(address)):
        assert address.is_global
        assert not any([address.is_multicast, address.is_reserved, address.is_loopback, address.is_link_local])


@given(st.ip_addresses(v=6))
def test_no_private_ipv6_address_passes(address: ipaddress.IPv6Address) -> None:
    if AddressGuard().may_reach(str(address)):
        assert address.is_global
        assert address.sixtofour is None
        assert address.teredo is None


@given(st.ip_addresses(v=4).filter(lambda address: not address.is_global))
def test_an_ipv4_address_hidden_in_ipv6_gains_nothing(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    forms = [
        number,
        0xFFFF << 32 | number,
        0xFFFF << 48 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80,
    ]
    forms += [0x20010000 << 96 | number ^ 0xFFFFFFFF, 0x64FF9B0001 << 80 | number]
    for form in forms:
        assert not AddressGuard().may_reach(str(ipaddress.IPv6Address(form)))


@given(st.text(alphabet="0123456789abcdefx.:[]@/%\\#?-_lo", max_size=24), st.sampled_from(["http://", "https://"]))
def test_whatever_is_accepted_is_a_name_or_a_canonical_address(text: str, scheme: str) -> None:
    try:
        target = parse_url(scheme + text)
    except Forbidden:
        return
    assert target.host.rstrip(".").encode("idna")  # as TLS and the resolver do
    try:
        socket.inet_aton(target.host)
    except OSError:
        return  # not even the most generous reader takes it for an IPv4 address
    assert str(ipaddress.IPv4Address(target.host)) == target.host


def test_the_systems_own_names() -> None:
    assert set(system_resolver("localhost", 80, 30)) <= {"127.0.0.1", "::1"}
    with pytest.raises(Forbidden):
        AddressGuard().addresses(parse_url("http://localhost/"), 30)
