"""What people write to name a package, and a registry's index."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import IncompatibleVersion, InvalidRequest, NotFound
from spice_engine.pods.references import Reference
from spice_engine.pods.registry_index import Index, IndexVersion, index_bytes, read_index
from spice_engine.pods.safe_zip import InvalidPackage


@pytest.mark.parametrize(
    ("text", "reference", "name"),
    [
        ("samples/gardener", Reference("name", "samples/gardener"), "gardener"),
        ("org/pod@1.2", Reference("name", "org/pod", "1.2"), "org/pod"),
        ("./x/pod@1", Reference("folder", "./x/pod@1"), "pod@1"),
        ("/abs/pod.zip", Reference("folder", "/abs/pod.zip"), "pod"),
        ("file:///a%20b/pod", Reference("folder", "/a b/pod"), "pod"),
        ("https://h/p/pod.zip", Reference("http", "https://h/p/pod.zip"), "pod"),
        ("https://u@h/org/pod@2", Reference("http", "https://u@h/org/pod", "2"), "pod"),
        ("git+https://h/r.git", Reference("git", "https://h/r.git"), "r"),
        ("git+https://h/r.git@v1", Reference("git", "https://h/r.git", "v1"), "r"),
        ("git+https://h/r.git#a/pod@v1", Reference("git", "https://h/r.git", "v1", "a/pod"), "pod"),
        ("git+ssh://git@h/r#@main", Reference("git", "ssh://git@h/r", "main"), "r"),
    ],
)
def test_references(text: str, reference: Reference, name: str) -> None:
    assert Reference.parse(text) == reference
    assert reference.name == name


def test_a_pinned_reference_names_the_version_and_no_password() -> None:
    def pinned(text: str, version: str) -> str:
        return Reference.parse(text).pinned(version)

    assert pinned("org/pod", "3") == "org/pod@3"
    assert pinned("git+https://me:secret@h/r#p@main", "abc") == "git+https://h/r#p@abc"
    assert pinned("git+ssh://git@h/r", "abc") == "git+ssh://git@h/r#@abc"
    assert pinned("https://me:secret@h/pod?token=1", "") == "https://h/pod"


@pytest.mark.parametrize("text", ["", "a\nb", "x" * 2001])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Reference.parse(text)


ONE = IndexVersion("1", "packages/a-1.zip", "0" * 64, 5, 1.5)
TWO = IndexVersion("2", "packages/a-2.zip", "1" * 64, 6, 2.5)
INDEX = Index().with_version("org/a", "first", ONE).with_version("Org/A", "second", TWO)


def test_an_index_reads_back_and_finds_versions() -> None:
    assert read_index(index_bytes(INDEX), "here") == INDEX
    assert INDEX.find("ORG/a") == TWO
    assert INDEX.find("org/a", "1") == ONE
    assert INDEX.find("other") is None
    with pytest.raises(NotFound, match="Versions: 1, 2"):
        INDEX.find("org/a", "3")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("packages/a-1.zip", "../a.zip"),
        ("packages/a-1.zip", "a.exe"),
        ("0" * 64, "0"),
        ('"version": "1"', '"version": "-1"'),
        ('"version": "1"', '"version": {}'),
        ("spice-registry", "other"),
    ],
)
def test_an_index_that_cannot_be_used_is_refused(old: str, new: str) -> None:
    with pytest.raises(InvalidPackage, match=r"here/index\.json"):
        read_index(index_bytes(INDEX).replace(old.encode(), new.encode()), "here")


def test_a_newer_index_says_so() -> None:
    with pytest.raises(IncompatibleVersion):
        read_index(b'{"format": "spice-registry", "version": 2}', "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    data=st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(
        lambda value: json.dumps(
            {"format": "spice-registry", "version": 1, "packages": value}
        ).encode()
    )
)
def test_any_index_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidPackage, IncompatibleVersion):
        assert isinstance(read_index(data, "here"), Index)
