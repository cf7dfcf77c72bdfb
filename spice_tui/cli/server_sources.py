"""What a server is made from: the models and the file that a command line names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spice_engine.errors import InvalidRequest, InvalidSettings
from spice_tui.cli.session import Session, expand

KINDS = ("script", "onnx", "sklearn", "torchscript", "pod")


def sources(
    session: Session, names: list[str], kind: str, *, elsewhere: bool = False
) -> tuple[list[str], str]:
    """The models, and the entrypoint relative to the app folder, of the words of `serve`;
    `elsewhere`: relative to the first folder of a repository, in which it is not looked for here.

    Raises:
        InvalidSettings: a word is neither, or there is no such kind of server.
    """
    if kind not in {"", *KINDS}:
        raise InvalidSettings(
            f"there is no type {kind!r} of servers.", hint=f"There are: {', '.join(KINDS)}."
        )
    last = names[-1]
    is_file = kind in {"", "script"} and (last.endswith(".py") or ":" not in last)
    models = [tag(item) for item in (names[:-1] if is_file else names)]
    if not is_file:
        return models, ""
    return models, Path(last).as_posix() if elsewhere else inside(session, last)


def inside(session: Session, path: str) -> str:
    """A file's path as the definition has it: relative to the app folder.

    Raises:
        InvalidSettings: there is no such file, or it lies elsewhere.
    """
    here = Path.cwd() / expand(path)
    root = session.location.root
    if not here.is_file() and (root / path).is_file():
        return Path(path).as_posix()  # as the definition and the original's files name it
    if not here.is_file():
        raise InvalidSettings(
            f"there is no file {path!r}.", hint="Name the Python file with the Predictor."
        )
    try:
        return here.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        raise InvalidSettings(
            f"{path} does not lie in the app folder {root}.",
            hint="Move it there, or name its folder with -C.",
        ) from None


def tag(text: str) -> str:
    """A model as `NAME:VERSION`.

    Raises:
        InvalidSettings: it has no version.
    """
    name, _, version = text.partition(":")
    if not name or not version:
        raise InvalidSettings(
            f"{text!r}: A model tag must be specified in the form model_name:version"
        )
    return text


def name_of(models: list[str]) -> str:
    """The name of a server that was given none: that of its model.

    Raises:
        InvalidSettings: it has none, or several.
    """
    if len(models) == 1:
        return models[0].partition(":")[0]
    how = "when using multiple models" if models else "if not using a model"
    raise InvalidSettings(f"A server name must be provided with --name {how}")


def type_of(client: Any, models: list[str]) -> str:
    """What serves models without a file: a pod's policy does so by itself.

    Raises:
        InvalidRequest: they need a file, or a type.
    """
    names = {model.partition(":")[0] for model in models}
    pods = {pod["name"] for pod in client.call("pods.list")["pods"]}
    if len(models) == 1 and names <= pods:
        return "pod"
    raise InvalidRequest(
        f"{models[0]} is a model; what serves it is missing.",
        hint="Name the Python file with its Predictor, or what it is with "
        "--type onnx|sklearn|torchscript.",
    )
