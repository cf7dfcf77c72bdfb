"""A comparison as rows: words, scores, pairs, progress; and what may be chosen for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spice_engine.protocol.judging import (
    ComparedPair,
    ComparedPolicy,
    Comparison,
    ComparisonProgress,
    LearningAlgorithm,
)
from spice_engine.protocol.packages import PolicyVersion
from spice_tui.models.comparison_view import MOST, comparison, lines, progress_of, scored
from spice_tui.models.page_titles import page_titles
from spice_tui.models.policy_choice import Choice, Choices, choices
from spice_tui.models.questions import Question
from spice_tui.theme import symbols


def policy(name: str, score: float, *, unseen: bool = True, sure: bool = True) -> ComparedPolicy:
    part: dict[str, Any] = {"steps": 100, "score": 100 * score, "regret_closed": score}
    if sure:
        part["intervals"] = {"score": [90 * score, 110 * score]}
    return ComparedPolicy(name, "algorithm", None, name, unseen, part)


def pair(first: str, second: str, gain: float, better: str, p: float | None = 0.2) -> ComparedPair:
    ends = (None, None) if p is None else (gain - 0.1, gain + 0.1)
    return ComparedPair(first, second, gain, *ends, p, 5.0, better, "words")


PAIRS = [
    pair("linear", "fqi", 0.3, "linear", 0.0004),
    pair("linear", "v2", 0.05, ""),
    pair("fqi", "v2", -0.25, "", None),
]
FOUND = Comparison(
    pod="shop",
    first=policy("linear", 0.9),
    second=policy("fqi", 0.6),
    others=[policy("v2", 0.85, unseen=False, sure=False)],
    steps=100,
    start=1_700_000_000,
    end=1_700_006_000,
    difference=0.3,
    low=0.2,
    high=0.4,
    p=0.0004,
    block=5.0,
    better="linear",
    words="linear is better than fqi and v2, beyond chance.",
    pairs=PAIRS,
)
ASKED = Question(("linear", "fqi", "v2"), 2)


def page(found: Comparison, width: int = 116) -> str:
    return "\n".join(line.text.rstrip() for line in comparison(found, width))


def test_scores_are_per_step_with_their_intervals() -> None:
    first, second, third = scored(FOUND)
    assert (first.name, first.score, first.best) == ("linear", 0.9, True)
    assert first.between == pytest.approx((0.81, 0.99))
    assert (second.closed, second.best, second.unseen) == (0.6, False, True)
    assert (third.between, third.unseen) == (None, False)
    rows = page(FOUND).splitlines()
    assert rows[0] == FOUND.words
    best = next(row for row in rows if row.startswith("✓ linear"))
    assert best.split()[2:7] == ["0.9", "0.81", "to", "0.99", "90.0%"]
    assert "Learned from these steps: v2." in rows


def test_each_pair_says_who_is_better_or_that_one_cannot_tell() -> None:
    rows = page(FOUND).splitlines()
    sure = next(i for i, row in enumerate(rows) if row.startswith("linear over fqi"))
    assert rows[sure].split()[3:] == ["+0.3", "p", "<", "0.001", "linear", "is", "better"]
    assert rows[sure + 1].split()[:3] == ["+0.2", "to", "+0.4"]
    assert rows[sure + 2].endswith("p = 0.2    cannot tell")
    # One scale for all: where nobody gains is in the same column of every picture.
    assert rows[sure + 1].index("│") == rows[sure + 3].index("│")
    assert rows[sure + 1].index("│") < rows[sure + 1].index("●")
    few = next(row for row in rows if row.startswith("fqi over v2"))
    assert "p unknown" in few
    narrow = page(FOUND, 40).splitlines()
    sure = narrow.index("linear over fqi  linear is better")
    assert narrow[sure + 1].split() == ["+0.3", "p", "<", "0.001"]


@pytest.mark.parametrize("width", [51, 78, 116, 190])
def test_no_row_is_wider_than_the_pane(width: int) -> None:
    rows = comparison(FOUND, width)
    assert all(len(line.text) == len(line.styles) <= width for line in rows)


def test_how_far_it_is_and_how_old_an_answer_is() -> None:
    def told(kept: Question | None, asked: Question | None, serving: int | None, **of: Any) -> str:
        now = ComparisonProgress(1, "shop", ["linear", "fqi", "v2"], **of) if of else None
        return "\n".join(line.text.rstrip() for line in lines(kept, asked, now, serving, 116))

    assert told(None, None, 2).startswith("enter chooses versions or algorithms")
    assert told(None, ASKED, 2) == "● Comparing linear, fqi, v2; esc gives up."
    going = told(None, ASKED, 2, place=1, episode=14, score=0.71)
    assert going.endswith("\nTrains fqi (2 of 3): episode 14, score 0.71.")
    kept = replace(ASKED, answer=FOUND)
    assert told(kept, None, 2).startswith(FOUND.words)
    assert told(kept, None, 3).startswith("▲ Compared when v2 served; v3 does now.")
    assert told(replace(ASKED, error="no such thing."), None, 2).startswith("▲ no such thing.")


def test_progress_is_that_of_one_s_own_question() -> None:
    own = ComparisonProgress(2, "shop", ["linear", "fqi", "v2"])
    others = [
        ComparisonProgress(1, "inn", ["linear", "fqi", "v2"]),
        ComparisonProgress(3, "shop", ["linear", "fqi"]),
    ]
    assert progress_of([*others, own], "shop", ASKED) is own
    assert progress_of(others, "shop", ASKED) is None
    assert progress_of([own], "shop", None) is None


# -- choosing


def every() -> list[Choice]:
    versions = [
        PolicyVersion(2, "linear", 1_700_000_000.0, 2, ["latest", "good"], 0.91, serving=True),
        PolicyVersion(1, "fqi", 1_600_000_000.0, 1, [], None, serving=False),
    ]
    names = ("auto", "dql", "fqi", "linear", "sacd", "vpg")
    return choices(versions, [LearningAlgorithm(one, one, f"How {one} does.") for one in names])


def test_versions_come_first_and_say_what_they_are() -> None:
    first, second, third, *_ = every()
    assert first.name == "v2"
    assert first.detail.endswith("91.0% of the regret closed held out, serves, good")
    assert second.detail == "fqi, of 2020-09-13 12:26:40"
    assert (third.name, third.detail) == ("auto", "How auto does.")


def test_marks_are_put_and_taken_and_no_more_than_fit() -> None:
    found = Choices(every(), ())
    assert found.names == ["v2", "v1"]
    assert found.first == 2
    assert found.line(0).startswith("[x] v2 ")
    found.toggle(0)
    assert not found.enough
    assert found.note == "Mark two or more."
    found.toggle(5)
    assert found.note == "Compares v1, linear. Trains linear for it."
    for number in (0, 2, 3, 4):
        found.toggle(number)
    assert len(found.names) == MOST
    found.toggle(6)
    assert len(found.names) == MOST
    assert found.note.endswith("take a mark away first.")
    again = Choices(every(), ["vpg", "good", "gone", "v2"])
    assert again.names == ["v2", "vpg"]
    assert again.lines()[0].startswith("[x] v2")


# -- the pages' titles


def test_titles_that_do_not_fit_are_those_about_the_one_on_top() -> None:
    names = ["Rewards", "Timeline", "Steps", "Evaluation", "Policy", "Compare", "Data", "Notes"]
    assert page_titles(names, 0, 80) == (
        "◆Rewards Timeline Steps Evaluation Policy Compare Data Notes"
    )
    assert page_titles(names, 0, 49) == "◆Rewards Timeline Steps Evaluation Policy …"
    assert page_titles(names, 5, 49) == "… Steps Evaluation Policy ◆Compare Data Notes"
    assert page_titles(names, 7, 30) == "… Policy Compare Data ◆Notes"
    symbols.use(symbols.ASCII)
    try:
        assert page_titles(names, 1, 24) == "~ *Timeline Steps ~"
    finally:
        symbols.use(symbols.UNICODE)
    for room in range(1, 70):
        for top, name in enumerate(names):
            text = page_titles(names, top, room)
            assert f"◆{name}" in text
            assert len(text) <= max(room, len(name) + 5)
