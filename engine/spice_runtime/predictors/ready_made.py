"""Predictors for model files: ONNX, scikit-learn and TorchScript, without a script.

The payload is a list (or nested lists) for a model of one input, or an object with a list for each
input; the answer is lists of the same form. `config` may name `file` (below /model), and for
scikit-learn `method` (predict, predict_proba, …), for TorchScript `device`.
"""

# The libraries are the user's, and untyped here.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

from spice_runtime.predictors.answers import BadPayload
from spice_runtime.predictors.base import MODEL_DIR, MODEL_ROOT, BasePredictor
from spice_runtime.predictors.json_text import dump
from spice_runtime.predictors.signatures import InvalidPredictor

_SUFFIXES = {
    "onnx": (".onnx",),
    "sklearn": (".joblib", ".pkl", ".pickle", ".sav"),
    "torchscript": (".pt", ".pth", ".ts", ".torchscript"),
}
_LIBRARIES = {"onnx": "onnxruntime", "sklearn": "scikit-learn", "torchscript": "torch"}
_ONNX_KINDS = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}


def class_of(kind: str) -> Any:
    """The predictor for a type of server.

    Raises:
        InvalidPredictor: there is none.
    """
    found = {"onnx": OnnxPredictor, "sklearn": SklearnPredictor, "torchscript": TorchPredictor}
    if kind not in found:
        raise InvalidPredictor(
            f"there is no server of type {kind}; there are script and {list(found)}"
        )
    return found[kind]


class OnnxPredictor(BasePredictor):
    """A model of onnxruntime."""

    def __init__(self, file: str = "", threads: int = 0) -> None:
        self._numpy = _library("numpy", "onnx")
        runtime = _library("onnxruntime", "onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(
            str(model_file("onnx", file)), options, providers=runtime.get_available_providers()
        )
        self._inputs = {each.name: each.type for each in self._session.get_inputs()}
        self._outputs = [each.name for each in self._session.get_outputs()]

    def predict(self, payload: Any) -> Any:
        """Runs the model; one output is the answer itself, several are an object."""
        given = _by_name(payload, list(self._inputs))
        arrays = {
            name: _array(self._numpy, name, value, _ONNX_KINDS.get(self._inputs[name]))
            for name, value in given.items()
        }
        try:
            results = self._session.run(None, arrays)
        except (ValueError, RuntimeError) as error:
            raise misfit(str(error)) from error
        except Exception as error:
            # Its own classes; a wrong shape is the client's.
            if type(error).__name__ == "InvalidArgument":
                raise misfit(str(error)) from error
            raise
        return results[0] if len(results) == 1 else dict(zip(self._outputs, results))  # noqa: B905


class SklearnPredictor(BasePredictor):
    """A model of scikit-learn, of joblib or pickle."""

    def __init__(self, file: str = "", method: str = "predict") -> None:
        self._numpy = _library("numpy", "sklearn")
        _library("sklearn", "sklearn")
        path = model_file("sklearn", file)
        try:
            model = import_module("joblib").load(path)
        except ImportError:
            with path.open("rb") as stream:
                model = pickle.load(stream)  # the user's own file
        self._method = getattr(model, method, None)
        if not callable(self._method):
            raise InvalidPredictor(f"a {type(model).__name__} has no method {method}")

    def predict(self, payload: Any) -> Any:
        """Rows of numbers (or of objects by column, where pandas is there) to a list."""
        assert callable(self._method)
        rows: Any = payload
        listed = isinstance(payload, list) and len(payload) > 0
        if isinstance(payload, dict) or (listed and isinstance(payload[0], dict)):
            rows = _library("pandas", "sklearn").DataFrame(payload)
        else:
            rows = _array(self._numpy, "payload", payload, None)
            if rows.ndim == 1:
                rows = rows.reshape(1, -1)
        try:
            return self._method(rows)
        except (ValueError, KeyError) as error:
            raise misfit(str(error)) from error


class TorchPredictor(BasePredictor):
    """A model of TorchScript."""

    def __init__(self, file: str = "", device: str = "") -> None:
        self._torch = _library("torch", "torchscript")
        self._device = device or ("cuda" if self._torch.cuda.is_available() else "cpu")
        path = str(model_file("torchscript", file))
        self._model = self._torch.jit.load(path, map_location=self._device).eval()

    def predict(self, payload: Any) -> Any:
        """Runs the model: a list is its one argument, an object its arguments by name."""
        try:
            if isinstance(payload, dict):
                arguments = {str(name): self._tensor(each) for name, each in payload.items()}
                with self._torch.inference_mode():
                    return _lists(self._model(**arguments))
            with self._torch.inference_mode():
                return _lists(self._model(self._tensor(payload)))
        except (RuntimeError, TypeError, ValueError) as error:
            raise misfit(str(error).strip()) from error

    def _tensor(self, value: Any) -> Any:
        tensor = self._torch.as_tensor(value, device=self._device)
        return tensor.float() if tensor.dtype == self._torch.float64 else tensor


def model_file(kind: str, name: str) -> Path:
    """The model's file: the one that is named, or the only one of its kind below /model.

    Raises:
        InvalidPredictor: there is none, or there are several.
    """
    root = Path(os.environ.get(MODEL_DIR) or MODEL_ROOT)
    if name:
        path = root / name
        if not path.is_file():
            raise InvalidPredictor(f"the model has no file {name}")
        return path
    found: dict[tuple[int, int], Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix in _SUFFIXES[kind] and path.is_file():
            # One file may be there under two names.
            status = path.stat()
            found.setdefault((status.st_dev, status.st_ino), path)
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(root)) for path in found.values()) or "none"
        endings = ", ".join(_SUFFIXES[kind])
        raise InvalidPredictor(
            f"a server of type {kind} needs one model file ({endings}); there are: {names}. "
            "Name it with the config's `file`"
        )
    return next(iter(found.values()))


def misfit(message: str) -> BadPayload:
    """422: the model does not take this payload."""
    return BadPayload(422, message, dump({"detail": message}))


def _library(name: str, kind: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        package = _LIBRARIES[kind] if name not in ("numpy", "pandas") else name
        raise ImportError(
            f"a server of type {kind} needs {package}, which is not installed in its environment: "
            f"add --pip {package}"
        ) from error


def _by_name(payload: Any, names: list[str]) -> dict[str, Any]:
    if not isinstance(payload, dict):
        if len(names) != 1:
            raise misfit(f"the model has several inputs: an object with {', '.join(names)}")
        return {names[0]: payload}
    given: dict[Any, Any] = payload
    unknown = [str(name) for name in given if name not in names]
    missing = [name for name in names if name not in given]
    if unknown or missing:
        raise misfit(f"the model's inputs are {', '.join(names)}")
    return given


def _array(numpy: Any, name: str, value: Any, kind: str | None) -> Any:
    try:
        return numpy.asarray(value, dtype=kind)
    except (ValueError, TypeError, OverflowError) as error:
        raise misfit(f"{name}: {error}") from error


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _lists(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_lists(each) for each in value]
    return value.cpu().numpy() if hasattr(value, "cpu") else value
