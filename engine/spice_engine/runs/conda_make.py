"""Makes a conda environment with py-rattler: `python -I -m spice_engine.runs.conda_make FOLDER`.

FOLDER holds `conda.json` with `channels`, `specs` or else the `records` of a lock; the environment
comes to `venv` in it, what is in it to `conda-lock.json`. A process of its own, for solving
computes for long.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.runs import conda_activation
from spice_engine.runs.environment_script import CONDA, CONDA_LOCK, VENV

if TYPE_CHECKING:
    from rattler import RepoDataRecord


async def make(folder: Path) -> None:
    """Solve, unless the records are there, and install.

    Raises:
        rattler's errors: no solution, no network, a damaged package, a full disk.
    """
    import rattler

    wanted = json.loads((folder / CONDA).read_text(encoding="utf-8"))
    records = [_record(one) for one in wanted.get("records", ())]
    if not records:
        print("+ solving", " ".join(wanted["specs"]), flush=True)  # noqa: T201
        records = await rattler.solve(
            sources=wanted["channels"],
            specs=wanted["specs"],
            platforms=[rattler.Subdir.current(), "noarch"],
            virtual_packages=rattler.VirtualPackage.detect(),
        )
    print(f"+ installing {len(records)} packages", flush=True)  # noqa: T201
    await rattler.install(records, target_prefix=folder / VENV, show_progress=False)
    lock = json.dumps([plain(record) for record in sorted(records, key=_name)])
    (folder / CONDA_LOCK).write_text(lock, encoding="utf-8")
    await asyncio.to_thread(conda_activation.note, folder, folder / VENV)


def plain(record: RepoDataRecord) -> dict[str, Any]:
    """All of a package that is needed to install the same one again."""
    noarch = record.noarch
    return {
        "name": _name(record),
        "version": str(record.version),
        "build": str(record.build),
        "build_number": record.build_number,
        "subdir": str(record.subdir),
        "noarch": "python" if noarch.python else "generic" if noarch.generic else "",
        "depends": list(record.depends),
        "file_name": record.file_name,
        "url": record.url,
        "channel": record.channel or "",
        "sha256": record.sha256.hex() if record.sha256 else "",
        "md5": record.md5.hex() if record.md5 else "",
        "site_packages": record.python_site_packages_path or "",
    }


def _record(data: dict[str, Any]) -> RepoDataRecord:
    from rattler import BuildString, NoArchType, PackageRecord, RepoDataRecord

    package = PackageRecord(
        data["name"],
        data["version"],
        BuildString(data["build"]),
        int(data["build_number"]),
        data["subdir"],
        noarch=NoArchType(data["noarch"] or None),
        depends=list(data["depends"]),
        sha256=bytes.fromhex(data["sha256"]) or None,
        md5=bytes.fromhex(data["md5"]) or None,
        python_site_packages_path=data["site_packages"] or None,
    )
    return RepoDataRecord(package, data["file_name"], data["url"], data["channel"])


def _name(record: RepoDataRecord) -> str:
    return record.name.normalized


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
    sys.stdout.flush()
    # rattler's threads may go on, and have crashed an interpreter that took itself apart.
    os._exit(0)
