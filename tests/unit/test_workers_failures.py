"""Errors over a worker's socket: everything of the tree survives, nothing else breaks us."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import (
    ChildFailed,
    DeadlineExceeded,
    InvalidManifest,
    NotTrained,
    Place,
    SpiceError,
    by_code,
)
from spice_engine.protocol.frames import FrameParser, encode
from spice_engine.workers.failures import from_wire, lineage, to_wire


def over_the_wire(error: BaseException) -> SpiceError:
    (wire,) = FrameParser().feed(encode(to_wire(error, doing="train")))
    return from_wire(wire)


@pytest.mark.parametrize("cls", sorted(by_code().values(), key=lambda cls: cls.__name__))
def test_every_class_comes_back_as_itself(cls: type[SpiceError]) -> None:
    sent = cls("what", hint="Do this.", place=Place("pod.yaml", 3, 4, 5, 6))
    back = over_the_wire(sent)
    assert type(back) is cls
    assert back.as_dict() == sent.as_dict()
    assert back.place == sent.place


def test_problems_come_back() -> None:
    sent = InvalidManifest("two", problems=[{"code": "a", "line": 1}, {"code": "b"}])
    back = over_the_wire(sent)
    assert back.as_dict() == sent.as_dict()


def test_an_unknown_class_comes_back_as_its_nearest_ancestor() -> None:
    wire = to_wire(NotTrained("no"), doing="train")
    wire["lineage"] = ["never_heard_of", "training_not_complete", "conflict"]
    assert type(from_wire(wire)) is NotTrained
    assert lineage(DeadlineExceeded) == ["deadline_exceeded", "child_failed", "error"]


def test_other_exceptions_say_type_text_and_line() -> None:
    def broken() -> None:
        raise KeyError("price")

    with pytest.raises(KeyError) as caught:
        broken()
    back = over_the_wire(caught.value)
    assert type(back) is ChildFailed
    assert "train failed with KeyError: 'price'" in back.message
    assert "test_workers_failures.py:" in back.message
    assert "memory" in over_the_wire(MemoryError()).hint


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary() | st.booleans(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["error", "lineage", "place", "code", "message", "args", "as_dict"])
                | st.text(),
                inner,
            )
        ),
        max_leaves=10,
    )
)
def test_whatever_a_broken_child_sends_becomes_an_error(wire: object) -> None:
    error = from_wire(wire)
    assert isinstance(error, SpiceError)
    assert isinstance(error.as_dict(), dict)
    assert str(error) is not None
