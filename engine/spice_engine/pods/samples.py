"""The sample apps that come with the product: the registry that is always there, offline too."""

from __future__ import annotations

from pathlib import Path

from spice_engine.errors import NotFound
from spice_engine.pods.app_files import app_files
from spice_engine.pods.install import Staged

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


def short_name(name: str) -> str:
    """The sample that `samples/x`, `quickstarts/x` or `x` names; empty where there is none.

    The case of letters does not count.
    """
    short = name
    for prefix in PREFIXES:
        short = short.removeprefix(prefix)
    known = {found.removeprefix("samples/") for found in sample_names()}
    return next((found for found in known if found.lower() == short.lower()), "")


def add_sample(name: str, root: Path) -> list[str]:
    """Copy a sample's manifest, data and code into the app folder `root`.

    Returns the files of it, relative to `root`. Files that are there with the same content are
    left alone.

    Raises:
        NotFound: no such sample.
        Conflict: a file of the same name with other content is there; nothing was written.
        StorageError: the folder cannot be written.
    """
    short = short_name(name)
    if not short:
        names = ", ".join(sample_names())
        raise NotFound(f"there is no sample {name!r}.", hint=f"There are: {names}.")
    files = app_files(samples_folder() / short)
    staged = Staged(root, files)
    try:
        staged.commit()
    finally:
        staged.close()
    return list(files)
