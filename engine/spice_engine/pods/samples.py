"""The sample apps that come with the product: what there is, and copying one into a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from spice_engine.errors import Conflict, NotFound, StorageError

PREFIXES = ("samples/", "quickstarts/")


def samples_folder() -> Path:
    """Where they are: inside the installed package, or in the checkout of a development install."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_samples"
    return inside if inside.is_dir() else package.parent.parent / "sample_pods"


def sample_names() -> list[str]:
    """All of them, as `samples/<name>`."""
    folder = samples_folder()
    if not folder.is_dir():
        return []
    return sorted(
        f"samples/{entry.name}" for entry in folder.iterdir() if (entry / "spicepods").is_dir()
    )


def add_sample(name: str, root: Path) -> list[str]:
    """Copy a sample's manifest, data and code into the app folder `root`.

    Returns the files written, relative to `root`. Files that are there with the same content
    are left alone.

    Raises:
        NotFound: no such sample.
        Conflict: a file of the same name with other content is there; nothing was written.
        StorageError: the folder cannot be written.
    """
    short = name
    for prefix in PREFIXES:
        short = short.removeprefix(prefix)
    names = sample_names()
    if f"samples/{short}" not in names:
        raise NotFound(f"there is no sample {name!r}.", hint=f"There are: {', '.join(names)}.")
    source = samples_folder() / short
    files = sorted(
        path
        for part in ("spicepods", "data")
        for path in (source / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    wanted = [(path, root / path.relative_to(source)) for path in files]
    for path, target in wanted:
        if target.exists() and target.read_bytes() != path.read_bytes():
            raise Conflict(
                f"{target.relative_to(root)} is there already, with other content.",
                hint="Move it away, or use an empty folder.",
            )
    try:
        # The manifest comes last: when the engine sees it, its data is there.
        for path, target in sorted(wanted, key=lambda pair: pair[0].suffix in {".yaml", ".yml"}):
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                beside = target.with_name(f".{target.name}.new")
                shutil.copyfile(path, beside)
                beside.rename(target)
    except OSError as error:
        raise StorageError(f"{root} cannot be written: {error.strerror}.") from error
    return [str(target.relative_to(root)) for _, target in wanted]
