"""A copy of `spice_runtime` by itself, for the paths of children."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from pathlib import Path

import spice_runtime
from spice_engine.store.disk import storage_error


def runtime_copy(state: Path) -> Path:
    """A folder with nothing in it but `spice_runtime`, for children's paths.

    Where our packages are installed other packages are, too, and those must not hide what the
    predictor's environment has.
    """
    source = Path(spice_runtime.__file__).parent
    files = sorted(path for path in source.rglob("*") if _is_source(path))
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(source)}\0".encode())
        digest.update(path.read_bytes())
    folder = state / "runtime" / digest.hexdigest()[:16]
    if folder.is_dir():
        with contextlib.suppress(OSError):
            os.utime(folder)
        return folder
    beside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        for path in files:
            target = beside / "spice_runtime" / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        with contextlib.suppress(FileExistsError):
            beside.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise storage_error(error, "copy the runtime", folder) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
