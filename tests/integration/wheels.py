"""Wheels made by hand, for tests that need packages and no index."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path


def make_wheel(folder: Path, version: str = "1.0") -> Path:
    """A wheel of the package `tiny`, which knows its version."""
    note = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": f"NAME = 'tiny'\nVERSION = {version!r}\n",
        f"{note}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{note}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    lines = [f"{name},{_hash(text)},{len(text)}\n" for name, text in files.items()]
    files[f"{note}/RECORD"] = "".join([*lines, f"{note}/RECORD,,\n"])
    wheel = folder / f"tiny-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
