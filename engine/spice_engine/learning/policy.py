"""The trained policy: recommends from a window, and lives in one msgpack file. NumPy alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import IncompatibleVersion, InvalidData, StorageError
from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.confidence import Calibration
from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Matrix, Scaling, feature_names, raw_features

FORMAT = "spice-policy"
VERSION = 1
TOP_FEATURES = 5

# msgpack has no type stubs; these three names are all that is used of it.
_pack = cast("Callable[[Any], bytes]", msgpack.Packer(use_bin_type=True).pack)  # pyright: ignore[reportUnknownMemberType]
_load = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_UnpackError = cast("type[Exception]", msgpack.exceptions.UnpackException)


class InvalidPolicy(StorageError):
    """A policy file is damaged, or was made for a pod of another shape."""

    code = "invalid_policy"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do: `values` are the predicted rewards of all actions.

    `features`, given where asked for, are the few that spoke most for this action against the
    second best: name and share of the lead in units of reward, largest first.
    """

    action: str
    confidence: float
    values: dict[str, float]
    features: dict[str, float]


@dataclass(frozen=True)
class Policy:
    """A linear policy and all it needs to be used and judged.

    `span` rows of `granularity` seconds make a window; its columns are `fields` in that order.
    `evaluation` and `fingerprint` are those of the training run.
    """

    fields: tuple[str, ...]
    actions: tuple[str, ...]
    span: int
    granularity: int
    lags: tuple[int, ...]
    algorithm: str
    model: LinearModel
    calibration: Calibration
    evaluation: Mapping[str, Any]
    fingerprint: str
    settings: Mapping[str, Any]

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the weights."""
        return feature_names(self.fields, self.lags)

    @cached_property
    def _newest(self) -> NDArray[np.int64]:
        return np.array([self.span - 1], dtype=np.int64)

    def recommend(self, window: Matrix, *, explain: bool = False) -> Recommendation:
        """The action for a window [span, F] of complete buckets, oldest first.

        Raises InvalidData where the window has another shape or holds anything but numbers.
        """
        if window.shape != (self.span, len(self.fields)):
            raise InvalidData(
                f"The window has the shape {window.shape}, "
                f"the policy needs ({self.span}, {len(self.fields)}).",
                hint="Train the pod again after changing its fields, interval or granularity.",
            )
        if not np.isfinite(window).all():
            raise InvalidData("The window holds a value that is no finite number.")
        raw = raw_features(window, self._newest, self.lags)
        values = self.model.values(raw)
        chosen = int(choose(values)[0])
        return Recommendation(
            action=self.actions[chosen],
            confidence=float(self.calibration.confidence(values)[0]),
            values=dict(zip(self.actions, values[0].tolist(), strict=True)),
            features=self._contributions(raw, values[0], chosen) if explain else {},
        )

    def _contributions(self, raw: Matrix, values: Matrix, chosen: int) -> dict[str, float]:
        if len(self.actions) < 2:
            return {}
        others = values.copy()
        others[chosen] = -np.inf
        second = int(others.argmax())
        weights = self.model.weights
        shares = self.model.scaling.apply(raw)[0] * (weights[:, chosen] - weights[:, second])
        order = np.argsort(-np.abs(shares), kind="stable")[:TOP_FEATURES]
        return {self.feature_names[i]: float(shares[i]) for i in order.tolist() if shares[i]}

    def check_fits(
        self, fields: Sequence[str], actions: Sequence[str], span: int, granularity: int
    ) -> None:
        """Raise InvalidPolicy, with the reason, where the policy was made for another shape."""
        pairs = (
            ("fields", self.fields, tuple(fields)),
            ("actions", self.actions, tuple(actions)),
            ("rows in a window", self.span, span),
            ("seconds in a bucket", self.granularity, granularity),
        )
        for what, ours, theirs in pairs:
            if ours != theirs:
                raise InvalidPolicy(
                    f"The policy does not fit the pod: its {what} are {ours}, the pod's {theirs}.",
                    hint="Train the pod again.",
                )

    def to_bytes(self) -> bytes:
        """The policy file. Equal policies give equal bytes."""
        content: dict[str, Any] = {
            "fields": list(self.fields),
            "actions": list(self.actions),
            "span": self.span,
            "granularity": self.granularity,
            "lags": list(self.lags),
            "algorithm": self.algorithm,
            "mean": _pack_array(self.model.scaling.mean),
            "inverse": _pack_array(self.model.scaling.inverse),
            "weights": _pack_array(self.model.weights),
            "intercept": _pack_array(self.model.intercept),
            "margins": _pack_array(self.calibration.margins),
            "confidences": _pack_array(self.calibration.confidences),
            "evaluation": dict(self.evaluation),
            "fingerprint": self.fingerprint,
            "settings": dict(self.settings),
        }
        body = _pack(content)
        return _pack({"format": FORMAT, "version": VERSION, "sha256": _sha256(body), "body": body})

    @classmethod
    def from_bytes(cls, data: bytes) -> Policy:
        """Read a policy file.

        Raises InvalidPolicy where it is damaged or no policy, IncompatibleVersion where it is of a
        version that this code does not know.
        """
        outer = _unpack(data)
        if outer.get("format") != FORMAT:
            raise InvalidPolicy("This is no policy file.")
        if outer.get("version") != VERSION:
            raise IncompatibleVersion(
                f"The policy file has version {outer.get('version')}, "
                f"this program reads version {VERSION}.",
                hint="Train the pod again, or use the program that wrote the file.",
            )
        body = outer.get("body")
        if not isinstance(body, bytes) or outer.get("sha256") != _sha256(body):
            raise InvalidPolicy("The policy file is damaged.", hint="Train the pod again.")
        try:
            return _from_content(_unpack(body))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidPolicy(
                f"The policy file lacks something or holds it in the wrong form ({error!r}).",
                hint="Train the pod again.",
            ) from error


def _from_content(content: dict[str, Any]) -> Policy:
    fields, actions = tuple(content["fields"]), tuple(content["actions"])
    lags = tuple(content["lags"])
    features = len(feature_names(fields, lags))
    scaling = Scaling(_array(content["mean"], (features,)), _array(content["inverse"], (features,)))
    weights = _array(content["weights"], (features, len(actions)))
    intercept = _array(content["intercept"], (len(actions),))
    knots = (len(content["margins"]) // 8,)
    calibration = Calibration(
        _array(content["margins"], knots), _array(content["confidences"], knots)
    )
    span: int = content["span"]
    if not lags or min(lags) != 0 or max(lags) >= span or not actions:
        raise ValueError("lags, span and actions do not go together")
    return Policy(
        fields=fields,
        actions=actions,
        span=span,
        granularity=content["granularity"],
        lags=lags,
        algorithm=content["algorithm"],
        model=LinearModel(scaling, weights, intercept),
        calibration=calibration,
        evaluation=content["evaluation"],
        fingerprint=content["fingerprint"],
        settings=content["settings"],
    )


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


def _pack_array(array: Matrix) -> bytes:
    """Raw little-endian doubles; the shape follows from the other fields."""
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def _array(data: bytes, shape: tuple[int, ...]) -> Matrix:
    return np.frombuffer(data, dtype="<f8").reshape(shape).astype(np.float64)
