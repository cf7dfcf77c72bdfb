"""A conda channel made by hand, for tests: some packages, one of them a Python of this machine."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def make_channel(folder: Path) -> str:
    """The channel's address."""
    channel = folder / "channel"
    base = Path(sys.base_prefix) / "bin"
    files: dict[str, str] = {"bin/tool": "#!/bin/sh\necho tool 1\n"}
    _package(channel, "tool", "1.0", files)
    _package(channel, "tool", "2.0", {"bin/tool": "#!/bin/sh\necho tool 2\n"}, depends=["lib >=1"])
    _package(channel, "lib", "1.5", {"share/lib.txt": "lib\n"})
    activate = (
        "echo activating; export LIB_HOME=$CONDA_PREFIX/share PATH=$CONDA_PREFIX/more:$PATH\n"
    )
    script = {
        "etc/conda/activate.d/active.sh": activate,
        "etc/conda/env_vars.d/active.json": '{"OF_A_PACKAGE": "a b"}',
    }
    _package(channel, "active", "1.0", {**script, "more/own": "#!/bin/sh\necho own\n"})
    # What makes a virtual environment of a folder makes a Python of the package.
    settings = f"home = {base}\nversion = {_VERSION}\n"
    links = {"bin/python": str(base / _PYTHON), f"bin/{_PYTHON}": "python"}
    _package(channel, "python", _VERSION, {"pyvenv.cfg": settings}, links=links)
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    _index(channel / "noarch", "noarch", {})
    return channel.as_uri()


def _package(
    channel: Path,
    name: str,
    version: str,
    files: dict[str, str],
    *,
    links: dict[str, str] | None = None,
    depends: list[str] | None = None,
) -> None:
    folder = channel / _subdir()
    folder.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": depends or [],
        "subdir": _subdir(),
    }
    paths: list[dict[str, Any]] = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "size_in_bytes": len(text),
        }
        for path, text in files.items()
    ]
    empty = hashlib.sha256(b"").hexdigest()
    paths += [
        {"_path": path, "path_type": "softlink", "sha256": empty, "size_in_bytes": 0}
        for path in links or {}
    ]
    contents = {
        **files,
        "info/index.json": json.dumps(record),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}),
        "info/files": "".join(f"{path['_path']}\n" for path in paths),
    }
    file = folder / f"{name}-{version}-0.tar.bz2"
    with tarfile.open(file, "w:bz2") as tar:
        for path, text in contents.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(text.encode()), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
        for path, target in (links or {}).items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    index = folder / "repodata.json"
    packages = json.loads(index.read_text())["packages"] if index.exists() else {}
    data = file.read_bytes()
    packages[file.name] = {
        **record,
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "size": len(data),
    }
    _index(folder, _subdir(), packages)


def _index(folder: Path, subdir: str, packages: dict[str, Any]) -> None:
    index = {"info": {"subdir": subdir}, "packages": packages, "packages.conda": {}}
    (folder / "repodata.json").write_text(json.dumps({**index, "repodata_version": 1}))


def _subdir() -> str:
    from rattler import Subdir

    return str(Subdir.current())
