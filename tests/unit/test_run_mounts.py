"""Mounts as text."""

from __future__ import annotations

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.runs.mounts import MOST_MOUNTS, parse


@pytest.mark.parametrize(
    ("text", "resource", "path"),
    [
        ("runs/42", "runs/42", "42"),
        ("runs/42/", "runs/42", "42"),
        ("uploads/text/a.txt", "uploads/text/a.txt", "a.txt"),
        ("runs/1/data:datasets/", "runs/1/data", "datasets"),
        ("uploads/x:/mnt//data", "uploads/x", "/mnt/data"),
        ("models/m/v1:./in/../m", "models/m/v1", "m"),
        ("@latest:old", "@latest", "old"),
        ("runs/@best:val_acc/weights:w", "runs/@best:val_acc/weights", "w"),
        ("@best:loss:min:/mnt/best", "@best:loss:min", "/mnt/best"),
        ("@best:loss:min/w", "@best:loss:min/w", "w"),
        ("@label:good:old", "@label:good", "old"),
        ("runs/@label:good/w.bin", "runs/@label:good/w.bin", "w.bin"),
        ("@label:min:min", "@label:min", "min"),
        ("uploads/x:..data", "uploads/x", "..data"),
    ],
)
def test_a_resource_and_where_it_appears(text: str, resource: str, path: str) -> None:
    (mount,) = parse([text])
    assert (mount.resource, mount.path) == (resource, path)


@pytest.mark.parametrize(
    "text", ["", ":x", "a:b:c", "runs/1:", "runs/1:..", "runs/1:../x", "runs/1:.", "x:/", "@latest"]
)
def test_what_is_no_mount(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse([text])


def test_an_address_is_told_apart() -> None:
    with pytest.raises(InvalidRequest, match="is an address"):
        parse(["s3://bucket/data:data"])


def test_of_one_resource_the_last_place_counts() -> None:
    assert [mount.path for mount in parse(["runs/1:a", "runs/2:b", "runs/1:c"])] == ["c", "b"]


def test_two_at_one_place_are_refused() -> None:
    for other in ("runs/2:data", "runs/2:data/inner", "runs/2:./data"):
        with pytest.raises(InvalidRequest, match="at one place"):
            parse(["runs/1:data", other])
    with pytest.raises(InvalidRequest, match="more than"):
        parse([f"runs/{number}" for number in range(MOST_MOUNTS + 1)])
