"""The allow-list for callbacks: host names, addresses and networks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

from proxy.errors import BadCallback

if TYPE_CHECKING:
    from collections.abc import Iterable

    Network: TypeAlias = IPv4Network | IPv6Network

MAX_URL_CHARACTERS: Final = 2048

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}

_HIGHEST_PORT: Final = 65_535

# Stricter than any URL parser, so that no two parsers can disagree: no user, fragment or backslash, and only ASCII.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][!\"$-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,  # else the Kelvin sign would match k
)

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All IPv6 addresses that are routed on the internet (RFC 4291, 2.4)."""

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as represented in IPv6-only networks, in the last 32 bits (RFC 6052)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackTarget:
    """The parsed URL of a receiver; `host` is a name in lower case, or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host, with the port if it is not the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return only scheme, host and port: the path may hold a secret."""
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowList:
    """The hosts that may receive callbacks, and the private networks that may be connected to."""

    hosts: tuple[CallbackTarget, ...] = ()
    networks: tuple[Network, ...] = ()

    def target(self, url: str) -> CallbackTarget:
        """Return the parsed URL of a receiver.

        Raises:
            BadCallback: the URL is not valid for callbacks, or its host is not listed.
        """
        target = _split_url(url) if len(url) <= MAX_URL_CHARACTERS else None
        if target is None or target.host.startswith("*"):
            raise BadCallback(
                "callback_url must have the form https://<host>[:<port>]/<path>, in ASCII, without a user name or a "
                f"fragment, with at most {MAX_URL_CHARACTERS} characters."
            )
        if not any(_matches(host, target) for host in self.hosts):
            raise BadCallback(
                f"Callbacks to {target} are not allowed; the operator can add this host to CALLBACK_HOSTS."
            )
        return target

    def is_permitted(self, address: str) -> bool:
        """Return whether an address may be connected to: it has to be public, or listed."""
        ip = _unmapped(ip_address(address.partition("%")[0]))
        return _is_public(ip) or any(ip in network for network in self.networks)


def parse_allow_list(entries: Iterable[str]) -> AllowList:
    """Return the allow-list of these hosts, addresses and networks.

    `example.org` and `*.example.org` allow https on port 443, `example.org:8443` allows https on that port, and
    `http://example.org` allows plain http. An address such as `127.0.0.1:9000` or `[::1]` is a host, and may be
    connected to although it is private. A network such as `10.0.0.0/8` is not a host, but its addresses may be
    connected to.

    Raises:
        ValueError: an entry is none of these; the message names it.
    """
    hosts: list[CallbackTarget] = []
    networks: list[Network] = []
    for entry in entries:
        network = _network(entry)
        if network and "/" in entry:
            networks.append(network)
            continue
        host = _host(f"[{entry}]" if isinstance(network, IPv6Network) else entry)
        hosts.append(host)
        if address := _network(host.host):
            networks.append(address)
    return AllowList(hosts=tuple(hosts), networks=tuple(networks))


def _network(text: str) -> Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def _host(entry: str) -> CallbackTarget:
    host = _split_url(entry if "://" in entry else f"https://{entry}")
    if host is None or host.path != "/":
        raise ValueError(f"{entry!r} is no host, address or network")
    return host


def _split_url(url: str) -> CallbackTarget | None:
    found = _URL.fullmatch(url)
    if found is None:
        return None
    scheme, host, path = found["scheme"].lower(), found["host"].lower(), found["path"] or "/"
    port = int(found["port"] or _DEFAULT_PORTS[scheme])
    if host.startswith("["):
        try:
            host = str(IPv6Address(host[1:-1]))
        except ValueError:
            return None
    if not 0 < port <= _HIGHEST_PORT:
        return None
    return CallbackTarget(scheme=scheme, host=host, port=port, path=path if path.startswith("/") else f"/{path}")


def _matches(host: CallbackTarget, target: CallbackTarget) -> bool:
    if (host.scheme, host.port) != (target.scheme, target.port):
        return False
    return target.host == host.host or (host.host.startswith("*.") and target.host.endswith(host.host[1:]))


def _unmapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast
    if ip in _NAT64:
        return _is_public(IPv4Address(int(ip) & 0xFFFF_FFFF))
    if ip.sixtofour:
        return _is_public(ip.sixtofour)
    return ip in _GLOBAL_UNICAST and ip.is_global
