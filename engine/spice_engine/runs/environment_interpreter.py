"""Looks at an interpreter that a user named by its path: whether it is one, and what is in it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

OLDEST = (3, 9)
_SECONDS = 20.0
_PROGRAM = "import json, sys; print(json.dumps(list(sys.version_info[:3])))"


@record
class Interpreter:
    """`packages` is empty where uv cannot tell them."""

    python: Path
    version: tuple[int, ...]
    packages: str


async def inspect(uv: str, python: Path) -> Interpreter:
    """What `python` is.

    Raises:
        InvalidRequest: it is no Python, or too old.
    """
    code, said = await _output(str(python), "-I", "-c", _PROGRAM)
    try:
        version = tuple(int(part) for part in json.loads(said))
    except (ValueError, TypeError):
        raise InvalidRequest(
            f"{python} is no Python interpreter{': ' + said[-300:] if code and said else '.'}",
            hint="Name a version such as 3.12, or the path of a python program.",
        ) from None
    if version < OLDEST:
        raise InvalidRequest(
            f"{python} is Python {'.'.join(map(str, version))}.",
            hint=f"Servers need {'.'.join(map(str, OLDEST))} or later.",
        )
    code, packages = await _output(uv, "pip", "freeze", "--quiet", "--python", str(python))
    return Interpreter(python, version, "" if code else packages)


async def _output(*command: str) -> tuple[int, str]:
    """Exit code and output of a short command; its errors too."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return 127, error.strerror or str(error)
    try:
        async with asyncio.timeout(_SECONDS):
            out, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        return 124, f"it did not answer in {_SECONDS:g} s"
    except asyncio.CancelledError:
        child.kill()
        raise
    return child.returncode or 0, out.decode("utf-8", "replace").strip()
