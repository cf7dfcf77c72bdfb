"""What connectors that reach over the network share: requests, their params, their errors.

Nothing that this module makes into text holds a secret: addresses are shown without user,
password and query, and headers not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

from spice_engine.errors import InvalidData, InvalidRequest, Place, SpiceError
from spice_engine.records import record
from spice_engine.units import format_duration, parse_duration

PlaceOf = Callable[[str], Place | None]
"""Where in the manifest a param stands."""

MAX_BYTES = 64 * 2**20
"""An answer larger than this is refused."""
PASSED_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    *(f"{name}_proxy" for name in ("http", "https", "no")),
    *(f"{name}_PROXY" for name in ("HTTP", "HTTPS", "NO")),
)
"""What the fetchers' pool is to pass on of the engine's environment."""
_NANO = 1_000_000_000


class FeedFailed(SpiceError):
    """What a pod's data come from cannot be reached, or answers with what is no data."""

    code = "feed_failed"
    http_status = 502
    exit_code = 4


@record
class Request:
    """One HTTP request. `connector` names who asks; `timeout` in seconds, for all of it."""

    connector: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str = ""
    timeout: float = 5.0

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the fetcher."""
        return {
            "connector": self.connector,
            "method": self.method,
            "url": self.url,
            "headers": dict(self.headers),
            "body": self.body,
            "timeout": self.timeout,
        }


def shown(url: str) -> str:
    """An address as it may be shown: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the address"
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))


def required(connector: str, params: Mapping[str, str], name: str, place_of: PlaceOf) -> str:
    """A param that must be there.

    Raises InvalidData where it is missing or empty.
    """
    value = params.get(name, "").strip()
    if not value:
        raise InvalidData(
            f"{connector} connector requires the '{name}' parameter to be set",
            place=place_of(name),
        )
    return value


def address(
    connector: str, params: Mapping[str, str], place_of: PlaceOf, schemes: Sequence[str]
) -> str:
    """The param `url`.

    Raises InvalidData where it is missing, no address, or of another scheme.
    """
    url = required(connector, params, "url", place_of)
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise InvalidData(
            f"The url '{shown(url)}' of the {connector} connector cannot be used.",
            hint=f"Write {' or '.join(f'{scheme}://…' for scheme in schemes)}, without spaces.",
            place=place_of("url"),
        )
    return url


def seconds(
    connector: str,
    params: Mapping[str, str],
    name: str,
    place_of: PlaceOf,
    *,
    default: float,
    least: float,
    most: float = 366 * 86_400.0,
    zero: bool = False,
) -> float:
    """A duration in seconds within [least, most]; 0 too, where `zero` allows it.

    Raises InvalidData where it is none.
    """
    text = params.get(name, "").strip()
    if not text:
        return default
    try:
        value = parse_duration(text) / _NANO
    except InvalidRequest as error:
        raise InvalidData(
            f"{error.message[:-1]}, in '{name}' of the {connector} connector.",
            hint=error.hint,
            place=place_of(name),
        ) from error
    if (zero and value == 0) or least <= value <= most:
        return value
    low, high = format_duration(int(least * _NANO)), format_duration(int(most * _NANO))
    raise InvalidData(
        f"The {name} '{text}' of the {connector} connector is out of range.",
        hint=f"Use {low} to {high}{', or 0' if zero else ''}.",
        place=place_of(name),
    )


def headers(connector: str, params: Mapping[str, str], place_of: PlaceOf) -> dict[str, str]:
    """The param `headers`: a JSON object of text.

    Raises InvalidData where it is none, or one of them cannot be a header.
    """
    text = params.get("headers", "").strip()
    if not text:
        return {}
    place = place_of("headers")
    hint = 'Write a JSON object of text, as in {"Authorization": "Bearer ${TOKEN}"}.'
    what = f"The headers of the {connector} connector"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # Not "from error": its text quotes what may be a secret.
        raise InvalidData(f"{what} are no JSON.", hint=hint, place=place) from None
    if not isinstance(value, dict):
        raise InvalidData(f"{what} are no JSON object.", hint=hint, place=place)
    found: dict[str, str] = {}
    for name, content in cast("dict[str, Any]", value).items():
        token = name.replace("-", "").replace("_", "")
        if not (token.isascii() and token.isalnum()) or not isinstance(content, str):
            raise InvalidData(f"{what} hold '{name[:60]}', which is none.", hint=hint, place=place)
        if not content.isprintable():
            raise InvalidData(f"{what}: the value of '{name}' cannot be sent.", place=place)
        found[name] = content
    return found
