"""`send_metric` in a run: what is taken, what is warned of, and that nothing is ever raised."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spice_runtime
from spice_engine.runs.metric_lines import CHUNK_BYTES, parse, read_chunk
from spice_runtime import rank_names, run_metrics
from spice_runtime.run_metrics import MetricFile, MetricWarning

Sent = Callable[[], list[tuple[str, int | None, float | str]]]


class Hostile:
    def __float__(self) -> float:
        raise RuntimeError("no")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the run that this process is in."""
    found = tmp_path / "metrics"
    monkeypatch.setattr(run_metrics._Here, "file", MetricFile(str(found)))
    monkeypatch.setattr(run_metrics._Here, "known", True)
    return found


def sent(path: Path) -> list[tuple[str, int | None, float | str]]:
    rows, bad = parse(path.read_bytes())
    assert not bad
    return [(name, index, value) for name, value, index, _ in rows]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1, 1.0),
        (True, 1.0),
        (2.5, 2.5),
        (10**30, 1e30),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.bool_(True), 1.0),
        (np.array([[5]]), 5.0),
        ([0.1], 0.1),
        (Decimal("1.5"), 1.5),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        ("1.5", "1.5"),
        ("line\nnext", "line\nnext"),
        ("\udc80", "?"),
        ("x" * 70_000, "x" * 65_536),
    ],
)
def test_values_in_any_dress_are_taken(path: Path, value: Any, kept: float | str) -> None:
    spice_runtime.send_metric("m", value)
    assert sent(path) == [("m", None, kept)]


def test_nan_is_a_point(path: Path) -> None:
    spice_runtime.send_metric("m", np.nan, 3)
    ((_, index, value),) = sent(path)
    assert index == 3
    assert math.isnan(float(value))


@pytest.mark.parametrize("value", [None, [], [1, 2], {}, object(), Hostile(), 1j])
def test_what_is_no_value_is_warned_of(path: Path, value: Any) -> None:
    with pytest.warns(MetricWarning, match="must be a float, int, or string type"):
        spice_runtime.send_metric("m", value)
    assert not path.exists()


def test_a_number_beyond_all_floats_is_warned_of_as_such(path: Path) -> None:
    with pytest.warns(MetricWarning, match="too large for a float"):
        spice_runtime.send_metric("m", 10**400)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", None, 3, "x" * 301])
def test_what_is_no_name_is_warned_of(path: Path, name: Any) -> None:
    with pytest.warns(MetricWarning, match="the name must be a text"):
        spice_runtime.send_metric(name, 1)


@pytest.mark.parametrize(
    ("index", "kept"), [(7, 7), (np.int64(7), 7), ([7], 7), (7.0, 7), (np.array(7), 7)]
)
def test_indexes_in_any_dress_are_taken(path: Path, index: Any, kept: int) -> None:
    spice_runtime.send_metric("m", 1, index)
    assert sent(path) == [("m", kept, 1.0)]


@pytest.mark.parametrize("index", [1.5, -1, 2**60, object(), [1, 2], math.nan, Hostile()])
def test_a_bad_index_is_left_out(path: Path, index: Any) -> None:
    with pytest.warns(MetricWarning, match="its index was ignored"):
        spice_runtime.send_metric("m", 1, index)
    assert sent(path) == [("m", None, 1.0)]


def test_outside_of_runs_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_metrics._Here, "file", None)
    monkeypatch.setattr(run_metrics._Here, "known", True)
    spice_runtime.send_metric("phase", object())


def test_threads_and_forks_write_whole_lines(path: Path) -> None:
    def send(name: str) -> None:
        for n in range(500):
            spice_runtime.send_metric(name, n)

    threads = [threading.Thread(target=send, args=(f"thread {n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fork beside other threads
        child = os.fork()
    if child == 0:
        send("child")
        os._exit(0)
    send("parent")
    os.waitpid(child, 0)
    found = sent(path)
    for name in ("thread 0", "thread 1", "thread 2", "child", "parent"):
        assert [value for told, _, value in found if told == name] == list(range(500))


def test_a_fork_while_a_thread_opens_the_file_sends(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, forked = threading.Event(), threading.Event()
    really = os.open

    def slow(*given: Any) -> int:
        opening.set()
        forked.wait()
        return really(*given)

    monkeypatch.setattr(os, "open", slow)
    thread = threading.Thread(target=spice_runtime.send_metric, args=("m", 1))
    thread.start()
    opening.wait()
    monkeypatch.setattr(os, "open", really)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fork beside other threads
        child = os.fork()
    if child == 0:
        signal.alarm(20)
        spice_runtime.send_metric("m", 2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    forked.set()
    thread.join()
    assert status == 0
    assert [value for _, _, value in sent(path)] == [2.0, 1.0]


def test_a_closed_descriptor_is_opened_again(path: Path, tmp_path: Path) -> None:
    spice_runtime.send_metric("m", 1)
    file = run_metrics._Here.file
    assert file is not None
    os.close(file._fd)
    with (tmp_path / "another").open("w") as other:
        # It may have the same number now.
        assert other.fileno() == file._fd
        spice_runtime.send_metric("m", 2)
    assert (tmp_path / "another").read_text() == ""
    assert [value for _, _, value in sent(path)] == [1.0, 2.0]


def test_a_folder_that_is_gone_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_metrics._Here, "file", MetricFile(str(tmp_path / "gone" / "metrics")))
    monkeypatch.setattr(run_metrics._Here, "known", True)
    with pytest.warns(MetricWarning, match="cannot be written"):
        spice_runtime.send_metric("m", 1)


def line(*parts: Any) -> bytes:
    return json.dumps(parts).encode() + b"\n"


def test_lines_of_others_are_left_out_and_counted() -> None:
    good = line("m", 1.0, None, 5.0)
    bad = [
        b"print\n",
        line("m", 1.0, None),
        line("m", {}, None, 5.0),
        line("m", 1.0, -1, 5.0),
        line("m", 1.0, True, 5.0),
        line("", 1.0, None, 5.0),
        line(3, 1.0, None, 5.0),
        line("m", 1.0, None, "now"),
        b'["m",1.0,null,1e999]\n',
        b'["m\\udc80",1.0,null,5.0]\n',
        b"[" * 100_000 + b"\n",
        b"\xff\n",
    ]
    rows, count = parse(good + b"".join(bad) + good)
    assert (len(rows), count) == (2, len(bad))


def test_a_file_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    assert read_chunk(path, 0, whole=True) is None
    good = line("m", 1.0, None, 5.0)
    path.write_bytes(good + good[:-1])
    chunk = read_chunk(path, 0, whole=False)
    assert chunk is not None
    assert (len(chunk.rows), chunk.end) == (1, len(good))
    assert read_chunk(path, chunk.end, whole=False) is None
    last = read_chunk(path, chunk.end, whole=True)
    assert last is not None
    assert len(last.rows) == 1
    # A line that nobody of ours wrote and that never ends is passed over.
    path.write_bytes(b"x" * (CHUNK_BYTES + 10) + b"\n" + good)
    first = read_chunk(path, 0, whole=False)
    assert first is not None
    rest = read_chunk(path, first.end, whole=False)
    assert rest is not None
    assert (first.bad, rest.bad, len(rest.rows)) == (1, 1, 1)


def test_a_rank_sends_below_its_number_and_a_fork_may_be_another(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "8")  # it may mean anything
    spice_runtime.send_metric("m", 0)
    pid = os.fork()
    if pid == 0:
        os.environ["WORLD_SIZE"] = "16"
        spice_runtime.send_metric("m", 1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert [name for name, _, _ in sent(path)] == ["m", "rank8/m"]


@pytest.mark.parametrize(
    ("rank", "world", "more", "prefix"),
    [
        ("0", "2", {}, ""),
        ("1", "2", {}, "rank1/"),
        ("2", "2", {}, ""),
        ("one", "2", {}, ""),
        ("1", "2", {"SPICE_RANK_METRICS": "together"}, ""),
    ],
)
def test_which_rank_a_process_is(rank: str, world: str, more: dict[str, str], prefix: str) -> None:
    assert rank_names.prefix_in({"RANK": rank, "WORLD_SIZE": world, **more}) == prefix


def test_a_name_is_no_longer_with_its_rank(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    spice_runtime.send_metric("m" * 294, 1)
    with pytest.warns(MetricWarning, match="1 to 294 characters"):
        spice_runtime.send_metric("m" * 295, 1)
    assert [name for name, _, _ in sent(path)] == ["rank1/" + "m" * 294]
