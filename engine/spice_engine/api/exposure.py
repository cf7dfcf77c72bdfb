"""Whether an address can be reached from elsewhere, and what the public door needs then."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from spice_engine.errors import InvalidSettings
from spice_engine.settings import Settings


@lru_cache(maxsize=1024)
def is_loopback(address: str) -> bool:
    """Whether an IP address in text form, or the name localhost, is this machine's loopback."""
    if address.lower().rstrip(".") == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond loopback in the clear, unless that is asked for.

    Raises:
        InvalidSettings: the address is reachable from elsewhere and there is no TLS.
    """
    if is_loopback(settings.http_host) or settings.tls_cert or settings.insecure:
        return
    raise InvalidSettings(
        f"http_host {settings.http_host!r} is reachable from other machines, without TLS.",
        hint="Set tls_cert and tls_key (`spice-tui doctor --make-tls` makes a pair), "
        "or insecure: true for a network that you trust.",
    )
