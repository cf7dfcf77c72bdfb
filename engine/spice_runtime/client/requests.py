"""From the arguments of `runs.new`, which are Spell's, to what the engine is asked for."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spice_runtime.client.errors import BadRequest

_MINUTE = 60.0
_IGNORED = frozenset({"framework", "provider", "local_caching", "node_group", "workflow_id"})
"""What had a meaning in the original's cloud, and has none on one machine."""
_SAME = frozenset(
    {
        "labels",
        "description",
        "project",
        "distributed",
        "idempotent",
        "auto_resume",
        "name",
        "priority",
        "after",
        "after_ok",
        "retries",
        "cpu",
        "memory",
        "in_place",
        "params",
    }
)
_RENAMED = {
    "envvars": "env",
    "env": "env",
    "tensorboard_directory": "tensorboard",
    "github_url": "git",
    "github_ref": "git_ref",
}
_DEPENDENCIES = {
    "pip_packages": "pip",
    "apt_packages": "apt",
    "conda_packages": "conda",
    "python": "python",
    "setup": "setup",
    "docker_image": "image",
}
FILES = {"requirements_file": "requirements", "conda_file": "conda_file"}


def run_request(given: Mapping[str, Any]) -> dict[str, Any]:
    """A run as the engine takes it.

    Raises:
        BadRequest: an argument is unknown, or a file cannot be read.
    """
    request: dict[str, Any] = {}
    needs: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or name in _IGNORED:
            continue
        if name in _SAME:
            request[name] = list(value) if name == "labels" else value
        elif name in _RENAMED:
            request[_RENAMED[name]] = value
        elif name in _DEPENDENCIES:
            if value:
                needs[_DEPENDENCIES[name]] = value
        elif name in FILES:
            needs[FILES[name]] = text_of(name, value)
        else:
            _special(request, name, value)
    if needs:
        request["dependencies"] = needs
    if not request.get("command"):
        raise BadRequest("A run needs a command.")
    if given.get("params") and isinstance(request["command"], str):
        request["params"] = _as_in_command(request["command"], given["params"])
    if "env" in request:
        request["env"] = {str(key): str(text) for key, text in request["env"].items()}
    return request


def _special(request: dict[str, Any], name: str, value: Any) -> None:
    if name == "command":
        request["command"] = value if isinstance(value, str) else list(value)
    elif name == "machine_type":
        request["machine_type"] = str(value).lower()
    elif name == "cwd":
        request["cwd"] = str(value).lstrip("/")
    elif name == "timeout":
        request["timeout"] = float(value) * _MINUTE
    elif name == "attached_resources":
        request["mounts"] = mounts(value)
    elif name == "stop_conditions":
        request["stop_conditions"] = conditions(value)
    else:
        raise BadRequest(f"A run has no argument {name!r}.")


def mounts(value: Any) -> list[str]:
    """Mounts of a map of resources to places, or a list of texts."""
    if isinstance(value, Mapping):
        return [
            f"{resource}:{place}" if place else str(resource) for resource, place in value.items()
        ]
    return [str(text) for text in value]


def conditions(value: Any) -> list[str]:
    """Stop conditions as texts: they may be maps of Spell's wire, any of which ends the run."""
    found: list[str] = []
    for one in [value] if isinstance(value, str) else value:
        if isinstance(one, str):
            found.append(one)
            continue
        terms: Iterable[Any] = [one] if isinstance(one, Mapping) else one
        found.append(" && ".join(_condition(term) for term in terms))
    return found


def _condition(term: Mapping[str, Any]) -> str:
    index = term.get("min_indices") or 0
    text = f"{term['metric']} {term['operator']} {term['value']}"
    return f"{text}:{index}" if index else text


def _as_in_command(command: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Params by the names the command has: Spell's docs write `:FOO:` for `foo`, too."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        spelt = next(
            (
                written
                for written in (name, name.upper(), name.lower())
                if f":{written}:" in command
            ),
            name,
        )
        found[spelt] = value
    return found


def text_of(name: str, path: Any) -> str:
    """The text of a file that an argument names.

    Raises:
        BadRequest: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BadRequest(f"{name}: {path} cannot be read: {error}.", None, error) from error
