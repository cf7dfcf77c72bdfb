"""When two runs are the same: what the key of an idempotent run is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from spice_engine.runs.preparation import Taken


def key_of(
    command: Sequence[str],
    params: Mapping[str, Any],
    env: Mapping[str, str],
    cwd: str,
    taken: Taken,
    ranks: int = 0,
) -> str:
    """A hash of all that decides what a run does: its command with its parameters, the content of
    its folder and where in it it begins, its environment, its mounts with their content, its
    variables, and as how many ranks it runs. Not of where, when and for whom it runs: machine type,
    limits, name, labels. Empty for a run in the folder itself, which may have changed since."""
    if not taken.code:
        return ""
    mounts = sorted((mount.path, mount.object) for mount in taken.mounts)
    asked = [list(command), dict(params), dict(env), cwd, ranks]
    whole = [asked, taken.code, taken.dependencies, mounts]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
