"""The `.spicepod` file: a trained pod in one archive, enough to recommend without its data.

It is a ZIP with the manifest, the interpretations, the policy with its normalisation, the newest
window of the state table, the reward file where there is one, and `package.json`, which says
what is what and holds the checksum of each. Equal packages are equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from spice_engine.errors import IncompatibleVersion, Place
from spice_engine.pods.manifests import SUFFIXES
from spice_engine.pods.safe_zip import InvalidPackage, Limits, check_path, unpack
from spice_engine.records import record
from spice_engine.store.interpretations import InterpretationRow

SUFFIX = ".spicepod"
FORMAT = "spicepod"
VERSION = 1

LISTING = "package.json"
INTERPRETATIONS = "interpretations.json"
POLICY = "policy.msgpack"
WINDOW = "window.json"
CODE = "code/"
ORIGINAL_INIT = "init.pb"
ORIGINAL_MODEL = "_train/"

LIMITS = Limits(entries=500, packed=64 * 2**20, unpacked=128 * 2**20)
_MADE = (1980, 1, 1, 0, 0, 0)


@record
class Package:
    """What a `.spicepod` file holds; `notes` say what of it could not be taken.

    `manifest_file` is a name without folders. `code` is the reward file: its path relative to
    the app folder, and its text. `created` (Unix seconds), `algorithm` and `policy_version` are
    those of the policy.
    """

    pod: str
    manifest_file: str
    manifest: bytes
    interpretations: tuple[InterpretationRow, ...] = ()
    code: tuple[str, bytes] | None = None
    policy: bytes | None = None
    window: bytes | None = None
    alias: str = "latest"
    algorithm: str = ""
    policy_version: int = 0
    created: float = 0.0
    notes: tuple[str, ...] = ()


def write_package(package: Package) -> bytes:
    """The archive's bytes."""
    files = {
        package.manifest_file: package.manifest,
        INTERPRETATIONS: _interpretations_text(package.interpretations),
    }
    if package.policy is not None:
        files[POLICY] = package.policy
    if package.window is not None:
        files[WINDOW] = package.window
    if package.code is not None:
        files[CODE + package.code[0]] = package.code[1]
    listing = {
        "format": FORMAT,
        "version": VERSION,
        "pod": package.pod,
        "manifest": package.manifest_file,
        "code": package.code[0] if package.code else None,
        "alias": package.alias,
        "algorithm": package.algorithm,
        "policy_version": package.policy_version,
        "created": package.created,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    text = json.dumps(listing, indent=2, ensure_ascii=False) + "\n"
    return pack({LISTING: text.encode(), **files})


def pack(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP of these files whose bytes depend on them alone."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in sorted(files.items()):
            info = zipfile.ZipInfo(name, _MADE)
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            info.compress_type = method
            archive.writestr(info, data)
    return out.getvalue()


def read_package(source: BinaryIO, staging: Path, name: str) -> Package:
    """Read an archive, of this program or of the original product.

    `staging` is a folder that is made and removed again; `name` is what messages call the file.

    Raises:
        InvalidPackage: it is damaged, dangerous or no package.
        IncompatibleVersion: a newer program wrote it.
        TooLarge: it goes over a limit.
        StorageError: `staging` cannot be written.
    """
    place = Place(name)
    try:
        paths = unpack(source, staging, name, LIMITS)
        files = {path: (staging / path).read_bytes() for path in paths}
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if LISTING in files:
        return _read_ours(files, place)
    return _read_original(files, place)


def _read_ours(files: Mapping[str, bytes], place: Place) -> Package:
    listing = _json_map(files[LISTING], LISTING, place)
    if listing.get("format") != FORMAT:
        raise InvalidPackage(f"{LISTING} is not that of a pod.", place=place)
    version = listing.get("version")
    if version != VERSION:
        raise IncompatibleVersion(
            f"the package has version {version!r}, this program reads version {VERSION}.",
            hint="Use the program that wrote it, or a newer one.",
            place=place,
        )
    _check_files(files, listing.get("files"), place)
    try:
        manifest_file, code = listing["manifest"], listing["code"]
        package = Package(
            pod=str(listing["pod"]),
            manifest_file=str(manifest_file),
            manifest=files[manifest_file],
            interpretations=_read_interpretations(files[INTERPRETATIONS], place),
            code=(str(code), files[CODE + code]) if code else None,
            policy=files.get(POLICY),
            window=files.get(WINDOW),
            alias=str(listing["alias"]),
            algorithm=str(listing["algorithm"]),
            policy_version=int(listing["policy_version"]),
            created=float(listing["created"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidPackage(
            f"{LISTING} lacks something or holds it in the wrong form ({error!r}).", place=place
        ) from error
    _check_manifest_file(package.manifest_file, place)
    if package.code is not None:
        check_path(package.code[0], place)
        if not package.code[0].endswith(".py"):
            raise InvalidPackage(f"{package.code[0]!r} is no Python file.", place=place)
    return package


def _check_files(files: Mapping[str, bytes], listed: object, place: Place) -> None:
    """Every file is listed with its checksum, and every listed one is there."""
    sums = cast("dict[str, object]", listed) if isinstance(listed, dict) else {}
    for name in files.keys() - {LISTING}:
        if name not in sums:
            raise InvalidPackage(f"it holds {name!r}, which {LISTING} does not list.", place=place)
    for name, digest in sums.items():
        if name not in files or hashlib.sha256(files[name]).hexdigest() != digest:
            raise InvalidPackage(
                f"{name!r} is missing, or not what it was when the package was made.",
                hint="Get or export it again.",
                place=place,
            )


def _check_manifest_file(name: str, place: Place) -> None:
    check_path(name, place)
    if "/" in name or PurePosixPath(name).suffix not in SUFFIXES:
        raise InvalidPackage(f"{name!r} is no manifest's name.", place=place)


def _read_original(files: Mapping[str, bytes], place: Place) -> Package:
    """The original's layout: manifest, interpretations, `init.pb` and a TensorFlow model."""
    manifests = [
        path for path in files if "/" not in path and PurePosixPath(path).suffix in SUFFIXES
    ]
    if len(manifests) != 1 or ORIGINAL_INIT not in files:
        raise InvalidPackage(
            "it is no package of a pod: it lacks package.json, and is not in the layout of the "
            "original product either.",
            hint="Make one with: spice-tui export POD.",
            place=place,
        )
    name = manifests[0]
    for path in files.keys() - {name, ORIGINAL_INIT, INTERPRETATIONS}:
        if not path.partition("/")[0].endswith(ORIGINAL_MODEL.rstrip("/")):
            raise InvalidPackage(f"it holds {path!r}, which no package has.", place=place)
    notes: list[str] = []
    if any(ORIGINAL_MODEL in path for path in files):
        notes.append(
            "Its model is one of TensorFlow, which is not read here: the pod comes untrained."
        )
    said = files.get(INTERPRETATIONS)
    return Package(
        pod="",
        manifest_file=name,
        manifest=files[name],
        interpretations=_read_interpretations(said, place) if said else (),
        notes=tuple(notes),
    )


def _interpretations_text(rows: tuple[InterpretationRow, ...]) -> bytes:
    """As the original wrote them: with capitalised keys."""
    items = [
        {
            "Start": row.start,
            "End": row.end,
            "Name": row.name,
            "Actions": list(row.actions),
            "Tags": list(row.tags),
        }
        for row in rows
    ]
    return (json.dumps(items, indent=2, ensure_ascii=False) + "\n").encode()


def _read_interpretations(data: bytes, place: Place) -> tuple[InterpretationRow, ...]:
    """Keys in any case; names and lists may be absent or null."""
    items = _json(data, INTERPRETATIONS, place)
    if items is None:
        return ()
    rows: list[InterpretationRow] = []
    try:
        for item in cast("list[Mapping[str, Any]]", items):
            low = {key.lower(): value for key, value in item.items()}
            start, end = int(low["start"]), int(low["end"])
            if not -(2**62) < start <= end < 2**62:
                raise ValueError("end before start")
            actions, tags = (tuple(map(str, low.get(key) or ())) for key in ("actions", "tags"))
            rows.append(InterpretationRow(start, end, str(low.get("name") or ""), actions, tags))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidPackage(
            f"{INTERPRETATIONS} holds something in the wrong form ({error!r}).", place=place
        ) from error
    return tuple(rows)


def _json_map(data: bytes, name: str, place: Place) -> dict[str, Any]:
    found = _json(data, name, place)
    if not isinstance(found, dict):
        raise InvalidPackage(f"{name} is no JSON object.", place=place)
    return cast("dict[str, Any]", found)


def _json(data: bytes, name: str, place: Place) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidPackage(f"{name} is no JSON: {error}.", place=place) from error
