"""Numbers that a predictor sends: kept until the engine asks, with what prometheus_client has."""

# What a user gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import base64
import os
import re
import threading
from typing import Any

from spice_runtime.optional import loaded
from spice_runtime.predictors.answers import defect

MAX_SERIES = 10_000
"""Of one process; a predictor that makes a new name for each request must not fill the memory."""
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABELS = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{)?")
# What prometheus_client tells of the process, the engine tells better.
_OWN = ("python_gc_", "python_info", "process_")

_lock = threading.Lock()
# No fork while another thread has it: in the child nobody would give it back.
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)
_values: dict[tuple[str, str], float] = {}
_asked = False


def in_server() -> bool:
    """Whether somebody asks this process for what is kept here: it is a model server's."""
    return _asked


def serve() -> None:
    """From now on `values` is asked for."""
    global _asked
    _asked = True


def send_metric(name: str, value: Any, tag: str | None = None) -> None:
    """Keeps the newest value of a metric, for each tag its own.

    Raises:
        ValueError: the value is no number, the name no text, or there are too many metrics.
    """
    if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"the name of a metric must be a text, not {name!r}")
    number = as_number(value)
    key = (_sendable(name), "" if tag is None else _sendable(str(tag)))
    with _lock:
        if key not in _values and len(_values) >= MAX_SERIES:
            raise ValueError(
                f"more than {MAX_SERIES} metrics: a name or tag must not change with each request"
            )
        _values[key] = number


def as_number(value: Any) -> float:
    """A number out of a number, a NumPy scalar, or an array or tensor that holds one.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    number: Any = value
    item: Any = getattr(number, "item", None)
    try:
        return float(number if item is None else item())
    except (TypeError, ValueError):
        raise ValueError(f"the value of a metric must be a number, not {value!r}") from None


def values() -> list[list[Any]]:
    """[name, tag, value] of each metric sent so far."""
    with _lock:
        return [[name, tag, value] for (name, tag), value in _values.items()]


def prometheus_text(*, with_pid: bool) -> str:
    """Prometheus' text form; with the pid as a label where one replica has several processes."""
    pid = f'pid="{os.getpid()}",' if with_pid else ""
    lines: list[str] = []
    known: set[str] = set()
    for name, tag, value in sorted(values(), key=lambda each: each[:2]):
        series = "spell:custom:" + (
            name if _NAME.match(name) else base64.b16encode(name.encode()).decode()
        )
        if series not in known:
            known.add(series)
            lines.append(f"# HELP {series} {name!a}")
            lines.append(f"# TYPE {series} gauge")
        labels = f'{pid}spell_metric_name="{_escaped(name)}",spell_tag="{_escaped(tag)}"'
        lines.append(f"{series}{{{labels}}} {value!r}".replace(" nan", " NaN"))
    text = "".join(line.replace(" inf", " +Inf").replace(" -inf", " -Inf") + "\n" for line in lines)
    return text + _library_text(pid)


def _library_text(pid: str) -> str:
    library = loaded("prometheus_client")
    if library is None:
        return ""
    kept: list[str] = []
    try:
        text = library.generate_latest().decode()
    except Exception as error:  # noqa: BLE001 - a collector of the user's; it is in the log
        defect(error, False)
        return ""
    for line in text.split("\n")[:-1]:  # labels may hold other ends of lines
        name = line.split(" ", 3)[2] if line.startswith("# ") and line.count(" ") >= 2 else line
        if name.startswith(_OWN):
            continue
        if pid and not line.startswith("#"):
            line = _LABELS.sub(  # noqa: PLW2901 - the line as it is kept
                lambda found: f"{found[1]}{{{pid}" if found[2] else f"{found[1]}{{{pid}}}",
                line,
                count=1,
            )
        kept.append(line)
    return "".join(line + "\n" for line in kept)


def _sendable(text: str) -> str:
    """The text without lone surrogates, which a client's JSON may hold and no file can."""
    return text.encode("utf-8", "replace").decode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
