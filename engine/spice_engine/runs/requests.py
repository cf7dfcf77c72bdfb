"""From a request to start a run to what is stored, and from that to what its shim is told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.runs import StartRun
from spice_engine.runs import parameters, stop_conditions
from spice_engine.runs.parameters import filled
from spice_engine.runs.preparation import Prepared
from spice_engine.store.runs import RunRow
from spice_engine.workers.devices import variables_of
from spice_engine.workers.jobs import Job
from spice_runtime.process import SOFT_FILES

MAX_COMMAND_BYTES = 128 * 1024
LARGEST_LIMIT = 2**60
"""Of seconds, cores and bytes; more than there is anywhere, and still a number to everybody."""

LOG_MAX_BYTES = 2**30
"""A run's log is cut at this size; its command goes on."""

KINDS = ("run", "trial", "workflow", "workspace")
LONGEST_NAME = 200
LONGEST_TEXT = 4096
LARGEST_PRIORITY = 1000
MOST_RETRIES = 100
MOST_AFTER = 1000

PYTHON_PATH = "PYTHONPATH"
SPELL_METRICS = "SPELL_METRICS"
"""Where Spell's own module sends metrics to."""
SHELL = ("/bin/sh", "-c")
"""A one-line command is stored and run as this and the line."""


def command_of(request: StartRun) -> tuple[str, ...]:
    """The words to run, once all of the request but its folder was looked at.

    Raises:
        InvalidRequest: the command, its variables or its limits cannot be used.
    """
    line = isinstance(request.command, str)
    command = (
        (*SHELL, request.command) if isinstance(request.command, str) else tuple(request.command)
    )
    if not command or not command[-1 if line else 0].strip():
        raise InvalidRequest("a run needs a command.")
    texts = (*command, request.cwd, *request.env, *request.env.values())
    if any("\0" in text for text in texts):
        raise InvalidRequest("a command, folder or variable holds a null byte.")
    if sum(len(part) for part in texts) > MAX_COMMAND_BYTES:
        raise InvalidRequest(f"the command is over {MAX_COMMAND_BYTES} bytes.")
    for variable in request.env:
        if not variable or "=" in variable:
            raise InvalidRequest(f"{variable[:40]!r} cannot be the name of a variable.")
    for name in ("timeout", "cpu", "memory"):
        value = getattr(request, name)
        if value is not None and not 0 < value <= LARGEST_LIMIT:
            raise InvalidRequest(f"{name}: must be more than 0, and no more than 2^60.")
    parameters.check(request.params)
    _check_more(request)
    return command


def _check_more(request: StartRun) -> None:
    if request.kind not in KINDS:
        raise InvalidRequest(f"a run's kind is one of {', '.join(KINDS)}.")
    name = request.name
    if not name.isprintable() or len(name) > LONGEST_NAME or name != name.strip():
        raise InvalidRequest(
            f"{name[:40]!r} cannot name a run.",
            hint=f"Up to {LONGEST_NAME} printable characters, no spaces around them.",
        )
    if name.removeprefix("runs/").isdecimal():
        raise InvalidRequest(f"{name[:40]!r} cannot name a run: it is a run's number.")
    if abs(request.priority) > LARGEST_PRIORITY:
        raise InvalidRequest(f"priority: between -{LARGEST_PRIORITY} and {LARGEST_PRIORITY}.")
    if not 0 <= request.retries <= MOST_RETRIES:
        raise InvalidRequest(f"retries: between 0 and {MOST_RETRIES}.")
    if len(request.after) > MOST_AFTER:
        raise InvalidRequest(f"a run waits for at most {MOST_AFTER} others.")
    others = (*request.after, request.parent, request.code_of)
    if any(number is not None and not 0 < number < 2**63 for number in others):
        raise InvalidRequest("after, parent, code_of: no such run.")
    if request.idempotent and request.in_place:
        raise InvalidRequest(
            "idempotent: a run in the folder itself is never the same as another.",
            hint="Leave --in-place out.",
        )
    stop_conditions.parse_all(request.stop_conditions)
    texts = (request.made_by, request.tensorboard, request.source, request.link)
    if any(len(part) > LONGEST_TEXT or not part.isprintable() for part in texts):
        raise InvalidRequest(
            f"made_by, tensorboard, source, link: up to {LONGEST_TEXT} printable characters."
        )


def job_of(
    row: RunRow,
    prepared: Prepared,
    devices: Sequence[int] = (),
    variables: Mapping[str, str] | None = None,
) -> Job:
    """What a run's shim is to do, with the numbers of its GPUs; the engine's own variables stand
    below those of its environment, and those below `variables` and the run's."""
    inherited = {name: value for name, value in os.environ.items() if name != SOFT_FILES}
    env = {
        **inherited,
        **variables_of(devices),
        **prepared.variables,
        **(variables or {}),
        **row.env,
        "SPICE_RUN_ID": str(row.id),
        "SPICE_RUN_ATTEMPT": str(row.attempt),
    }
    if variables and PYTHON_PATH in variables:
        # What the user's Python looks through first stays first.
        theirs = (row.env, prepared.variables, inherited)
        first = next((one[PYTHON_PATH] for one in theirs if one.get(PYTHON_PATH)), "")
        env[PYTHON_PATH] = os.pathsep.join(filter(None, (first, variables[PYTHON_PATH])))
    return Job(
        argv=filled(row.command, row.params),
        env=env,
        cwd=str(prepared.cwd),
        views=tuple(prepared.views),
        timeout_s=row.limits.get("timeout") or 0.0,
        log_max_bytes=LOG_MAX_BYTES,
    )
