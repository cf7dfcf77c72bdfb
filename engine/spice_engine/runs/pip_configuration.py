"""pip's index configuration as uv's variables: who has set pip up need not do it again for uv.

Sources: pip's configuration files and variables (pip.pypa.io, "Configuration"), uv's variables
(docs.astral.sh/uv, "Environment variables"). What uv is told already stays as it is.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from spice_engine.records import record

_SECTIONS = ("global", "install")


@record
class _Option:
    """One of pip's options, and what it is for uv. `separator` joins several values."""

    name: str
    variable: str
    unless: tuple[str, ...] = ()
    separator: str = ""


_OPTIONS = (
    _Option("index-url", "UV_DEFAULT_INDEX", ("UV_INDEX_URL",)),
    _Option("extra-index-url", "UV_EXTRA_INDEX_URL", ("UV_INDEX",), " "),
    _Option("find-links", "UV_FIND_LINKS", (), ","),
    _Option("trusted-host", "UV_INSECURE_HOST", (), " "),
    _Option("constraint", "UV_CONSTRAINT", (), " "),
    _Option("cert", "SSL_CERT_FILE", ("SSL_CERT_DIR",)),
    _Option("client-cert", "SSL_CLIENT_CERT"),
    _Option("proxy", "ALL_PROXY", ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")),
    _Option("timeout", "UV_HTTP_TIMEOUT", ("UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT")),
)
_FLAGS = {"no-index": ("UV_NO_INDEX", "1"), "pre": ("UV_PRERELEASE", "allow")}
_YES = frozenset({"1", "true", "yes", "on", "y", "t"})


def uv_variables(
    environment: Mapping[str, str], files: Iterable[Path] | None = None
) -> dict[str, str]:
    """What to add to `environment`, so that uv looks for packages where pip would.

    `files` are pip's configuration files, the strongest last; by default those of this machine
    and user. Files that cannot be read are passed over, as pip's variables still count. Blocks.
    """
    found = _settings(environment, configuration_files(environment) if files is None else files)
    added: dict[str, str] = {}
    for option in _OPTIONS:
        values = found.get(option.name, "").split()
        if values and not any(environment.get(n) for n in (option.variable, *option.unless)):
            added[option.variable] = (
                option.separator.join(values) if option.separator else values[0]
            )
    for name, (variable, value) in _FLAGS.items():
        if found.get(name, "").strip().lower() in _YES and not environment.get(variable):
            added[variable] = value
    if "UV_EXTRA_INDEX_URL" in added and not environment.get("UV_INDEX_STRATEGY"):
        # pip takes the best version of all its indexes; uv would stop at the first that has one.
        added["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return added


def configuration_files(environment: Mapping[str, str]) -> list[Path]:
    """Where pip looks for its configuration, the strongest last."""
    named = environment.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = Path(environment.get("HOME") or "/")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    shared = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    places = [Path(folder) / "pip" for folder in reversed(shared.split(os.pathsep)) if folder]
    places.append(Path("/etc"))
    if sys.platform == "darwin":
        places.append(Path("/Library/Application Support/pip"))
    places.append(home / ".pip")
    support = home / "Library" / "Application Support" / "pip"
    places.append(support if sys.platform == "darwin" and support.is_dir() else config / "pip")
    places.append(Path(sys.prefix))
    return [place / "pip.conf" for place in places] + ([Path(named)] if named else [])


def _settings(environment: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    """pip's options by name: those of its files, and above them its variables."""
    found: dict[str, str] = {}
    places = list(files)
    for section in _SECTIONS:
        for file in places:
            found.update(_section(file, section))
    for variable, value in environment.items():
        if variable.startswith("PIP_") and value:
            found[variable.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


def _section(file: Path, section: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
    if not parser.has_section(section):
        return {}
    return {name.lower().replace("_", "-"): value for name, value in parser.items(section)}
