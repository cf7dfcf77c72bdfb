"""Names of models and versions, and which files of a resource go where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest
from spice_engine.serving import model_names as names


@pytest.mark.parametrize("name", ["cifar", "a.b-c_d~e", "_x", "9", "modèle", "a" * 128])
def test_names_that_can_be_given(name: str) -> None:
    names.check_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "-a", ".a", "~a", "a b", "a/b", "a:b", "a@b", "a..b", "a--b", "a__b", "a\n", "a" * 129],
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        names.check_name(name)


@pytest.mark.parametrize(
    ("text", "number"), [("v1", 1), ("v01", 1), ("7", 7), ("V1", None), ("v", None), ("v1a", None)]
)
def test_numbers_of_versions(text: str, number: int | None) -> None:
    assert names.number_of(text) == number


@pytest.mark.parametrize("text", ["latest", "best", "12", "a..b"])
def test_custom_versions_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        names.check_version(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cifar", ("cifar", "")),
        ("cifar:v2", ("cifar", "v2")),
        ("cifar:@best:acc", ("cifar", "@best:acc")),
        ("cifar@prod", ("cifar", "@prod")),
    ],
)
def test_splitting(text: str, parts: tuple[str, str]) -> None:
    assert names.split(text) == parts


def test_a_colon_needs_a_version() -> None:
    with pytest.raises(InvalidRequest):
        names.split("cifar:")


def test_aliases() -> None:
    assert names.check_alias("@prod") == "prod"
    for alias in ("latest", "@best", "v3", "", "a b"):
        with pytest.raises(InvalidRequest):
            names.check_alias(alias)


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("w.bin", "w.bin"),
        ("out/w.bin", "out/w.bin"),
        ("out/w.bin:w.bin", "w.bin"),
        ("out/w.bin:sub/", "sub/w.bin"),
        ("out/", "out"),
    ],
)
def test_where_files_go(text: str, destination: str) -> None:
    (spec,) = names.file_specs([text])
    assert "/".join(spec.destination) == destination


@pytest.mark.parametrize(
    "texts",
    [
        ["a:b:c"],
        ["a:"],
        [""],
        [":x"],
        ["/etc/passwd"],
        ["../x"],
        ["x:../y"],
        ["x:/y"],
        ["a:c", "b:c"],
        ["a:c", "b:c/d"],
        ["b:c/d", "a:c"],
    ],
)
def test_files_that_are_refused(texts: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        names.file_specs(texts)


@given(st.lists(st.text(alphabet="ab/.:", max_size=6), max_size=4))
def test_files_that_are_accepted_stay_inside_and_apart(texts: list[str]) -> None:
    try:
        specs = names.file_specs(texts)
    except InvalidRequest:
        return
    places = [spec.destination for spec in specs]
    for place in places:
        assert place
        assert not {"..", ".", ""} & set(place)
    for one in places:
        assert sum(other[: len(one)] == one for other in places) == 1
