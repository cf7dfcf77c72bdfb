"""Files of the engine brought to a folder of this process.

A run may see a disk of its own, where the engine cannot write. So the engine writes to a folder
for temporary files, which both see, and the rest is done here.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spice_runtime.client.door import Door


def brought(door: Door, path: str, request: dict[str, Any], destination: str | None) -> Any:
    """What the engine answers when it is asked at `path` to write files to a folder; that then is
    in `destination`, or in the present folder."""
    folder = Path(destination or ".").absolute()
    with tempfile.TemporaryDirectory(prefix="spice-copy-") as between:
        whole = {**request, "existing": "overwrite", "destination": between}
        answer = door.post(path, whole, again=True)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(between, str(folder), symlinks=True, dirs_exist_ok=True)
    return answer
