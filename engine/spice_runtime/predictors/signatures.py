"""What the arguments of `predict`, `prepare` and `health` mean, found once at start-up."""

# What a user gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from typing import Any

from spice_runtime.optional import loaded
from spice_runtime.predictors.base import REQUEST_NAME, TASKS_NAME

EXTRA = (
    "Found ({}) extra arguments in {} function. {} expects at least {} arguments. All additional "
    "arguments must have a type annotation or use decorators to indicate their use."
)
_SEVERAL = "All annotations in {} must be unique"


class InvalidPredictor(TypeError):
    """The predictor does not keep to the contract; the message says how."""


@dataclass(frozen=True)
class Method:
    """One method of a predictor, bound, with the use of its arguments.

    `payload` is the name of the argument that gets the payload ("" where there is none),
    `request` and `tasks` of those that get the request and the background tasks.
    """

    name: str
    function: Any
    is_async: bool
    payload: str = ""
    positional_only: bool = False
    keyword_only: bool = False
    annotation: Any = None
    answer: Any = None
    request: str = ""
    request_class: Any = None
    tasks: str = ""
    ignored: tuple[str, ...] = ()

    @property
    def takes_payload_alone(self) -> bool:
        """Whether `function(payload)` is all there is to a call."""
        return bool(self.payload) and not (self.keyword_only or self.request or self.tasks)


def method_of(predictor: Any, name: str, minimum: int) -> Method | None:
    """A predictor's method by its name; None if it has none.

    Raises:
        InvalidPredictor: it is no function, or its arguments cannot be understood.
    """
    missing = object()
    static = inspect.getattr_static(type(predictor), name, missing)
    if static is missing:
        return None
    function = getattr(predictor, name)
    inner = getattr(static, "__func__", static)
    if not callable(function):
        raise InvalidPredictor(f'"{name}" is defined, but is not a function')
    if inspect.isfunction(static) and not _positional(inspect.signature(static)):
        raise InvalidPredictor(
            f"Expected a self or cls argument in {name} but found none. If this is meant to be a "
            "static method, put @staticmethod above it"
        )
    signature = inspect.signature(function)
    parameters = [
        each
        for each in signature.parameters.values()
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if len(parameters) < minimum and len(parameters) == len(signature.parameters):
        raise InvalidPredictor(f"{name} function must have at least {minimum} arguments")
    hints = _hints(inner)
    uses = _Uses(name, parameters, hints, inner, static)
    if minimum == 0:
        wanted = [each.name for each in uses.left if each.default is each.empty]
        if wanted:
            raise InvalidPredictor(EXTRA.format(_quoted(wanted), name, name, minimum))
        payload = None
    else:
        payload = uses.take_payload(minimum)
    called = inspect.unwrap(inner) if callable(inner) else inner
    return Method(
        name=name,
        function=function,
        is_async=inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called),
        payload=payload.name if payload else "",
        positional_only=payload is not None and payload.kind is payload.POSITIONAL_ONLY,
        keyword_only=payload is not None and payload.kind is payload.KEYWORD_ONLY,
        annotation=hints.get(payload.name, payload.annotation) if payload else None,
        answer=hints.get("return"),
        request=uses.request,
        request_class=uses.request_class,
        tasks=uses.tasks,
        ignored=tuple(each.name for each in uses.left if each is not payload),
    )


class _Uses:
    """Deals the parameters out: request and background tasks by annotation or decorator."""

    def __init__(
        self,
        function: str,
        parameters: list[inspect.Parameter],
        hints: dict[str, Any],
        inner: Any,
        static: Any,
    ) -> None:
        self._function = function
        self._hints = hints
        self.request_class: Any = None
        by_decorator = [
            getattr(static, mark, None) or getattr(inner, mark, "")
            for mark in (REQUEST_NAME, TASKS_NAME)
        ]
        names = [each.name for each in parameters]
        for name in by_decorator:
            if name and name not in names:
                raise InvalidPredictor(
                    f"A decorator is expecting an argument named {name}, but it was not found in "
                    f"the signature for {function}"
                )
        self.request, self.tasks = by_decorator
        if self.request and self.request == self.tasks:
            raise InvalidPredictor(
                "Both request and background tasks are using the same parameter name"
            )
        for each in parameters:
            self._by_annotation(each)
        self.left = [each for each in parameters if each.name not in (self.request, self.tasks)]

    def _by_annotation(self, parameter: inspect.Parameter) -> None:
        annotation = self._hints.get(parameter.name, parameter.annotation)
        if _is_a(annotation, "starlette.requests", "Request"):
            self.request = self._one(parameter.name, self.request, "full request", "request")
            self.request_class = None if isinstance(annotation, str) else annotation
        elif _is_a(annotation, "starlette.background", "BackgroundTasks"):
            self.tasks = self._one(parameter.name, self.tasks, "background tasks", "tasks")

    def _one(self, name: str, before: str, what: str, kind: str) -> str:
        if before and before != name:
            if self._marked(before):
                raise InvalidPredictor(
                    f"Found both annotation and decorator for {what} in {self._function}: "
                    f"{name} and {before}. Use one of them for the {kind}"
                )
            raise InvalidPredictor(_SEVERAL.format(self._function))
        return name

    def _marked(self, name: str) -> bool:
        annotation = self._hints.get(name)
        return not (
            _is_a(annotation, "starlette.requests", "Request")
            or _is_a(annotation, "starlette.background", "BackgroundTasks")
        )

    def take_payload(self, minimum: int) -> inspect.Parameter | None:
        """The first argument left over; further ones are left alone where they have defaults."""
        wanted = [each for each in self.left if each.default is each.empty]
        if len(wanted) > 1:
            plain = [self._hints.get(each.name) for each in wanted]
            if len(plain) == 2 and plain[0] is plain[1] and plain[0] in (dict, list):
                raise InvalidPredictor(_SEVERAL.format(self._function))
            extra = _quoted([each.name for each in wanted])
            raise InvalidPredictor(EXTRA.format(extra, self._function, self._function, minimum))
        if wanted:
            return wanted[0]
        if self.request:
            return None
        positional = [each for each in self.left if each.kind is not each.KEYWORD_ONLY]
        return positional[0] if positional else None


def _positional(signature: inspect.Signature) -> bool:
    return any(each.kind is not each.KEYWORD_ONLY for each in signature.parameters.values())


def _quoted(names: list[str]) -> str:
    return "{" + ", ".join(repr(name) for name in names) + "}"


def _hints(function: Any) -> dict[str, Any]:
    """Annotations, those that are text evaluated where that can be done, one by one."""
    function = inspect.unwrap(function)
    raw: dict[str, Any] = dict(getattr(function, "__annotations__", {}))
    namespace: dict[str, Any] = getattr(function, "__globals__", {})
    hints: dict[str, Any] = {}
    for name, annotation in raw.items():
        hints[name] = annotation
        if isinstance(annotation, str):
            try:
                holder = type("Holder", (), {"__annotations__": {"it": annotation}})
                hints[name] = typing.get_type_hints(holder, namespace, {})["it"]
            except Exception:  # noqa: BLE001, S110 - evaluating a user's text may raise anything
                # It stays text, and is told from its last word.
                pass
    return hints


def _is_a(annotation: Any, module: str, name: str) -> bool:
    if isinstance(annotation, str):
        return annotation.strip("'\" ").rpartition(".")[2] == name
    if not isinstance(annotation, type) or loaded(module) is None:
        return False
    return any(base.__module__ == module and base.__name__ == name for base in annotation.__mro__)
