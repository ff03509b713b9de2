"""Listening sockets, on one family of addresses or on both."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, SO_RCVBUF, SOL_SOCKET, create_server, has_dualstack_ipv6, socket
from typing import Final

EVERY_ADDRESS: Final = "::"
"""The host that stands for all addresses: IPv6, and IPv4 too where the kernel can serve both on one socket."""

RECEIVE_BUFFER_BYTES: Final = 16 * 1024
"""Of each accepted connection. What the kernel buffers before it is read counts as memory of the control group, and
the kernel's own default lets a thousand clients fill it."""


def listen(host: str, port: int) -> socket:
    """Return a socket that listens on a port of a host; `::` serves both families.

    Raises:
        OSError: the port is taken, or the host is not one of this machine's.
    """
    if ":" not in host:
        listening = create_server((host, port), family=AF_INET)
    else:
        both = host == EVERY_ADDRESS and has_dualstack_ipv6()
        listening = create_server((host, port), family=AF_INET6, dualstack_ipv6=both)
    listening.setsockopt(SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES)  # accepted sockets inherit it
    return listening
