"""The options of `server serve` and `server update`, and what they change in a definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidSettings
from spice_tui.cli import server_files, values
from spice_tui.cli.dependency_options import DEPENDENCIES, dependencies_of
from spice_tui.cli.git_options import GIT, repository_of
from spice_tui.cli.light import option

Text = str | None
Texts = list[str] | None
Number = float | None
Count = int | None
Flag = bool | None


def _opt(*names: str, help: str, metavar: str | None = None, hidden: bool = False) -> Any:  # noqa: A002
    return typer.Option(*names, help=help, metavar=metavar, hidden=hidden)


FLAGS: dict[str, Any] = {
    "type_": Annotated[
        Text,
        _opt(
            "--type",
            metavar="TYPE",
            help="script (a Predictor class), onnx, sklearn, torchscript (a model's file as it "
            "is), or pod (a pod's policy).",
        ),
    ],
    "classname": Annotated[
        Text, _opt("--classname", help="The predictor's class, where the file has several.")
    ],
    "config": Annotated[
        Text,
        _opt("--config", metavar="FILE", help="YAML or JSON: arguments of the class's __init__."),
    ],
    "mount": Annotated[
        Texts,
        _opt(
            "--mount",
            "-m",
            metavar="RESOURCE[:PATH]",
            help="Show a resource below /mounts; repeat.",
        ),
    ],
    "env": Annotated[
        Texts, _opt("--env", "-e", metavar="KEY=VALUE", help="Environment variable; repeat.")
    ],
    **DEPENDENCIES,
    "description": Annotated[Text, _opt("--description", "-d", metavar="TEXT", help="A note.")],
    "node_group": Annotated[
        Text, _opt("--node-group", metavar="NAME", help="Node group whose room its pods take.")
    ],
    "min_pods": Annotated[
        Count,
        _opt("--min-pods", metavar="N", help="At least so many pods; 0: none while nobody calls."),
    ],
    "max_pods": Annotated[Count, _opt("--max-pods", metavar="N", help="At most so many pods.")],
    "target_cpu_utilization": Annotated[
        Number,
        _opt(
            "--target-cpu-utilization",
            metavar="F",
            help="More pods when one uses more than this part of its --cpu-request.",
        ),
    ],
    "target_requests_per_second": Annotated[
        Number,
        _opt(
            "--target-requests-per-second",
            metavar="F",
            help="More pods when one gets more requests than this.",
        ),
    ],
    "target_queue": Annotated[
        Number,
        _opt(
            "--target-queue",
            metavar="MS",
            help="More pods when requests wait longer than this (100).",
        ),
    ],
    "scale_down_after": Annotated[
        Text,
        _opt("--scale-down-after", metavar="TIME", help="Fewer pods after so long a calm (20 s)."),
    ],
    "cpu_request": Annotated[
        Number, _opt("--cpu-request", metavar="CORES", help="Cores reserved for a pod (0.9).")
    ],
    "cpu_limit": Annotated[
        Number, _opt("--cpu-limit", metavar="CORES", help="Cores a pod may use at most.")
    ],
    "ram_request": Annotated[
        Text, _opt("--ram-request", metavar="MB", help="Memory reserved for a pod; also 2G.")
    ],
    "ram_limit": Annotated[
        Text,
        _opt("--ram-limit", metavar="MB", help="Memory a pod may use at most; also 2G."),
    ],
    "gpu_limit": Annotated[Count, _opt("--gpu-limit", metavar="N", help="GPUs of a pod.")],
    "num_processes": Annotated[
        Text,
        _opt(
            "--num-processes",
            metavar="N",
            help="Processes of a pod, forked after the model is loaded; 'default': 1.",
        ),
    ],
    "threads": Annotated[
        Count, _opt("--threads", metavar="N", help="Predictions at once in each process (1).")
    ],
    "max_concurrency": Annotated[
        Count,
        _opt(
            "--max-concurrency",
            metavar="N",
            help="Calls at once of an async predictor, in each process (256).",
        ),
    ],
    "enable_batching": Annotated[
        Flag,
        _opt(
            "--enable-batching/--disable-batching",
            help="Give predict lists of payloads; sizes and waits turn it on, too.",
        ),
    ],
    "max_batch_size": Annotated[
        Count, _opt("--max-batch-size", metavar="N", help="Payloads in one batch at most (100).")
    ],
    "request_timeout": Annotated[
        Number,
        _opt(
            "--request-timeout",
            metavar="MS",
            help="How long a payload may wait for its batch (500).",
        ),
    ],
    "auth": Annotated[
        Text, _opt("--auth", metavar="none|token", help="Whether callers need the server's token.")
    ],
    "token": Annotated[Flag, _opt("--token", help="The same as --auth token.")],
    "cors": Annotated[
        Texts,
        _opt("--cors", metavar="ORIGIN", help="Origin whose pages may call it; *: any; repeat."),
    ],
    "deadline": Annotated[
        Text, _opt("--deadline", metavar="TIME", help="Longest time for an answer (60 s).")
    ],
    "retry": Annotated[
        Text,
        _opt(
            "--retry",
            metavar="once|never",
            help="What is done with a request whose pod dies (once).",
        ),
    ],
    "max_queue": Annotated[
        Count, _opt("--max-queue", metavar="N", help="Requests that wait at most (1024).")
    ],
    "max_body": Annotated[
        Text, _opt("--max-body", metavar="SIZE", help="Largest body of a request (32M).")
    ],
    "start_timeout": Annotated[
        Text,
        _opt("--start-timeout", metavar="TIME", help="A pod must be ready in this time (5m)."),
    ],
    "debug": Annotated[
        Flag,
        _opt("--debug/--no-debug", "--debug-on/--debug-off", help="Show callers tracebacks."),
    ],
    "request_log": Annotated[
        Flag,
        _opt(
            "--request-log/--no-request-log",
            help="Keep a line of JSON for each request (logs --requests).",
        ),
    ],
    **GIT,
    "open_": Annotated[Flag, _opt("--open/--no-open", help="Does nothing here.", hidden=True)],
    "force": Annotated[Flag, _opt("--force", "-f", help="Ask nothing.", hidden=True)],
    "verbose": Annotated[Flag, _opt("--verbose", "-v", help="Does nothing.", hidden=True)],
}
"""By the name of the parameter. Hidden ones are Spell's that mean nothing on one machine."""

_PLAIN = {
    "type_": "type",
    "classname": "classname",
    "description": "description",
    "node_group": "node_group",
    "min_pods": "scaling.min_pods",
    "max_pods": "scaling.max_pods",
    "target_cpu_utilization": "scaling.cpu_utilization",
    "target_requests_per_second": "scaling.requests_per_second",
    "target_queue": "scaling.queue_ms",
    "cpu_request": "limits.cpu_request",
    "cpu_limit": "limits.cpu_limit",
    "gpu_limit": "limits.gpus",
    "threads": "threads",
    "max_concurrency": "max_concurrency",
    "max_batch_size": "batching.max_size",
    "request_timeout": "batching.wait_ms",
    "enable_batching": "batching.enabled",
    "auth": "door.auth",
    "cors": "door.cors",
    "retry": "door.retry",
    "max_queue": "door.max_queue",
    "debug": "debug",
    "request_log": "request_log",
}
"""Options whose value is that of a field."""

_TIMES = {
    "scale_down_after": "scaling.down_after",
    "deadline": "door.deadline",
    "start_timeout": "start_timeout",
}
_SIZES = {
    "ram_request": "limits.memory_request",
    "ram_limit": "limits.memory_limit",
    "max_body": "door.max_body",
}


def changes(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a definition that the options set; nested ones as maps.

    Raises:
        typer.BadParameter: a value cannot be read.
        InvalidSettings: a file cannot be used, or two options exclude each other.
        InvalidRequest: an option means something that is not here.
    """
    found: dict[str, Any] = dict(repository_of(given))
    for name, field in _PLAIN.items():
        if name in given:
            _put(found, field, given[name])
    for name, field in _TIMES.items():
        if name in given:
            _put(found, field, option(given[name], values.duration, _flag(name)))
    for name, field in _SIZES.items():
        if name in given:
            convert = values.size if name == "max_body" else megabytes
            _put(found, field, option(given[name], convert, _flag(name)))
    if "num_processes" in given:
        found["num_processes"] = option(given["num_processes"], _processes, "--num-processes")
    batching = found.get("batching", {})
    if batching and "enabled" not in batching:
        batching["enabled"] = True
    if given.get("token"):
        _put(found, "door.auth", "token")
    if "env" in given:
        found["env"] = dict(variable(item) for item in given["env"])
    if "mount" in given:
        found["mounts"] = dict(mount(item) for item in given["mount"])
    if "config" in given:
        found["config"] = server_files.config(given["config"])
    _dependencies(given, found)
    return found


def variable(text: str) -> tuple[str, str]:
    """`KEY=VALUE`, or `KEY` for an empty value."""
    key, _, value = text.partition("=")
    if not key:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint="--env")
    return key, value


def mount(text: str) -> tuple[str, str]:
    """`RESOURCE[:PATH]` as the resource and where it goes below /mounts.

    Raises:
        InvalidSettings: it has another form.
    """
    scheme, mark, rest = text.partition("://")
    resource, colon, path = (rest if mark else text).partition(":")
    if not resource or ":" in path or (colon and not path):
        raise InvalidSettings(
            f"Incorrect formatting of mount {text!r}, it must be <resource_path>[:<mount_path>]"
        )
    resource = f"{scheme}://{resource}" if mark else resource
    name = resource.rstrip("/").rpartition("/")[2]
    place = path.removeprefix("/mounts").strip("/") if path else name
    return resource, place or name


def megabytes(text: str) -> int:
    """Bytes of `512` (megabytes), `512M` or `2G`.

    Raises:
        ValueError: it is none of these.
    """
    plain = text.strip()
    return values.size(f"{plain}M" if plain.replace(".", "", 1).isdecimal() else plain)


def _processes(text: str) -> int:
    if text.strip() == "default":
        return 1
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a whole number nor 'default'.") from None


def _put(found: dict[str, Any], field: str, value: Any) -> None:
    outer, _, inner = field.partition(".")
    if inner:
        found.setdefault(outer, {})[inner] = value
    else:
        found[outer] = value


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _dependencies(given: Mapping[str, Any], found: dict[str, Any]) -> None:
    for name, value in dependencies_of(given).items():
        _put(found, f"dependencies.{name}", value)
