"""The Open Inference Protocol in a replica: tensors in and out, JSON and binary, with NumPy and
without."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spice_runtime.predictors import infer, tensors
from spice_runtime.predictors.answers import Answer, BadPayload
from spice_runtime.wire import AS_GIVEN, AS_JSON

HEAD = b"POST /v2/models/demo/versions/3/infer HTTP/1.1\r\n"


def request(*inputs: dict[str, Any], blobs: bytes = b"", **more: Any) -> infer.Inference:
    """A request as a client would send it, read."""
    text = json.dumps({"id": "42", "inputs": list(inputs), **more}).encode()
    head = HEAD + b"Inference-Header-Content-Length: %d\r\n\r\n" % len(text)
    return infer.read(head, text + blobs)


def tensor(datatype: str, shape: list[int], data: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": shape, "data": data, **more}


def answer_to(inference: infer.Inference, value: Any) -> dict[str, Any]:
    answer = infer.encode_outputs(inference, value)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.codec) == (200, AS_JSON)
    return json.loads(answer.body)


def test_one_input_is_the_payload_itself() -> None:
    inference = request(tensor("FP32", [2, 2], [1, 2, 3, 4.5]))
    assert inference.payload.dtype == np.float32
    assert inference.payload.tolist() == [[1, 2], [3, 4.5]]
    assert (inference.ident, inference.model, inference.version) == ("42", "demo", "3")


def test_data_may_be_nested() -> None:
    assert request(tensor("INT64", [2, 1], [[1], [2]])).payload.tolist() == [[1], [2]]


def test_several_inputs_are_a_dict() -> None:
    second = {**tensor("BYTES", [2], ["a", "é"]), "name": "y"}
    payload = request(tensor("BOOL", [1], [True]), second).payload
    assert payload["x"].tolist() == [True]
    assert payload["y"] == ["a", "é"]


@pytest.mark.parametrize("datatype", sorted(tensors._NUMPY))
@pytest.mark.parametrize("with_numpy", [True, False])
def test_every_datatype_comes_binary(datatype: str, with_numpy: bool) -> None:
    values = [True, False, True] if datatype == "BOOL" else [1, 2, 3]
    raw = np.array(values, "<" + tensors._NUMPY[datatype]).tobytes()
    got = tensors.read("x", datatype, [3, 1], None, raw, np if with_numpy else None)
    assert (got.tolist() if with_numpy else got) == [[value] for value in values]


def test_binary_inputs_follow_each_other() -> None:
    first = np.array([1.5, 2], "<f4").tobytes()
    second = b"".join(struct.pack("<I", len(each)) + each for each in (b"ab", b"", b"\xff"))
    payload = request(
        {"name": "a", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}},
        {"name": "b", "datatype": "BYTES", "shape": [3], "parameters": {"binary_data_size": 15}},
        {"name": "c", "datatype": "BF16", "shape": [1], "parameters": {"binary_data_size": 2}},
        blobs=first + second + b"\xc0\x3f",
    ).payload
    assert payload["a"].tolist() == [1.5, 2.0]
    assert payload["b"] == [b"ab", b"", b"\xff"]
    assert payload["c"].tolist() == [1.5]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "Request must contain a JSON object"),
        (b"[]", "Request must contain a JSON object"),
        (b"{}", "inputs is missing"),
        (b'{"inputs": []}', "inputs is empty"),
        (b'{"inputs": [{"name": "x"}]}', "shape is missing"),
        (
            json.dumps({"inputs": [tensor("FP33", [1], [1])]}).encode(),
            "datatype FP33 of x is unknown",
        ),
        (
            json.dumps({"inputs": [tensor("FP32", [3], [1])]}).encode(),
            "x has 1 elements, its shape asks for 3",
        ),
        (
            json.dumps({"inputs": [tensor("FP32", [-1], [1])]}).encode(),
            "the shape of x is negative",
        ),
        (json.dumps({"inputs": [tensor("INT64", [1], ["a"])]}).encode(), "invalid literal"),
        (json.dumps({"inputs": [tensor("UINT8", [1], [300])]}).encode(), "300"),
        (
            json.dumps(
                {"inputs": [tensor("FP32", [2], parameters={"binary_data_size": 8})]}
            ).encode(),
            "the binary data of x is cut short",
        ),
        (json.dumps({"inputs": 5}).encode(), "inputs must be a list of tensors"),
        (json.dumps({"inputs": ["x"]}).encode(), "inputs must be a list of tensors"),
        (
            json.dumps({"inputs": [tensor("FP32", [1], [1])], "outputs": "y"}).encode(),
            "outputs must be a list of tensors",
        ),
        (json.dumps({"inputs": [tensor("FP32", [1])]}).encode(), "x has no data"),
        (
            json.dumps({"inputs": [tensor("FP32", [1], "1")]}).encode(),
            "the data of x must be a list",
        ),
        (json.dumps({"inputs": [tensor("FP32", [1], ["a"])]}).encode(), "x are no FP32"),
        (
            json.dumps({"inputs": [{**tensor("FP32", [1], [1]), "shape": "x"}]}).encode(),
            "the shape of x must be a list of whole numbers",
        ),
    ],
)
def test_what_is_no_request_is_refused_in_the_protocols_form(body: bytes, reason: str) -> None:
    with pytest.raises(BadPayload) as refused:
        infer.read(HEAD + b"\r\n", body)
    answer = refused.value.answer()
    assert (answer.status, answer.codec) == (400, AS_JSON)
    assert reason in json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    ("value", "outputs"),
    [
        (np.array([[1.5, 2]], "f4"), [("output0", "FP32", [1, 2], [1.5, 2.0])]),
        ([[1, 2], [3, 4]], [("output0", "INT64", [2, 2], [1, 2, 3, 4])]),
        ([1, 2.5], [("output0", "FP64", [2], [1.0, 2.5])]),
        ([True], [("output0", "BOOL", [1], [True])]),
        (["a", "b"], [("output0", "BYTES", [2], ["a", "b"])]),
        (5, [("output0", "INT64", [1], [5])]),
        ("text", [("output0", "BYTES", [1], ["text"])]),
        ({"a": [1], "b": np.bool_(True)}, [("a", "INT64", [1], [1]), ("b", "BOOL", [1], [True])]),
        ({"a": {"deep": 1}}, [("a", "BYTES", [1], ['{"deep":1}'])]),
        ([[1], [2, 3]], [("output0", "BYTES", [1], ["[[1],[2,3]]"])]),
        (np.array(["x", "y"]), [("output0", "BYTES", [2], ["x", "y"])]),
        (np.zeros((2, 0)), [("output0", "FP64", [2, 0], [])]),
    ],
)
def test_answers_become_outputs(value: Any, outputs: list[tuple[Any, ...]]) -> None:
    note = answer_to(request(tensor("FP32", [1], [1])), value)
    assert (note["model_name"], note["model_version"], note["id"]) == ("demo", "3", "42")
    got = [
        (each["name"], each["datatype"], each["shape"], each["data"]) for each in note["outputs"]
    ]
    assert got == outputs


def test_outputs_that_were_asked_for() -> None:
    value = {"a": [1], "b": [2]}
    inference = request(tensor("FP32", [1], [1]), outputs=[{"name": "b"}])
    assert [each["name"] for each in answer_to(inference, value)["outputs"]] == ["b"]
    assert answer_to(inference, [5])["outputs"][0]["name"] == "b"
    missing = infer.encode_outputs(
        request(tensor("FP32", [1], [1]), outputs=[{"name": "z"}]), value
    )
    assert isinstance(missing, Answer)
    assert missing.status == 400


def test_a_predictor_may_speak_the_protocol_itself() -> None:
    mine = {"outputs": [{"name": "o", "datatype": "INT64", "shape": [1], "data": [1]}]}
    note = answer_to(request(tensor("FP32", [1], [1])), mine)
    assert (note["model_name"], note["outputs"]) == ("demo", mine["outputs"])


@pytest.mark.parametrize("value", [np.array([1.5, float("nan")], "f8"), [1.5, 2.0]])
def test_binary_outputs_follow_the_json(value: Any) -> None:
    inference = request(tensor("FP32", [1], [1]), parameters={"binary_data_output": True})
    answer = infer.encode_outputs(inference, value)
    assert isinstance(answer, Answer)
    assert answer.codec == AS_GIVEN
    length = int(answer.head.lower().partition(b"inference-header-content-length: ")[2].split()[0])
    (output,) = json.loads(answer.body[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 16}
    assert answer.body[length:] == np.asarray(value, "<f8").tobytes()


def test_not_a_number_cannot_be_written_as_json() -> None:
    answer = infer.encode_outputs(request(tensor("FP32", [1], [1])), np.array([float("nan")]))
    assert isinstance(answer, Answer)
    assert answer.status == 500
    assert "error" in json.loads(answer.body)


@given(
    arrays.arrays(
        st.sampled_from([np.dtype(code) for code in tensors._NUMPY.values()]),
        arrays.array_shapes(max_dims=3, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_arrays_come_back_as_they_went(array: np.ndarray) -> None:
    inference = infer.Inference(binary=True)
    answer = infer.encode_outputs(inference, array)
    assert isinstance(answer, Answer)
    length = int(answer.head.partition(b"inference-header-content-length: ")[2].split()[0])
    (output,) = json.loads(answer.body[:length])["outputs"]
    raw = answer.body[length:]
    for numpy in (np, None):
        got = tensors.read("x", output["datatype"], output["shape"], None, raw, numpy)
        assert np.array_equal(np.asarray(got, array.dtype), array)


@pytest.mark.parametrize(
    ("datatype", "data"), [("FP32", ["a"]), ("UINT8", [300]), ("INT64", [1.5]), ("FP32", [None])]
)
def test_without_numpy_data_are_checked_against_their_datatype(
    datatype: str, data: list[Any]
) -> None:
    with pytest.raises(ValueError, match=f"the data of x are no {datatype}"):
        tensors.read("x", datatype, [1], data, None, None)
