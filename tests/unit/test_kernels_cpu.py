"""The CPU kernels against the textbook's updates, written again here one number at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spice_engine.errors import TooLarge
from spice_engine.learning.kernels import budget, compiled, slices
from spice_engine.learning.kernels.population import Course, Exploration, Population
from tests.unit import gpu_kernels

ONE = np.float32(1.0)


def _random(word: int) -> int:
    word ^= (word << 13) & 0xFFFFFFFF
    word ^= word >> 17
    return word ^ ((word << 5) & 0xFFFFFFFF)


def _textbook(
    course: Course, members: Population, member: int, passes: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Watkins's Q(lambda) with traces that last `history` steps, for one member."""
    values = np.zeros((course.cells, course.actions), dtype=np.float32)
    word = int(members.words[member])
    rate, gamma = members.rates[member], members.gammas[member]
    chances = members.exploration.chances(0, passes)
    for done in range(passes):
        past: list[tuple[int, int, np.float32]] = []  # step, action, weight
        for step in range(course.steps):
            here, there = course.tiles[step], course.tiles[step + 1]
            now, later = values[here[0]], values[there[0]]
            for tiling in range(1, len(here)):
                now, later = now + values[here[tiling]], later + values[there[tiling]]
            word = _random(word)
            greedy = taken = int(now.argmax())
            if word >> 16 < chances[done]:
                taken = (word & 0xFFFF) * course.actions >> 16
            ahead = course.rewards[step, taken] + gamma * later.max()
            move = rate * (ahead - now[taken])
            keep = gamma * members.traces[member] if taken == greedy else np.float32(0)
            past = [(at, action, weight * keep) for at, action, weight in past]
            past = [(step, taken, ONE), *past][: members.history]
            for at, action, weight in past:
                for tile in course.tiles[at]:
                    values[tile, action] += move * weight
    return values


@pytest.mark.numbers
@pytest.mark.parametrize("name", ["table", "traces", "tilings"])
def test_lanes_learn_what_the_textbook_says(name: str) -> None:
    from spice_engine.learning.kernels.on_cpu import Cpu

    case = gpu_kernels.CASES[name]
    course = gpu_kernels.course(case["tilings"], case["steps"])
    # More than one block of lanes, so that two threads learn.
    members = gpu_kernels.population(course, 70, case["trace"])
    expected = [_textbook(course, members, member, 2) for member in (0, 63, 64, 69)]
    Cpu(threads=2).learn(members, course, 2, lambda: None)
    assert members.passes == 2
    for member, one in zip((0, 63, 64, 69), expected, strict=True):
        assert np.array_equal(members.values[:, :, member], one)


@pytest.mark.numbers
def test_where_work_is_cut_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from spice_engine.learning.kernels import on_cpu

    course = gpu_kernels.course(1, 60)
    whole, cut = (gpu_kernels.population(course, 5, 0.0) for _ in range(2))
    on_cpu.Cpu().learn(whole, course, 5, lambda: None)
    monkeypatch.setattr(on_cpu, "_FIRST", 7)
    monkeypatch.setattr(slices, "_GROWTH", 1)
    checks: list[None] = []
    on_cpu.Cpu().learn(cut, course, 2, lambda: checks.append(None))
    on_cpu.Cpu().learn(cut, course, 3, lambda: None)
    assert len(checks) == -(-120 // 7)
    assert np.array_equal(whole.values, cut.values)


def test_slices_aim_at_milliseconds_and_hear_a_cancellation() -> None:
    done: list[tuple[int, int]] = []
    clock = [0.0]

    def work(begin: int, end: int) -> None:
        done.append((begin, end))
        clock[0] += (end - begin) * 1e-4  # 10,000 a second

    def check() -> None:
        if done and done[-1][1] > 2_000:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        slices.in_slices(10_000, work, check, first=10, clock=lambda: clock[0])
    assert [begin for begin, _ in done] == [0, *(end for _, end in done[:-1])]
    assert max(end - begin for begin, end in done) * 1e-4 <= slices.MOST_SECONDS
    done.clear()
    slices.in_slices(1_000, work, lambda: None, first=10, clock=lambda: clock[0])
    assert done[-1][1] == 1_000


def test_memory_is_counted_before_a_launch() -> None:
    size = budget.Size(cells=512, actions=3, steps=4_000, tilings=1, passes=10, history=1)
    table = 512 * 3 * 4
    assert table < size.member < table + 100
    assert budget.fitting(size, 1_000, 10**9, 32) == 1_000
    some = budget.fitting(size, 10**6, 10**9, 32)
    assert some % 32 == 0
    assert size.bytes(some) < 10**9 * budget.SHARE < size.bytes(some + 64)
    with pytest.raises(TooLarge, match="32 tables of 512 cells and 3 actions take"):
        budget.fitting(size, 1_000, 200_000, 32)


def test_exploring_fades_from_pass_to_pass() -> None:
    chances = Exploration(start=1.0, decay=0.5, end=0.1).chances(0, 5) / 65_536
    assert chances == pytest.approx([1, 0.5, 0.25, 0.125, 0.1], abs=1e-4)
    later = Exploration(start=1.0, decay=0.5, end=0.1).chances(2, 1) / 65_536
    assert later == pytest.approx([0.25])


def test_compiled_kernels_are_kept_in_the_users_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled.cache_folder().parent == tmp_path / "spice-tui" / "kernels"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "other"))
    assert compiled.cache_folder().parent == tmp_path / "other"


def test_the_trainer_does_without_numba_until_a_kernel_is_wanted() -> None:
    code = "import sys, spice_engine.learning.trainer; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
