"""A record is a frozen dataclass with slots, in whatever order its methods are called."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field

import pytest
from pydantic import TypeAdapter, ValidationError

from spice_engine.records import record


@record
class Point:
    """Two numbers, and what is said of them."""

    x: int
    y: int = 0
    words: list[str] = field(default_factory=list[str])


@record
class Named(Point):
    """One with a name, which does not count."""

    name: str = field(default="", compare=False, repr=False)


@record
class Key:
    """One that says itself how it is written."""

    text: str

    def __str__(self) -> str:
        return f"<{self.text}>"

    def __repr__(self) -> str:
        return f"Key {self.text}"


def test_arguments_are_taken_as_a_dataclass_takes_them():
    assert Point(1) == Point(x=1, y=0, words=[])
    assert Point(1).words is not Point(1).words
    with pytest.raises(TypeError, match=r"Point\.__init__\(\) missing 1 required .* 'x'"):
        Point()  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        Point(1, z=2)  # pyright: ignore[reportCallIssue]


def test_it_is_frozen_and_has_slots():
    point = Point(1)
    with pytest.raises(FrozenInstanceError, match="'x'"):
        point.x = 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FrozenInstanceError, match="'x'"):
        del point.x  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(point, "__dict__")


def test_it_equals_what_has_the_same_values_and_class():
    assert Point(1, 2) != Point(1, 3)
    assert Point(1) != Named(1)
    assert Named(1, name="a") == Named(1, name="b")
    assert hash(Key("a")) == hash(Key("a"))
    assert {Key("a"): 1}[Key("a")] == 1


def test_it_is_written_as_a_dataclass_or_as_it_says_itself():
    assert repr(Named(1, name="a")) == "Named(x=1, y=0, words=[])"
    assert repr(Key("a")) == "Key a"
    assert str(Key("a")) == "<a>"


def test_fields_and_copies_are_those_of_a_dataclass():
    named = Named(1, 2, ["w"], "n")
    assert [item.name for item in dataclasses.fields(Named)] == ["x", "y", "words", "name"]
    assert dataclasses.asdict(named) == {"x": 1, "y": 2, "words": ["w"], "name": "n"}
    assert dataclasses.replace(named, x=3).x == 3
    for twin in (copy.copy(named), copy.deepcopy(named), pickle.loads(pickle.dumps(named))):
        assert (twin, twin.name) == (named, "n")
    match named:
        case Named(x, y):
            assert (x, y) == (1, 2)


def test_pydantic_checks_one_as_a_dataclass():
    adapter = TypeAdapter(Named)
    assert adapter.validate_python({"x": "1"}) == Named(1)
    assert adapter.dump_python(Named(1)) == {"x": 1, "y": 0, "words": [], "name": ""}
    with pytest.raises(ValidationError):
        adapter.validate_python({"y": 1})
