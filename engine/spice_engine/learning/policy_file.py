"""The policy file: msgpack, with a version and a checksum, read back to the bit.

Version 1 held linear models only. Version 2 says of which kind the model is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from spice_engine.errors import IncompatibleVersion, StorageError
from spice_engine.learning.confidence import Calibration
from spice_engine.learning.features import Layout
from spice_engine.learning.levels import pack_levels, unpack_levels
from spice_engine.learning.logistic import Logistic
from spice_engine.learning.model import read_model
from spice_engine.learning.packed import pack_floats, unpack_floats

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy

FORMAT = "spice-policy"
VERSION = 2

# msgpack has no type stubs; these three names are all that is used of it.
_pack = cast("Callable[[Any], bytes]", msgpack.Packer(use_bin_type=True).pack)  # pyright: ignore[reportUnknownMemberType]
_load = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_UnpackError = cast("type[Exception]", msgpack.exceptions.UnpackException)


class InvalidPolicy(StorageError):
    """A policy file is damaged, or was made for a pod of another shape."""

    code = "invalid_policy"


def write_policy_file(policy: Policy) -> bytes:
    """The bytes of a policy; equal policies give equal bytes."""
    layout, calibration = policy.layout, policy.calibration
    logistic = calibration.logistic
    body = _pack(
        {
            "fields": list(layout.fields),
            "lagged": list(layout.lagged),
            "current": list(layout.current),
            "lags": list(layout.lags),
            "features": layout.kind,
            "actions": list(policy.actions),
            "span": policy.span,
            "granularity": policy.granularity,
            "algorithm": policy.algorithm,
            "kind": policy.model.kind,
            "model": policy.model.to_content(),
            "margins": pack_floats(calibration.margins),
            "confidences": pack_floats(calibration.confidences),
            "classic_confidence": calibration.classic,
            **({} if logistic is None else {"logistic": pack_floats(logistic.to_floats())}),
            "evaluation": dict(policy.evaluation),
            "fingerprint": policy.fingerprint,
            "settings": dict(policy.settings),
            "simulation": policy.simulation,
            "local": list(policy.local),
            **({"levels": pack_levels(policy.levels)} if policy.levels else {}),
        }
    )
    return _pack({"format": FORMAT, "version": VERSION, "sha256": _sha256(body), "body": body})


def read_policy_file(data: bytes) -> dict[str, Any]:
    """The fields of a `Policy`, by name; raises as `Policy.from_bytes` does."""
    outer = _unpack(data)
    if outer.get("format") != FORMAT:
        raise InvalidPolicy("This is no policy file.")
    version = outer.get("version")
    if version not in (1, VERSION):
        raise IncompatibleVersion(
            f"The policy file has version {version}, this program reads up to version {VERSION}.",
            hint="Train the pod again, or use the program that wrote the file.",
        )
    body = outer.get("body")
    if not isinstance(body, bytes) or outer.get("sha256") != _sha256(body):
        raise InvalidPolicy("The policy file is damaged.", hint="Train the pod again.")
    try:
        content = _unpack(body)
        return _from_content(_from_version_1(content) if version == 1 else content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidPolicy(
            f"The policy file lacks something or holds it in the wrong form ({error!r}).",
            hint="Train the pod again.",
        ) from error


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """What version 1 kept, as version 2 keeps it."""
    model = {key: content[key] for key in ("mean", "inverse", "weights", "intercept")}
    return content | {
        "lagged": list(range(len(content["fields"]))),
        "current": [],
        "features": "levels",
        "kind": "linear",
        "model": model,
        "classic_confidence": False,
        "simulation": None,
        "local": [],
    }


def _from_content(content: dict[str, Any]) -> dict[str, Any]:
    fields, actions = tuple(content["fields"]), tuple(content["actions"])
    lagged, current = tuple(content["lagged"]), tuple(content["current"])
    lags, kind, span = tuple(content["lags"]), content["features"], content["span"]
    if not lags or min(lags) != 0 or max(lags) >= span or not actions:
        raise ValueError("lags, span and actions do not go together")
    if sorted(lagged + current) != list(range(len(fields))) or kind not in ("levels", "classic"):
        raise ValueError("the layout is not one of all fields")
    layout = Layout(fields, lagged, current, lags, kind)
    knots = (len(content["margins"]) // 8,)
    return {
        "actions": actions,
        "span": span,
        "granularity": content["granularity"],
        "layout": layout,
        "algorithm": content["algorithm"],
        "model": read_model(content["kind"], content["model"], len(layout.names), len(actions)),
        "calibration": Calibration(
            unpack_floats(content["margins"], knots),
            unpack_floats(content["confidences"], knots),
            bool(content["classic_confidence"]),
            _logistic(content.get("logistic"), len(actions)),
        ),
        "evaluation": content["evaluation"],
        "fingerprint": content["fingerprint"],
        "settings": content["settings"],
        "simulation": content["simulation"],
        "local": tuple(content["local"]),
        "levels": unpack_levels(content.get("levels", ())),
    }


def _logistic(packed: Any, actions: int) -> Logistic | None:
    return None if packed is None else Logistic.from_floats(unpack_floats(packed, (-1,)), actions)


def _unpack(data: bytes) -> dict[str, Any]:
    try:
        value: Any = _load(data, raw=False, strict_map_key=True)
    except (ValueError, _UnpackError) as error:
        raise InvalidPolicy("The policy file is damaged.", hint="Train the pod again.") from error
    if not isinstance(value, dict):
        raise InvalidPolicy("This is no policy file.")
    return cast("dict[str, Any]", value)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
