"""The Open Inference Protocol, version 2: tensors in, tensors out, as JSON or binary.

https://github.com/open-inference/open-inference-protocol (REST), with Triton's binary tensor
extension. One input is the payload itself, several are a dict by name. They are NumPy arrays where
NumPy is there, else nested lists; BYTES are lists of str (JSON) or bytes (binary).
"""

# What a user gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from spice_runtime.optional import have, loaded
from spice_runtime.predictors import tensors
from spice_runtime.predictors.answers import (
    Answer,
    BadPayload,
    Responding,
    Streamed,
    encode,
)
from spice_runtime.predictors.json_text import Untranslatable, dump, load
from spice_runtime.wire import AS_GIVEN, AS_JSON

_JSON_LENGTH = re.compile(rb"\r\ninference-header-content-length:[ \t]*(\d+)", re.IGNORECASE)
_MODEL = re.compile(rb"/v2/models/([^/ ?]+)(?:/versions/([^/ ?]+))?/infer")
_ONE = "output0"


@dataclass
class Inference:
    """One request: its payload, and how its answer is wanted."""

    payload: Any = None
    ident: str = ""
    model: str = ""
    version: str = ""
    outputs: dict[str, bool] = field(default_factory=dict)  # name → binary; none: all
    binary: bool = False


def error_answer(status: int, message: str) -> Answer:
    """An error in the protocol's form."""
    return Answer(status, AS_JSON, b"", dump({"error": message}))


def read(head: bytes, body: bytes) -> Inference:
    """The request that head and body hold.

    Raises:
        BadPayload: 400, in the protocol's form.
    """
    try:
        return _read(head, body)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        missing = isinstance(error, KeyError)
        message = f"{error.args[0]} is missing" if missing else str(error) or "not understood"
        raise BadPayload(400, message, dump({"error": message})) from None


def addressed(head: bytes) -> Inference:
    """A request of which only the address is known."""
    inference = Inference()
    found = _MODEL.search(head.partition(b"\r\n")[0])
    if found is not None:
        inference.model = found[1].decode("latin-1")
        inference.version = (found[2] or b"").decode("latin-1")
    return inference


def encode_outputs(inference: Inference, value: Any) -> Answer | Streamed | Responding:
    """The answer for what `predict` returned: one output for each entry of a dict, else one."""
    plain = encode(value) if not _is_data(value) else None
    if plain is not None and not (isinstance(plain, Answer) and plain.status == 200):
        return plain
    note: dict[str, Any] = {"model_name": inference.model}
    if inference.version:
        note["model_version"] = inference.version
    if inference.ident:
        note["id"] = inference.ident
    if isinstance(value, dict) and isinstance(value.get("outputs"), list):
        # The predictor speaks the protocol itself.
        return encode({**note, **value})
    try:
        return _encoded(inference, note, _named(inference, value))
    except BadPayload as error:
        return error.answer()
    except Untranslatable as error:
        return error_answer(500, f"the answer cannot be written as JSON: {error}")


def _is_data(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple)) or tensors.is_array(value)


def _read(head: bytes, body: bytes) -> Inference:
    found = _JSON_LENGTH.search(head)
    length = int(found[1]) if found else len(body)
    if length > len(body):
        raise ValueError("Inference-Header-Content-Length is more than the body")
    try:
        request = load(body[:length])
    except ValueError:
        raise ValueError("Request must contain a JSON object") from None
    if not isinstance(request, dict):
        raise TypeError("Request must contain a JSON object")
    asked: dict[str, Any] = request
    inference = addressed(head)
    inference.ident = str(asked.get("id") or "")
    inference.binary = bool((asked.get("parameters") or {}).get("binary_data_output", False))
    for output in _maps(asked.get("outputs") or [], "outputs"):
        parameters = output.get("parameters") or {}
        inference.outputs[str(output["name"])] = bool(
            parameters.get("binary_data", inference.binary)
        )
    numpy = have("numpy")
    inputs: dict[str, Any] = {}
    at = length
    for each in _maps(asked["inputs"], "inputs"):
        size = (each.get("parameters") or {}).get("binary_data_size")
        raw = None
        if size is not None:
            raw = body[at : at + int(size)]
            if len(raw) < int(size):
                raise ValueError(f"the binary data of {each['name']} is cut short")
            at += int(size)
        shape = each["shape"]
        if not isinstance(shape, list) or not all(type(side) is int for side in shape):
            raise ValueError(f"the shape of {each['name']} must be a list of whole numbers")
        inputs[str(each["name"])] = tensors.read(
            str(each["name"]), str(each["datatype"]), shape, each.get("data"), raw, numpy
        )
    if not inputs:
        raise ValueError("inputs is empty")
    inference.payload = next(iter(inputs.values())) if len(inputs) == 1 else inputs
    return inference


def _maps(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"{name} must be a list of tensors")
    return value


def _named(inference: Inference, value: Any) -> dict[str, Any]:
    """Outputs by name; one that has no name takes the one that was asked for."""
    if isinstance(value, dict):
        outputs: dict[str, Any] = {str(name): each for name, each in value.items()}
    else:
        name = next(iter(inference.outputs)) if len(inference.outputs) == 1 else _ONE
        outputs = {name: value}
    if not inference.outputs:
        return outputs
    missing = [name for name in inference.outputs if name not in outputs]
    if missing:
        message = f"there is no output {missing[0]}; there are {', '.join(outputs)}"
        raise BadPayload(400, message, dump({"error": message}))
    return {name: outputs[name] for name in inference.outputs}


def _encoded(inference: Inference, note: dict[str, Any], outputs: dict[str, Any]) -> Answer:
    written: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    numpy = loaded("numpy")
    for name, value in outputs.items():
        datatype, shape, data = tensors.write(value, numpy)
        entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if inference.outputs.get(name, inference.binary):
            blob = tensors.binary(datatype, data)
            entry["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            entry["data"] = tensors.flat_json(datatype, data)
        written.append(entry)
    text = dump({**note, "outputs": written})
    if not blobs:
        return Answer(200, AS_JSON, b"", text)
    head = (
        b"content-type: application/octet-stream\r\n"
        b"inference-header-content-length: %d\r\n" % len(text)
    )
    return Answer(200, AS_GIVEN, head, b"".join([text, *blobs]))
