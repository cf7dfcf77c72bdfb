"""What the annotation of a payload asks for: the raw bytes, a checked type, or any JSON."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from spice_runtime.optional import loaded
from spice_runtime.predictors.answers import BadPayload
from spice_runtime.predictors.json_text import dump

if typing.TYPE_CHECKING:
    from collections.abc import Callable

STATUS = 422
"""Of a payload that is JSON, but not what the predictor takes."""


def checker_of(annotation: Any) -> Callable[[Any], Any] | None:
    """A function from plain JSON to what `predict` wants; None where plain JSON is right.

    It raises BadPayload with status 422 where the payload does not fit.
    """
    pydantic = loaded("pydantic")
    if pydantic is not None and _is_subclass(annotation, pydantic.BaseModel):
        return _pydantic_checker(annotation, pydantic)
    msgspec = loaded("msgspec")
    if msgspec is not None and _is_subclass(annotation, msgspec.Struct):
        return _msgspec_checker(annotation, msgspec)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _dataclass_checker(annotation)
    numpy = loaded("numpy")
    if numpy is not None and _is_subclass(annotation, numpy.ndarray):
        return _array_checker(numpy)
    return None


def schema_of(annotation: Any) -> dict[str, Any]:
    """JSON Schema as the library of the type writes it; {} for a type of no library."""
    pydantic = loaded("pydantic")
    if pydantic is not None and _is_subclass(annotation, pydantic.BaseModel):
        write = getattr(annotation, "model_json_schema", None) or annotation.schema
        return write()
    msgspec = loaded("msgspec")
    if msgspec is not None and _is_subclass(annotation, msgspec.Struct):
        return msgspec.json.schema(annotation)
    numpy = loaded("numpy")
    if numpy is not None and _is_subclass(annotation, numpy.ndarray):
        return {"type": "array"}
    return {}


def _is_subclass(annotation: Any, base: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, base)


def _bad(detail: Any) -> BadPayload:
    return BadPayload(STATUS, "the payload does not fit", dump({"detail": detail}))


def _pydantic_checker(model: Any, pydantic: Any) -> Callable[[Any], Any]:
    validate = getattr(model, "model_validate", None) or model.parse_obj

    def check(payload: Any) -> Any:
        try:
            return validate(payload)
        except pydantic.ValidationError as error:
            details = [
                {"loc": list(each["loc"]), "msg": each["msg"], "type": each["type"]}
                for each in error.errors()
            ]
            raise _bad(details) from None

    return check


def _msgspec_checker(struct: Any, msgspec: Any) -> Callable[[Any], Any]:
    def check(payload: Any) -> Any:
        try:
            return msgspec.convert(payload, struct)
        except msgspec.ValidationError as error:
            raise _bad(str(error)) from None

    return check


def _array_checker(numpy: Any) -> Callable[[Any], Any]:
    def check(payload: Any) -> Any:
        try:
            array = numpy.asarray(payload)
        except (ValueError, TypeError) as error:
            raise _bad(f"expected an array: {error}") from None
        if array.dtype == object:
            raise _bad("expected an array of numbers")
        return array

    return check


def _dataclass_checker(kind: Any) -> Callable[[Any], Any]:
    from spice_runtime.predictors.plain_types import Misfit, convert

    def check(payload: Any) -> Any:
        try:
            return convert(payload, kind, "payload")
        except Misfit as error:
            raise _bad(str(error)) from None

    return check
