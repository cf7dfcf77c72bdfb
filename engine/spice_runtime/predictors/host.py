"""A predictor that is ready to be called: its object, its methods, what it takes and gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import spice_runtime
from spice_runtime.predictors import payload_types
from spice_runtime.predictors.answers import BadPayload, defect, encode
from spice_runtime.predictors.codecs import decode
from spice_runtime.predictors.plain_types import schema_of
from spice_runtime.predictors.requests import background_tasks, need_starlette, request_of
from spice_runtime.predictors.signatures import InvalidPredictor, Method, method_of
from spice_runtime.wire import INFER, RAW

if TYPE_CHECKING:
    from collections.abc import Callable

    from spice_runtime.predictors.answers import Answer, Responding, Streamed
    from spice_runtime.predictors.infer import Inference

NO_REQUEST = "Batching-enabled predict methods cannot accept Request objects. Use a prepare method"


class Call:
    """One call as a lane gives it; `deadline` is of `time.perf_counter()`.

    `is_short`: its body was looked at already, and `json_text.has_long_digits` is False of it.
    `inference` is there once the payload of a call of the Open Inference Protocol was read.
    """

    __slots__ = ("body", "codec", "deadline", "head", "ident", "inference", "is_short")

    def __init__(
        self,
        ident: int,
        codec: int,
        head: bytes,
        body: bytes,
        deadline: float,
        *,
        is_short: bool = False,
    ) -> None:
        self.ident = ident
        self.codec = codec
        self.head = head
        self.body = body
        self.deadline = deadline
        self.is_short = is_short
        self.inference: Inference | None = None


class Host:
    """Binds calls to a predictor's methods. Without batching `prepare` is not used.

    Raises:
        InvalidPredictor: a method does not keep to the contract.
        ImportError: a method needs Starlette and it is not there.
    """

    def __init__(self, predictor: Any, *, batching: bool = False, debug: bool = False) -> None:
        self.predictor = predictor
        self.batching = batching
        self.debug = debug
        predict = method_of(predictor, "predict", 1)
        if predict is None:
            raise InvalidPredictor('Required function "predict" is not defined')
        self.predict: Method = predict
        self.prepare = method_of(predictor, "prepare", 1) if batching else None
        self.health = method_of(predictor, "health", 0)
        if batching and predict.request:
            raise InvalidPredictor(NO_REQUEST)
        # What meets the client's body.
        self.door = self.prepare or predict
        for method in (self.predict, self.prepare):
            if method is not None and (method.request or method.tasks):
                need_starlette(f"{method.name} with a request or background tasks")
        annotation = self.door.annotation
        self._raw = annotation in (bytes, "bytes")
        # The annotation of a batched predict is of the list.
        plain = batching and self.prepare is None
        self._check = None if plain else payload_types.checker_of(annotation)
        self.reads = bool(self.door.payload) and not self._raw
        """Whether bodies are decoded."""
        self.is_async = predict.is_async
        # A predictor that asks for the request's id wants the client's, which is in the head.
        self.wants_request = bool(self.door.request) or "request_id" in vars(spice_runtime)

    def describe(self) -> dict[str, Any]:
        """What the replica tells of it when it is ready."""
        items = self.batching and self.prepare is None
        payload = {} if items else _schema(self.door.annotation, self.door.payload)
        return {
            "class": type(self.predictor).__name__,
            "async": self.is_async,
            "wants_request": self.wants_request,
            "batch": self.batching,
            "prepare": self.prepare is not None,
            "payload_schema": payload,
            "answer_schema": {} if self.batching else _schema(self.predict.answer, "answer"),
            "warnings": self.warnings(),
        }

    def warnings(self) -> list[str]:
        """What is accepted and may not be meant: said once, at start-up."""
        said: list[str] = []
        for method in (self.predict, self.prepare, self.health):
            if method is not None and method.ignored:
                names = ", ".join(method.ignored)
                said.append(f"{method.name}: {names} always has its default value")
        return said

    def payload_of(self, call: Call) -> Any:
        """The payload that the door's method wants; None where it wants none.

        Raises:
            BadPayload: it is not there, or does not fit.
        """
        if not self.reads:
            return call.body if self._raw and self.door.payload else None
        if call.codec == INFER:
            from spice_runtime.predictors import infer

            call.inference = infer.read(call.head, call.body)
            value = call.inference.payload
        else:
            return self._read(call.codec, call.body, is_short=call.is_short)
        return value if self._check is None else self._check(value)

    def _read(self, codec: int, body: bytes, *, is_short: bool = False) -> Any:
        if self._check is None:
            return decode(codec, body, is_short=is_short)
        if codec == RAW:
            raise BadPayload(415, "the predictor takes JSON, not this content type")
        return self._check(decode(codec, body, is_short=is_short))

    def bound(
        self, method: Method, payload: Any, call: Call | None
    ) -> tuple[Callable[[], Any], Any]:
        """A call that is ready to be made, and its background tasks (None where unwanted)."""
        named: dict[str, Any] = {}
        tasks = None
        if method.request and call is not None:
            named[method.request] = request_of(method.request_class, call.head, call.body)
        if method.tasks:
            tasks = named[method.tasks] = background_tasks()
        if not method.payload:
            return lambda: method.function(**named), tasks
        if method.positional_only or not named:
            if method.keyword_only:
                named[method.payload] = payload
                return lambda: method.function(**named), tasks
            return lambda: method.function(payload, **named), tasks
        named[method.payload] = payload
        return lambda: method.function(**named), tasks

    def simple(self) -> Callable[[int, bytes], Answer | Streamed | Responding] | None:
        """The shortest way for the common case: a payload in, a value out, all of it sync.

        It raises what `predict` and `payload_of` raise. None where the case is not common.
        """
        method = self.predict
        if self.batching or self.is_async or not method.takes_payload_alone:
            return None
        predict, read = method.function, self._read
        if self._raw:
            return lambda _, body: encode(predict(body))
        if self._check is not None:
            return lambda codec, body: encode(predict(read(codec, body)))
        return lambda codec, body: encode(predict(decode(codec, body)))


def _schema(annotation: Any, title: str) -> dict[str, Any]:
    try:
        schema = payload_types.schema_of(annotation) or schema_of(annotation)
        # It crosses to the engine as JSON.
        schema = json.loads(json.dumps(schema, default=str))
    except Exception as error:  # noqa: BLE001 - the user's types; the server works without it
        defect(error, False)
        return {}
    return schema if not schema or "title" in schema else {"title": title, **schema}
