"""Why an environment could not be made: from its script's exit code and the end of its log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spice_engine.runs import environment_script as scripts
from spice_engine.runs.environment_script import EnvironmentFailed

_LAST_LINES = 12
_LAST_CHARACTERS = 1500
_COLORS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_NETWORK = re.compile(
    r"error sending request|dns error|\(Connect\)|connection (refused|reset|closed)|timed out|"
    r"Failed to fetch|network was disabled|certificate",
    re.IGNORECASE,
)
_APT = "E: "
_TROUBLE = ("error:", "Error: ", "\N{MULTIPLICATION SIGN}")
_FULL = re.compile(r"No space left on device|os error 28|Disk quota exceeded")
_RAISED = re.compile(r"^[\w.]*(Error|Exception): ?")
_OTHERS = {
    scripts.NO_CONDA: (
        "the conda packages cannot be installed",
        "Check their names and the channels (--conda-channel).",
    ),
    scripts.NO_APT: (
        "apt cannot install the packages",
        "Check their names and versions: apt-cache policy NAME.",
    ),
    scripts.NO_IMAGE: ("the image cannot be unpacked", "Check that it is a root file system."),
}


def failure(code: int, log: str, setup: Sequence[str], log_file: Path) -> EnvironmentFailed:
    """What went wrong, from the script's exit code and the end of its log."""
    text = _CREDENTIALS.sub("***@", _COLORS.sub("", log)).rstrip()
    where = f"The whole log: {log_file}."
    if _FULL.search(text[-_LAST_CHARACTERS:]):
        return EnvironmentFailed(
            "the disk became full while the environment was made.",
            hint=f"Free some space (spice-tui env prune), and try again. {where}",
        )
    if 0 <= (index := code - scripts.SETUP_FAILED) < len(setup):
        said = _last(text.splitlines())
        return EnvironmentFailed(
            f"the setup command {setup[index]!r} failed{': ' + said if said else '.'}", hint=where
        )
    said = _last(_reason(text.splitlines()))
    if code == scripts.NO_CONDA and _NETWORK.search(said):
        return EnvironmentFailed(
            f"no channel of conda can be reached: {said}",
            hint="Check the network, or name a channel that is here: --conda-channel file:///PATH. "
            f"{where}",
        )
    if code in _OTHERS:
        what, hint = _OTHERS[code]
        return EnvironmentFailed(f"{what}: {said or 'no reason given'}", hint=f"{hint} {where}")
    if code == scripts.NO_PYTHON and _NETWORK.search(said):
        return EnvironmentFailed(
            "this machine does not have that Python, and uv cannot download it: "
            f"{said.rpartition('cause:')[2].strip()}.",
            hint=f"Name a version that is here, or the path of an interpreter. {where}",
        )
    if code == scripts.NO_PYTHON:
        return EnvironmentFailed(
            f"there is no Python for this environment: {said}",
            hint=f"Name a version that uv can find, or the path of an interpreter. {where}",
        )
    if _NETWORK.search(said):
        return EnvironmentFailed(
            f"no package index can be reached: {said}",
            hint="Check the network, and the index that pip's or uv's configuration names. "
            f"What was installed once needs neither. {where}",
        )
    if "was not found in the" in said:
        hint = "Check the name, and which index has it."
    elif "No solution found" in said:
        hint = "Ask for versions that exist and that go together."
    elif "parse" in said:
        hint = "A package is asked for as NAME, NAME==VERSION or NAME>=VERSION."
    else:
        hint = ""
    return EnvironmentFailed(
        f"the packages cannot be installed: {said or f'uv ended with {code}.'}",
        hint=f"{hint} {where}".strip(),
    )


def _reason(lines: list[str]) -> list[str]:
    """From a tool's first line of trouble on; all of it where there is none. Of apt, which may have
    tried twice, its lines of trouble alone."""
    if of_apt := [line for line in lines if line.startswith(_APT)]:
        return [line.removeprefix(_APT) for line in dict.fromkeys(of_apt)]
    for index, line in enumerate(lines):
        if line.lstrip().startswith(_TROUBLE) or _RAISED.match(line):
            return [_RAISED.sub("", line), *lines[index + 1 :]]
    return lines


def _last(lines: list[str]) -> str:
    """The last lines as one paragraph, after the first one, without uv's own advice."""
    kept = (line.strip().removeprefix("error:").strip() for line in lines)
    told = [line for line in kept if line and not line.startswith("hint:")]
    if len(told) > _LAST_LINES:
        told = [told[0], "...", *told[-_LAST_LINES // 2 :]]
    return " ".join(told)[-_LAST_CHARACTERS:]
