"""What a person writes when a server is stood up, as the engine's definition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidRequest

if TYPE_CHECKING:
    from spice_tui.models.world import World

_PODS = re.compile(r"(\d{1,6})(?:\s*(?:-|to)\s*(\d{1,6}))?")


def sources(words: Sequence[str]) -> tuple[list[str], str]:
    """Models and entrypoint of the words after `serve`; the entrypoint is the Python file."""
    files = [word for word in words if word.endswith(".py")]
    return [tag(word) for word in words if word not in files], files[-1] if files else ""


def tag(model: str) -> str:
    """A model with its version; the newest when none is named."""
    return model if ":" in model else f"{model}:latest"


def name_of(models: Sequence[str], entrypoint: str) -> str:
    """A name to begin with: that of the only model, else of the file."""
    plain = models[0].partition(":")[0] if len(models) == 1 else PurePosixPath(entrypoint).stem
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def definition(values: Mapping[str, str], world: World) -> dict[str, Any]:
    """The definition of what a form says.

    Raises:
        InvalidRequest: something is missing, or no number.
    """
    models = [tag(word) for word in values["models"].split()]
    entrypoint, kind = values["entrypoint"], values["kind"]
    pods = _PODS.fullmatch(values["pods"] or "1-5")
    if pods is None:
        raise InvalidRequest(f"{values['pods']!r}: how many pods?", hint="Such as 1-5, or 2.")
    if not models and not entrypoint:
        raise InvalidRequest("a model or a file is needed.")
    if not kind:
        kind = "script" if entrypoint else kind_of(models, world)
    return {
        "name": values["name"],
        "models": models,
        "entrypoint": entrypoint,
        "type": kind,
        "scaling": {"min_pods": int(pods[1]), "max_pods": int(pods[2] or pods[1])},
    }


def kind_of(models: Sequence[str], world: World) -> str:
    """What serves models without a file: a pod's policy does so by itself.

    Raises:
        InvalidRequest: they need a file, or a kind.
    """
    name = models[0].partition(":")[0]
    known = world.models.get(name)
    if len(models) == 1 and (known.kind == "policy" if known else name in world.pods):
        return "pod"
    raise InvalidRequest(
        f"{models[0]} is a model; what serves it is missing.",
        hint="Name the Python file with its Predictor, or a kind: onnx, sklearn, torchscript.",
    )
