"""How the arguments of predict, prepare and health are understood."""

from __future__ import annotations

import typing
from typing import Any

import pytest
from starlette.background import BackgroundTasks
from starlette.requests import Request

from spice_runtime import with_background_tasks, with_full_request
from spice_runtime.predictors.base import BasePredictor
from spice_runtime.predictors.signatures import InvalidPredictor, Method, method_of


class MyRequest(Request):
    """A subclass counts as the full request."""


def understood(function: Any, name: str = "predict", minimum: int = 1) -> Method:
    """The method as it is found on an object of a class that has it."""
    method = method_of(type("P", (), {name: function})(), name, minimum)
    assert method is not None
    return method


def plain(self, anything): ...
def of_dict(self, payload: dict) -> dict: ...  # type: ignore[type-arg]
def of_typed_dict(self, payload: dict[str, typing.Any]) -> dict[str, float]: ...
def of_list(self, payload: typing.List[float]): ...  # noqa: UP006
def of_any(self, payload: typing.Any): ...
def of_text(self, payload: str) -> str: ...
def of_union(self, payload: typing.Optional[int]): ...  # noqa: UP045
def of_unknown_name(self, payload: NotThere): ...  # type: ignore[name-defined]  # noqa: F821
def with_default(self, payload, threshold=0.5): ...
def only_default(self, payload=None): ...
def with_keyword_only(self, payload, *, threshold=0.5): ...
def with_rest(self, payload, *args, **kwargs): ...


@pytest.mark.parametrize(
    "function",
    [
        plain,
        of_dict,
        of_typed_dict,
        of_list,
        of_any,
        of_text,
        of_union,
        of_unknown_name,
        with_default,
        only_default,
        with_keyword_only,
        with_rest,
    ],
)
def test_one_argument_is_the_payload_whatever_its_name_and_type(function: Any) -> None:
    method = understood(function)
    assert method.payload in ("payload", "anything")
    assert (method.request, method.tasks) == ("", "")
    assert method.takes_payload_alone


def test_arguments_with_defaults_are_named_so_that_somebody_can_be_told() -> None:
    assert understood(with_default).ignored == ("threshold",)


def test_request_and_tasks_by_annotation() -> None:
    def predict(self, request: Request, payload, tasks: BackgroundTasks): ...

    method = understood(predict)
    assert (method.payload, method.request, method.tasks) == ("payload", "request", "tasks")
    assert method.request_class is Request


def test_a_subclass_of_request_is_what_the_predictor_gets() -> None:
    def predict(self, seen: MyRequest): ...

    method = understood(predict)
    assert (method.payload, method.request, method.request_class) == ("", "seen", MyRequest)


def test_only_a_request_means_that_no_payload_is_read() -> None:
    def predict(self, request: Request): ...

    assert understood(predict).payload == ""


def test_annotations_that_are_text_are_understood() -> None:
    def predict(self, a: "Request", b: "list[int]", c: "starlette.background.BackgroundTasks"): ...  # type: ignore[name-defined]  # noqa: F821, UP037

    method = understood(predict)
    assert (method.request, method.payload, method.tasks) == ("a", "b", "c")


def test_request_and_tasks_by_decorator() -> None:
    @with_full_request(name="whole")
    @with_background_tasks(name="later")
    def predict(self, payload, whole, later): ...

    method = understood(predict)
    assert (method.payload, method.request, method.tasks) == ("payload", "whole", "later")


def test_decorators_have_default_names_and_work_without_brackets() -> None:
    @with_full_request
    @with_background_tasks()
    def predict(self, payload, request, tasks): ...

    method = understood(predict)
    assert (method.request, method.tasks) == ("request", "tasks")


def test_decorator_and_annotation_may_say_the_same() -> None:
    @with_full_request(name="request")
    def predict(self, payload, request: Request): ...

    assert understood(predict).request == "request"


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
@pytest.mark.parametrize("above", [False, True])
def test_static_and_class_methods_work_with_decorators_on_either_side(
    kind: Any, above: bool
) -> None:
    def predict(first, second): ...

    def predict_of_class(cls, first, second): ...

    function = predict if kind is staticmethod else predict_of_class
    mark = with_full_request(name="second")
    method = understood(mark(kind(function)) if above else kind(mark(function)))
    assert (method.payload, method.request) == ("first", "second")


def test_async_functions_and_generators_are_told_from_sync_ones() -> None:
    async def later(self, payload): ...

    async def pieces(self, payload):
        yield payload

    def now(self, payload):
        yield payload

    assert understood(later).is_async
    assert understood(pieces).is_async
    assert not understood(now).is_async


def test_health_takes_nothing() -> None:
    assert understood(lambda self: None, "health", 0).payload == ""
    assert method_of(BasePredictor(), "health", 0) is not None
    assert method_of(BasePredictor(), "prepare", 1) is None


def refusals() -> list[tuple[Any, str]]:
    def nothing(self): ...

    def no_self(): ...

    def two(self, a, b): ...

    @with_full_request(name="nope")
    def unknown(self, payload): ...

    @with_full_request(name="a")
    def both(self, payload, a, b: Request): ...

    @with_full_request(name="x")
    @with_background_tasks(name="x")
    def same(self, payload, x): ...

    def twice(self, a: Request, b: Request): ...

    def two_dicts(self, a: dict, b: dict): ...  # type: ignore[type-arg]

    return [
        (nothing, "predict function must have at least 1 arguments"),
        (no_self, "Expected a self or cls argument in predict but found none"),
        (two, "Found ({'a', 'b'}) extra arguments in predict function. predict expects at least 1"),
        (unknown, "A decorator is expecting an argument named nope, but it was not found"),
        (both, "Found both annotation and decorator for full request"),
        (same, "Both request and background tasks are using the same parameter name"),
        (twice, "All annotations in predict must be unique"),
        (two_dicts, "All annotations in predict must be unique"),
        (5, '"predict" is defined, but is not a function'),
    ]


@pytest.mark.parametrize(("function", "message"), refusals())
def test_what_cannot_be_understood_is_said(function: Any, message: str) -> None:
    with pytest.raises(InvalidPredictor) as refused:
        understood(function)
    assert message in str(refused.value)


def test_health_with_an_argument_is_refused() -> None:
    with pytest.raises(InvalidPredictor, match="health"):
        understood(lambda self, extra: None, "health", 0)
