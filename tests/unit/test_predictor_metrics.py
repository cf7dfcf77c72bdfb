"""Users' metrics: what is a number, and Prometheus' text of several processes put together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from spice_runtime import user_metrics
from spice_runtime.old_prometheus import library
from spice_runtime.replica_metrics import Gathering
from spice_runtime.user_metrics import send_metric


@pytest.fixture(autouse=True)
def _own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_metrics, "_values", {})


@pytest.fixture
def registry() -> Iterator[list[Any]]:
    """Metrics that a test adds here are taken out of the library's registry after it."""
    made: list[Any] = []
    yield made
    for each in made:
        prometheus_client.REGISTRY.unregister(each)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (True, 1.0),
        (2.5, 2.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.array(4.0), 4.0),
        (np.array([[5]]), 5.0),
        ([6], 6.0),
        ("7.5", 7.5),
        (float("inf"), float("inf")),
    ],
)
def test_numbers_in_any_dress_are_taken(value: Any, number: float) -> None:
    send_metric("m", value, tag="t")
    assert user_metrics.values() == [["m", "t", number]]


@pytest.mark.parametrize("value", ["text", None, [1, 2], {}, np.array([1, 2]), object()])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="the value of a metric must be a number"):
        send_metric("m", value)


def test_a_name_for_each_request_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_metrics, "MAX_SERIES", 3)
    for number in range(3):
        send_metric("m", 1, tag=str(number))
    send_metric("m", 2, tag="0")
    with pytest.raises(ValueError, match="more than 3 metrics"):
        send_metric("m", 1, tag="3")


def test_the_text_is_what_prometheus_reads(registry: list[Any]) -> None:
    registry.append(prometheus_client.Counter("seen_by_test", "Seen", ["kind"]))
    registry[0].labels('odd "kind" {x} \\').inc(3)
    registry.append(prometheus_client.Gauge("plain_of_test", "Plain"))
    send_metric("a:b", float("-inf"), tag='quo"te\n\\')
    for with_pid in (False, True):
        text = user_metrics.prometheus_text(with_pid=with_pid)
        samples = {
            sample.name: sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        pid = {"pid": str(os.getpid())} if with_pid else {}
        seen = samples["seen_by_test_total"]
        assert (seen.labels, seen.value) == ({"kind": 'odd "kind" {x} \\', **pid}, 3.0)
        assert samples["plain_of_test"].labels == pid
        mine = samples["spell:custom:a:b"]
        assert mine.labels == {"spell_metric_name": "a:b", "spell_tag": 'quo"te\n\\', **pid}
        assert mine.value == float("-inf")


def test_a_collector_that_fails_is_left_out(registry: list[Any]) -> None:
    class Broken:
        def describe(self) -> list[Any]:
            return []

        def collect(self) -> Any:
            raise RuntimeError("broken")

    registry.append(Broken())
    prometheus_client.REGISTRY.register(registry[0])
    send_metric("m", 1)
    assert "spell:custom:m" in user_metrics.prometheus_text(with_pid=False)


def test_metrics_of_workers_are_put_together_by_family() -> None:
    def part(pid: int) -> str:
        return (
            f'# HELP m x\n# TYPE m gauge\nm{{pid="{pid}"}} 1\n# TYPE n gauge\nn{{pid="{pid}"}} 2\n'
        )

    workers = [object(), object()]
    gathering = Gathering(object(), 1, list(workers), 0.0)
    assert not gathering.is_over(0.5)
    for pid, worker in enumerate(workers):
        note = {"prometheus": part(pid), "values": [["m", "", pid]]}
        gathering.add(worker, json.dumps(note).encode())
    assert gathering.is_over(0.5)
    merged = gathering.merged("", [])
    assert merged["values"] == [["m", "", 0], ["m", "", 1]]
    assert merged["prometheus"].splitlines() == [
        "# HELP m x",
        "# TYPE m gauge",
        'm{pid="0"} 1',
        'm{pid="1"} 1',
        "# TYPE n gauge",
        'n{pid="0"} 2',
        'n{pid="1"} 2',
    ]


def test_labelvalues_of_old_versions_make_children_that_are_shown(registry: list[Any]) -> None:
    old = library()
    for value in ("a", "b", "a"):
        old.Counter("old_of_test", "Old", labelnames=["k"], labelvalues=[value]).inc()
    from spice_runtime import old_prometheus

    registry.append(old_prometheus._parents["Counter", "old_of_test"])
    text = user_metrics.prometheus_text(with_pid=False)
    assert 'old_of_test_total{k="a"} 2.0' in text
    assert 'old_of_test_total{k="b"} 1.0' in text
    gauge = old.Gauge("new_of_test", "New", ["k"])
    registry.append(gauge)
    gauge.labels("x").set(4)
    assert isinstance(gauge, prometheus_client.Gauge)
    assert 'new_of_test{k="x"} 4.0' in user_metrics.prometheus_text(with_pid=False)
