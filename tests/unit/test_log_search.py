"""Lines of logs found in bulk: the same as line by line, for any bytes a log may hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.store import log_lines, log_search
from spice_engine.store.log_lines import STRIDE, index_lines
from spice_engine.store.log_matcher import Matcher
from spice_engine.store.log_search import Found, search
from tests.examples import examples

PATTERNS = [
    "a", "ab", "a.", "a.b", ".*b", "^.*ab", "^a", "b$", "^$", r"a\sb", r"\w+", r"\d", "[^a]b",
    "[ab]+c?", "a|", "(a|b)b", r"(a)\1", "(?i)AB", "(?=a)ab", r"a\b", r"\Bb", r"a\Z", "a*+b",
    "é", "é+$", "\\.", ".", "", r"\x00", "a{2}", "a.?", "[a-c]", ".{3}", r"b\W", "a\\n", "^.*|b",
]  # fmt: skip
PIECES = [b"a", b"b", b"ab", b"c ", b"\n", b"\r\n", b"\r", b"\0", b"\xff", "é".encode(), b"7", b"."]
logs = st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "logs.txt"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "PIECE", 8)


def starts(data: bytes) -> list[int]:
    """Where lines begin, a torn last one included."""
    found = [0, *(at + 1 for at, byte in enumerate(data) if byte == 10)]
    return [start for start in found if start < len(data)]


def line_at(data: bytes, start: int) -> bytes:
    return data[start:].split(b"\n", 1)[0].removesuffix(b"\r")


def naive(data: bytes, pattern: str, regex: bool, ignore_case: bool, invert: bool) -> list[int]:
    text = pattern if regex else re.escape(pattern)
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else re.NOFLAG)

    def matches(line: bytes) -> bool:
        if not regex and not ignore_case:
            return pattern.encode() in line
        if text.isascii():
            return re.search(text.encode(), line, flags) is not None
        return re.search(text, line.decode("utf-8", "replace"), flags) is not None

    return [start for start in starts(data) if matches(line_at(data, start)) != invert]


def go(path: Path, matcher: Matcher, offset: int, backwards: bool, limit: int) -> Found:
    return search(path, matcher, offset, backwards=backwards, limit=limit, check=lambda: None)


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs, st.sampled_from(PATTERNS), *[st.booleans()] * 4, st.integers(1, 5))
@example(b"a\r\n", "a.", True, False, False, False, 1)
@example(b"a" * 40, "a", False, False, False, True, 1)
def test_a_search_in_steps_finds_what_a_look_at_each_line_finds(
    log: Path,
    data: bytes,
    pattern: str,
    regex: bool,
    ignore_case: bool,
    invert: bool,
    backwards: bool,
    limit: int,
):
    log.write_bytes(data)
    matcher = Matcher(pattern, regex=regex, ignore_case=ignore_case, invert=invert)
    found: list[int] = []
    offset, done = len(data) if backwards else 0, False
    while not done:
        answer = go(log, matcher, offset, backwards, limit)
        assert len(answer.offsets) <= limit
        found += answer.offsets
        assert answer.done or answer.next != offset
        offset, done = answer.next, answer.done
    expected = naive(data, pattern, regex, ignore_case, invert)
    assert found == (expected[::-1] if backwards else expected)


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b"\n", b"x\n", b"\r\n", b"\0\n"]), max_size=900), st.booleans())
def test_an_index_in_two_parts_says_where_each_line_begins(log: Path, lines: list[bytes], torn):
    data = b"".join(lines) + b"torn" * torn
    begins = [0, *(at + 1 for at, byte in enumerate(data) if byte == 10)]
    log.write_bytes(data[: len(data) // 2])
    first = index_lines(log, 0, 0)
    log.write_bytes(data)
    second = index_lines(log, first.lines, first.end)
    assert second.lines == len(lines)
    assert second.end == begins[-1]
    assert second.size == len(data)
    for part in (first, second):
        for number, offset in enumerate(part.offsets):
            assert begins[part.line + number * STRIDE] == offset


def test_a_log_that_shrank_is_indexed_from_its_start(log: Path):
    log.write_bytes(b"new\nlog\n")
    index = index_lines(log, 1000, 50_000)
    assert (index.line, index.offsets, index.lines, index.end) == (0, [0], 2, 8)


def test_a_log_that_was_not_begun_is_empty(tmp_path: Path):
    index = index_lines(tmp_path / "none", 0, 0)
    assert (index.offsets, index.lines, index.size) == ([0], 0, 0)
    with pytest.raises(NotFound):
        go(
            tmp_path / "none",
            Matcher("a", regex=True, ignore_case=False, invert=False),
            0,
            False,
            1,
        )


@pytest.mark.parametrize("backwards", [False, True])
def test_a_line_longer_than_any_piece(log: Path, backwards: bool):
    log.write_bytes(b"first\n" + b"x" * 1_000_000 + b"needle\nlast\n")
    matcher = Matcher("needle", regex=False, ignore_case=False, invert=False)
    assert go(log, matcher, 1_000_030 if backwards else 0, backwards, 9).offsets == [6]


@pytest.mark.parametrize("backwards", [False, True])
def test_of_a_line_that_is_too_long_the_beginning_is_looked_at(
    log: Path, backwards: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_lines, "LONGEST", 64)
    log.write_bytes(b"ab\n" + b"x" * 20 + b"ab" + b"y" * 500 + b"zz\nab\n")
    matcher = Matcher("ab", regex=False, ignore_case=False, invert=False)
    found = go(log, matcher, 2000 if backwards else 0, backwards, 9)
    assert sorted(found.offsets) == [0, 3, 528]
    assert found.done
    matcher = Matcher("zz", regex=False, ignore_case=False, invert=False)
    assert go(log, matcher, 2000 if backwards else 0, backwards, 9).offsets == []


def test_a_search_looks_at_a_bounded_part_and_says_where_to_go_on(
    log: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_search, "MOST_LOOKED", 16)
    log.write_bytes(b"nothing\n" * 10 + b"here\n")
    matcher = Matcher("here", regex=True, ignore_case=False, invert=False)
    answer = go(log, matcher, 0, False, 1)
    assert (answer.offsets, answer.next, answer.done, answer.looked) == ([], 16, False, 16)


def test_a_torn_line_is_looked_at_again_when_it_grew(log: Path):
    matcher = Matcher("end$", regex=True, ignore_case=False, invert=False)
    log.write_bytes(b"one\nthe en")
    first = go(log, matcher, 0, False, 9)
    assert first == Found([], 4, True, 10)
    log.write_bytes(b"one\nthe end\n")
    assert go(log, matcher, first.next, False, 9).offsets == [4]


@pytest.mark.parametrize("pattern", ["(", "a{99999999999999}", "(" * 900, "[", "x" * 1001])
def test_what_is_no_pattern_is_told(pattern: str):
    with pytest.raises(InvalidRequest):
        Matcher(pattern, regex=True, ignore_case=False, invert=False)


def test_text_with_a_newline_can_be_in_no_line():
    with pytest.raises(InvalidRequest, match="newline"):
        Matcher("a\nb", regex=False, ignore_case=False, invert=False)
