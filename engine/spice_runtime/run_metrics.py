"""Metrics of a run: every point is a line at the end of a file that the engine reads.

`send_metric` returns when the system has the line: what happens to the process after that, a
crash or SIGKILL, loses nothing, and nobody waits for the engine. There is no thread and nothing
to flush; forks and threads write whole lines each. The file is named by `SPICE_METRICS`.

A line is a JSON list `[name, value, index, time]`. A number stands as it is, null is NaN, true
and false are the infinities, a string is a text. An index of null is one more than the last.
Of a process that is one of several ranks `spice_runtime.rank_names` says what the name is.
"""

# What a user gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnnecessaryIsInstance=false

from __future__ import annotations

import json
import math
import os
import time
import warnings
from contextlib import suppress
from typing import Any

from spice_runtime import rank_names
from spice_runtime.user_metrics import as_number

VARIABLE = "SPICE_METRICS"
LONGEST_NAME = 300
LONGEST_TEXT = 64 * 1024
"""Characters; what is longer is cut."""
LARGEST_INDEX = 2**53
_MOST_NAMES = 10_000
"""Names whose JSON is kept; a script that makes a new one each time must not fill the memory."""


class MetricWarning(UserWarning):
    """A metric was not taken, or not all of it."""


class MetricFile:
    """The file of one run, opened with the first point."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rank: str | None = None
        self._names: dict[str, str] = {}
        self._fd = -1
        self._id: tuple[int, int] | None = None
        self._torn = False

    def send(self, name: Any, value: Any, index: Any = None) -> str:
        """Adds a point; gives why it, or its index, was not taken, else nothing. Never raises."""
        if self._rank is None:
            self._rank = rank_names.prefix_in(os.environ)
        longest = LONGEST_NAME - len(self._rank)
        if not isinstance(name, str) or not 0 < len(name) <= longest:
            return (
                f"metric discarded: the name must be a text of 1 to {longest} characters, "
                f"not {name!r:.80}"
            )
        try:
            told = _value(value)
        except OverflowError:
            return f"metric {name!r} discarded: 'value' is too large for a float"
        except Exception:  # noqa: BLE001 - the value may be an object with any behaviour
            return (
                f"metric {name!r} discarded: 'value' must be a float, int, or string type, "
                f"not {type(value).__name__}"
            )
        problem = ""
        at = "null"
        if index is not None:
            try:
                at = str(_index(index))
            except Exception:  # noqa: BLE001 - as above
                problem = (
                    f"metric {name!r}: its index was ignored: "
                    f"{_short(index)} is no whole number in 0 .. 2^53"
                )
        key = self._names.get(name) or self._key(name, self._rank)
        line = f"[{key},{told},{at},{time.time()!r}]\n"
        return self._write(line.encode("ascii")) or problem

    def forget_rank(self) -> None:
        """Look again which rank this process is: a fork may be another one."""
        self._rank = None
        self._names = {}

    def _key(self, name: str, rank: str) -> str:
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        found = self._names[name] = _text(rank + name)
        return found

    def _write(self, line: bytes) -> str:
        try:
            fd = self._descriptor()
            if self._torn:
                line = b"\n" + line
            written = os.write(fd, line)
        except OSError as error:
            return f"metric lost: {self._path} cannot be written: {error.strerror}"
        self._torn = written != len(line)
        return "metric lost: the disk is full" if self._torn else ""

    def _descriptor(self) -> int:
        # Programs that become daemons close all descriptors and open others under their numbers.
        if self._id is not None:
            with suppress(OSError):
                status = os.fstat(self._fd)
                if (status.st_dev, status.st_ino) == self._id:
                    return self._fd
        # No lock: a fork while another thread holds it would never get it, nor would the handler
        # of a signal. Threads that begin at once open the file twice, and both write at its end.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        status = os.fstat(fd)
        self._fd, self._id = fd, (status.st_dev, status.st_ino)
        return fd


def _value(value: Any) -> str:
    """As a line holds it.

    Raises:
        ValueError, and what the value itself raises: it is neither number nor text.
    """
    if isinstance(value, str):
        return _text(value[:LONGEST_TEXT])
    number = value if type(value) is float else as_number(value)
    if math.isfinite(number):
        return repr(float(number))
    return "null" if math.isnan(number) else "true" if number > 0 else "false"


def _index(index: Any) -> int:
    """The whole number that an index is, in any dress.

    Raises:
        ValueError, and what the index itself raises: it is none.
    """
    if type(index) is not int:
        number = as_number(index)
        index = int(number)
        if index != number:
            raise ValueError(index)
    if not 0 <= index <= LARGEST_INDEX:
        raise ValueError(index)
    return index


def _short(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001 - an object with any behaviour
        return f"a {type(value).__name__}"


def _text(text: str) -> str:
    # Lone surrogates are no text to those who read it.
    return json.dumps(text.encode("utf-8", "replace").decode())


class _Here:
    """What this process belongs to, looked up when it first sends something."""

    file: MetricFile | None = None
    known = False


def here() -> MetricFile | None:
    """The file of the run that this process belongs to; None outside of runs."""
    if not _Here.known:
        path = os.environ.get(VARIABLE)
        _Here.file = MetricFile(path) if path else None
        _Here.known = True
    return _Here.file


def _forked() -> None:
    if _Here.file is not None:
        _Here.file.forget_rank()


os.register_at_fork(after_in_child=_forked)


def send_metric(name: Any, value: Any, index: Any = None) -> None:
    """Adds a point to the run's metrics; outside of runs it does nothing."""
    file = here()
    problem = "" if file is None else file.send(name, value, index)
    if problem:
        warnings.warn(problem, MetricWarning, stacklevel=2)
