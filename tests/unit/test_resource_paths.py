"""Paths of the resource tree: what they are read as, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest
from spice_engine.runs import resource_paths as paths

PIECES = st.one_of(
    st.sampled_from(["", ".", "..", "runs", "uploads", "a", "@latest", "a b", "ü", "\0", "\ud800"]),
    st.text(max_size=8),
)


@given(st.lists(PIECES, max_size=6).map("/".join))
def test_a_path_is_refused_or_stays_inside(text: str) -> None:
    try:
        names = paths.parse(text)
    except InvalidRequest:
        return
    assert not {"", ".", ".."} & set(names)
    assert not any("/" in name or "\0" in name for name in names)
    assert paths.parse("/".join(names)) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        (".", ()),
        ("runs/3/", ("runs", "3")),
        ("./uploads//x/./y", ("uploads", "x", "y")),
        ("@latest/weights.bin", ("runs", "@latest", "weights.bin")),
        ("@best:val/acc", ("runs", "@best:val", "acc")),
        ("runs/@best:acc:max", ("runs", "@best:acc:max")),
    ],
)
def test_reading_paths(text: str, names: tuple[str, ...]) -> None:
    assert paths.parse(text) == names


@pytest.mark.parametrize("text", ["/runs/3", "runs/../uploads", "..", "a\0b", "x" * 5000])
def test_paths_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest):
        paths.parse(text)


@pytest.mark.parametrize(
    ("text", "metric", "smallest"),
    [
        ("@latest", "", False),
        ("@best:accuracy", "accuracy", False),
        ("@best:val_loss", "val_loss", True),
        ("@best:rmse", "rmse", True),
        ("@best:val_loss:max", "val_loss", False),
        ("@best:reward:min", "reward", True),
        ("@best:a:b", "a:b", False),
    ],
)
def test_references(text: str, metric: str, smallest: bool) -> None:
    assert paths.reference(text) == paths.Reference(metric, smallest=smallest)


def test_what_is_no_reference() -> None:
    assert paths.reference("latest") is None
    assert paths.reference("@label:a b") == paths.Reference(label="a b")
    for text in ("@", "@best", "@best:", "@newest", "@label", "@label:"):
        with pytest.raises(InvalidRequest):
            paths.reference(text)


@given(st.text(max_size=12))
def test_a_link_that_is_accepted_can_be_a_part_of_a_path(alias: str) -> None:
    try:
        paths.check_alias(alias)
    except InvalidRequest:
        return
    assert paths.parse(f"{alias}/x") == (alias, "x")
    assert not set(alias) & set(paths.FORBIDDEN_IN_ALIAS)


@pytest.mark.parametrize("alias", ["runs", "uploads", "public", "models", "", "a.b", "a/b", "@x"])
def test_links_that_are_refused(alias: str) -> None:
    with pytest.raises(InvalidRequest):
        paths.check_alias(alias)


@given(st.text(max_size=12))
def test_an_uploads_name_that_is_accepted_can_be_a_part_of_a_path(name: str) -> None:
    try:
        paths.check_upload_name(name)
    except InvalidRequest:
        return
    assert paths.parse(f"uploads/{name}") == ("uploads", name)


def test_numbers_of_runs() -> None:
    assert paths.run_number("42") == 42
    for text in ("0", "-1", "x", "", "4" * 30, "٣"):
        assert paths.run_number(text) is None
