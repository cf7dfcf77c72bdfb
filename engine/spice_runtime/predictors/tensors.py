"""Tensors of the Open Inference Protocol: NumPy arrays, or nested lists where there is no NumPy."""

# What a user gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import struct
from typing import Any

from spice_runtime.optional import loaded
from spice_runtime.predictors.json_text import Untranslatable, dump

BYTES = "BYTES"
_BF16 = "BF16"
_NUMPY = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "u2",
    "UINT32": "u4",
    "UINT64": "u8",
    "INT8": "i1",
    "INT16": "i2",
    "INT32": "i4",
    "INT64": "i8",
    "FP16": "f2",
    "FP32": "f4",
    "FP64": "f8",
}
_STRUCT = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
_OF_NUMPY = {code: name for name, code in _NUMPY.items()}


def is_array(value: Any) -> bool:
    """Whether it is a NumPy array."""
    numpy = loaded("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def read(
    name: str, datatype: str, shape: list[int], data: Any, raw: bytes | None, numpy: Any
) -> Any:
    """An input as an array (nested lists without NumPy); BYTES always as nested lists.

    Raises:
        ValueError: data and shape do not fit, or the datatype is unknown.
    """
    count = _count(name, shape)
    if raw is None and not isinstance(data, list):
        raise ValueError(f"the data of {name} must be a list" if data else f"{name} has no data")
    if datatype == BYTES:
        items = _split(raw, name) if raw is not None else _flat(data)
        return _nested(_counted(name, items, count), shape)
    if datatype == _BF16:
        return _read_bf16(name, shape, count, raw, numpy)
    if datatype not in _STRUCT:
        raise ValueError(f"the datatype {datatype} of {name} is unknown")
    if numpy is not None:
        if raw is not None:
            kind = numpy.dtype("<" + _NUMPY[datatype])
            if len(raw) != count * kind.itemsize:
                raise ValueError(f"{name} has {len(raw)} bytes, its shape asks for others")
            return numpy.frombuffer(raw, kind).reshape(shape)
        try:
            array = numpy.asarray(data, dtype=_NUMPY[datatype])
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"the data of {name} are no {datatype}: {error}") from None
        if array.size != count:
            raise ValueError(f"{name} has {array.size} elements, its shape asks for {count}")
        return array.reshape(shape)
    if raw is not None:
        size = struct.calcsize("<" + _STRUCT[datatype])
        if len(raw) != count * size:
            raise ValueError(f"{name} has {len(raw)} bytes, its shape asks for {count * size}")
        return _nested(list(struct.unpack(f"<{count}{_STRUCT[datatype]}", raw)), shape)
    items = _counted(name, _flat(data), count)
    try:
        struct.pack(f"<{count}{_STRUCT[datatype]}", *items)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"the data of {name} are no {datatype}: {error}") from None
    return _nested(items, shape)


def write(value: Any, numpy: Any) -> tuple[str, list[int], Any]:
    """Datatype, shape and data (an array, or a flat list) of an output.

    What is no tensor becomes one text of JSON.

    Raises:
        Untranslatable: it cannot even be that.
    """
    if numpy is not None:
        if isinstance(value, (numpy.ndarray, numpy.generic)):
            return _write_array(numpy.asarray(value))
        if isinstance(value, (list, tuple)):
            array = _array_of(value, numpy)
            if array is not None:
                return _write_array(array)
    flat: list[Any] = []
    shape = _shape_of(value, flat)
    if shape is None:
        return BYTES, [1], [dump(value).decode()]
    kinds = {type(each) for each in flat}
    if kinds <= {bool}:
        return "BOOL", shape, flat
    if kinds <= {int}:
        return "INT64", shape, flat
    if kinds <= {int, float}:
        return "FP64", shape, [float(each) for each in flat]
    if kinds <= {str, bytes}:
        return BYTES, shape, flat
    return BYTES, [1], [dump(value).decode()]


def flat_json(datatype: str, data: Any) -> Any:
    """The data as JSON takes it: row by row, flat."""
    if datatype == BYTES:
        return [_text(each) for each in _items(data)]
    return data.reshape(-1) if is_array(data) else data


def binary(datatype: str, data: Any) -> bytes:
    """The data as the binary extension takes it.

    Raises:
        Untranslatable: a number does not fit into its datatype.
    """
    if datatype == BYTES:
        parts: list[bytes] = []
        for each in _items(data):
            item = each if isinstance(each, bytes) else str(each).encode()
            parts.append(struct.pack("<I", len(item)) + item)
        return b"".join(parts)
    if is_array(data):
        return data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
    try:
        return struct.pack(f"<{len(data)}{_STRUCT[datatype]}", *data)
    except (struct.error, OverflowError) as error:
        raise Untranslatable(str(error)) from error


def _items(data: Any) -> list[Any]:
    return data.reshape(-1).tolist() if is_array(data) else data


def _text(item: Any) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def _write_array(array: Any) -> tuple[str, list[int], Any]:
    shape = list(array.shape) or [1]
    if array.dtype.kind in "SUO":
        return BYTES, shape, array
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype("f8")
    name = _OF_NUMPY.get(array.dtype.str.lstrip("<>|=").replace("b1", "?"))
    if name is None:
        return BYTES, [1], [dump(array).decode()]
    return name, shape, array


def _array_of(value: Any, numpy: Any) -> Any:
    """An array of numbers or truth values; None where the list is ragged or holds other things."""
    try:
        array = numpy.asarray(value)
    except (ValueError, OverflowError):
        return None
    return array if array.dtype.kind in "biuf" else None


def _shape_of(value: Any, flat: list[Any]) -> list[int] | None:
    if not isinstance(value, (list, tuple)):
        flat.append(value)
        return None if isinstance(value, dict) or value is None else [1]
    items: list[Any] = list(value)
    if not any(isinstance(each, (list, tuple, dict)) or each is None for each in items):
        flat.extend(items)
        return [len(items)]
    shapes = [_shape_of(each, flat) for each in items]
    first = shapes[0]
    if first is None or not isinstance(items[0], (list, tuple)):
        return None
    return None if any(each != first for each in shapes) else [len(items), *first]


def _count(name: str, shape: list[int]) -> int:
    count = 1
    for side in shape:
        if side < 0:
            raise ValueError(f"the shape of {name} is negative")
        count *= side
    return count


def _counted(name: str, items: list[Any], count: int) -> list[Any]:
    if len(items) != count:
        raise ValueError(f"{name} has {len(items)} elements, its shape asks for {count}")
    return items


def _flat(data: Any) -> list[Any]:
    items: list[Any] = data
    while any(isinstance(each, list) for each in items):
        items = [leaf for each in items for leaf in (each if isinstance(each, list) else [each])]
    return items


def _nested(items: list[Any], shape: list[int]) -> list[Any]:
    for side in reversed(shape[1:]):
        items = [items[at : at + side] for at in range(0, len(items), side)] if side else []
    return items


def _split(raw: bytes, name: str) -> list[Any]:
    items: list[Any] = []
    at = 0
    while at < len(raw):
        if len(raw) - at < 4:
            raise ValueError(f"the binary data of {name} is cut short")
        (size,) = struct.unpack_from("<I", raw, at)
        at += 4
        if len(raw) - at < size:
            raise ValueError(f"the binary data of {name} is cut short")
        items.append(raw[at : at + size])
        at += size
    return items


def _read_bf16(name: str, shape: list[int], count: int, raw: bytes | None, numpy: Any) -> Any:
    """BF16 comes binary only; each is the upper half of an FP32."""
    if raw is None or len(raw) != 2 * count:
        raise ValueError(f"{name} must have {2 * count} bytes of binary data")
    wide = b"".join(b"\0\0" + raw[at : at + 2] for at in range(0, len(raw), 2))
    return read(name, "FP32", shape, None, wide, numpy)
