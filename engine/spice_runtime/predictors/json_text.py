"""JSON in and out: the standard library says what is right, orjson makes it fast.

The two differ: orjson turns integers beyond 64 bits into floats, NaN into null, and refuses
byte-order marks, UTF-16, NaN and keys that are no text. Where they may, the slow way decides.
"""

# What a user gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import dataclasses
import enum
import json
import re
from typing import Any

from spice_runtime.optional import have, loaded

_orjson: Any = have("orjson")

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG = b"0" * 19
_LONG_SAMPLED = b"0" * 9
_POINT = b"0."
_SAMPLED_FROM = 256
_WORDS_FROM = 2048
_WORDS_AT_ONCE = 64 * 1024
_HIGH_HALVES = 0xF0F0F0F0F0F0F0F0
_OF_DIGITS = 0x3030303030303030
_BIG = re.compile(rb"(?<![.\deE+])-?\d{19,}(?![\d.eE])")
_SAFE_KINDS = "biuf"  # of NumPy arrays: what orjson writes as the lists would be

_OPTIONS: int = 0 if _orjson is None else _orjson.OPT_PASSTHROUGH_DATETIME


class Untranslatable(TypeError):
    """A value that JSON cannot hold."""


def load(body: bytes, *, is_short: bool = False) -> Any:
    """The value of a JSON text in UTF-8, UTF-16 or UTF-32, with or without a byte-order mark.

    `is_short`: it is known that `has_long_digits` is False of it.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    if _orjson is None:
        return _load_slowly(body)
    try:
        value = _orjson.loads(body)
    except ValueError:
        return _load_slowly(body)
    if not is_short and has_long_digits(body) and _BIG.search(body):
        return _load_slowly(body)
    return value


def are_short(bodies: bytes) -> bool:
    """What `load` may be told of many bodies, looked at together; False where it does not ask."""
    return _orjson is not None and not has_long_digits(bodies)


def has_long_digits(data: bytes) -> bool:
    """Whether there are 19 digits in a row that are no fraction (`0.0…`): without them no integer
    goes beyond 64 bits.

    Costs 1 ns for each byte, and a fifteenth of it in 200 kB where the user's code loaded NumPy.
    """
    size = len(data)
    if size > _SAMPLED_FROM:
        numpy = loaded("numpy") if size >= _WORDS_FROM else None
        # Not there yet where another thread is importing it just now.
        if numpy is not None and hasattr(numpy, "frombuffer"):
            if not _has_words_of_digits(numpy, data):
                return False
        # Every third byte would be faster than every second one, but finds rows of short numbers
        # (`0.1344, 0.8474`) suspicious.
        elif _LONG_SAMPLED not in data[::2].translate(_DIGITS):
            return False
    digits = data.translate(_DIGITS)
    at = digits.find(_LONG)
    # Small numbers that were written in full have as many digits: one in fifty between 0 and 1.
    while at > 1 and digits[at - 2 : at] == _POINT:
        at = digits.find(_LONG, at + len(_LONG))
    return at >= 0


def dump(value: Any) -> bytes:
    """Compact JSON of a value, non-ASCII kept.

    Raises:
        Untranslatable: something in it cannot be written, NaN and infinity among them.
    """
    if _orjson is None:
        return _dump_slowly(value)
    try:
        text = _orjson.dumps(value, _plain_fast, _OPTIONS)
    except (TypeError, RecursionError):
        return _dump_slowly(value)
    # A null may have been NaN.
    if b"null" in text:
        _refuse_nan(value)
    return text


def is_uuid(value: Any) -> bool:
    """Whether it is a UUID; the module is not loaded for it."""
    uuid = loaded("uuid")
    return uuid is not None and isinstance(value, uuid.UUID)


def _has_words_of_digits(numpy: Any, data: bytes) -> bool:
    """Whether eight bytes at a place divisible by eight are all digits (or one of `:;<=>?`): 19
    digits in a row hold such a word, wherever they begin."""
    whole = len(data) // 8
    for at in range(0, whole, _WORDS_AT_ONCE):
        number = min(_WORDS_AT_ONCE, whole - at)
        words = numpy.frombuffer(data, numpy.uint64, number, 8 * at)
        if numpy.count_nonzero((words & _HIGH_HALVES) == _OF_DIGITS):
            return True
    return False


def _load_slowly(body: bytes) -> Any:
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _dump_slowly(value: Any) -> bytes:
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
        )
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Untranslatable(str(error)) from error


def _refuse_nan(value: Any) -> None:
    """Looks through a value that orjson wrote, for what it wrote as null.

    Raises:
        Untranslatable: there is NaN or infinity in it.
    """
    try:
        json.dumps(value, allow_nan=False, default=_finite)
    except (TypeError, ValueError, RecursionError) as error:
        raise Untranslatable(str(error)) from error


def _finite(value: Any) -> Any:
    numpy = loaded("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray) and value.dtype.kind in _SAFE_KINDS:
        if not numpy.isfinite(value).all():
            raise ValueError("Out of range float values are not JSON compliant")
        return 0
    return _plain(value)


def _plain(value: Any) -> Any:
    """What stands for a value that JSON does not know itself.

    Raises:
        TypeError: there is nothing.
    """
    numpy = loaded("numpy")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            array: Any = value
            return array.tolist()
        if isinstance(value, numpy.generic):
            return value.item()
    if is_uuid(value):
        return str(value)
    if isinstance(value, tuple):  # orjson asks for named tuples
        return list(value)
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    pydantic = loaded("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        model: Any = value
        return model.model_dump(mode="json") if hasattr(model, "model_dump") else model.dict()
    msgspec = loaded("msgspec")
    if msgspec is not None and isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    raise TypeError(f"Type is not JSON serializable: {type(value).__name__}")


def _plain_fast(value: Any) -> Any:
    """The same for orjson, which writes most arrays itself."""
    numpy = loaded("numpy")
    if (
        numpy is not None
        and isinstance(value, numpy.ndarray)
        and value.dtype.kind in _SAFE_KINDS
        and value.flags.c_contiguous
        and hasattr(_orjson, "Fragment")
    ):
        return _orjson.Fragment(_orjson.dumps(value, None, _orjson.OPT_SERIALIZE_NUMPY))
    return _plain(value)
