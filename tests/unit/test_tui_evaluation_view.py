"""An evaluation as rows: bars, actions, confidence and sentences."""

from __future__ import annotations

from typing import Any

from spice_tui.models.evaluation_view import evaluation_view, lines


def part(score: float, steps: int = 10) -> dict[str, Any]:
    """Figures between random 0, best constant 5 and oracle 10."""
    return {
        "steps": steps,
        "score": score,
        "random": 0.0,
        "best_constant": 5.0,
        "oracle": 10.0,
        "regret_closed": (score - 5) / 5,
        "actions_taken": {"buy": steps - 2, "sell": 2},
        "reward_per_action": {"buy": 0.9, "sell": None},
    }


EVALUATION: dict[str, Any] = {
    "problem_class": "contextual",
    "algorithm": "linear",
    "candidate": "linear 0.1",
    "in_sample": part(9.0),
    "held_out": part(7.5),
    "held_out_from": 1_700_000_000,
    "reliability": {"confidence": 0.81, "right": 0.78, "error": 0.034},
    "beats_best_constant": True,
    "candidates": [
        {"name": "constant", "folds_score": 1.0, "chosen": False},
        {"name": "linear 0.1", "folds_score": 2.0, "chosen": True},
    ],
}


def page(evaluation: dict[str, Any] | None, width: int = 100) -> str:
    """The pane as text."""
    return "\n".join(line.text.rstrip() for line in lines(evaluation_view(evaluation), width))


def test_scores_are_per_step_and_placed_between_least_and_greatest() -> None:
    view = evaluation_view(EVALUATION)
    assert [(one.title, one.value, one.share) for one in view.parts[0].levels] == [
        ("policy", 0.9, 0.9),
        ("random", 0.0, 0.0),
        ("best constant", 0.5, 0.5),
        ("oracle", 1.0, 1.0),
    ]
    assert view.parts[1].regret_closed == 0.5
    assert view.sentences == ()


def test_the_pane_shows_both_parts_side_by_side_and_below_each_other() -> None:
    wide = page(EVALUATION)
    row = next(row for row in wide.splitlines() if "In sample" in row)
    assert "Held out" in row
    assert "50.0%" in wide
    narrow = page(EVALUATION, 40)
    row = next(row for row in narrow.splitlines() if "In sample" in row)
    assert "Held out" not in row
    assert max(len(row) for row in narrow.splitlines() if "█" in row and "%" not in row) <= 40


def test_actions_confidence_and_candidates() -> None:
    text = page(EVALUATION)
    assert "80%" in text
    assert "Says 81% on average held out and is right in 78%; off by 3.4%." in text
    assert "✓ linear 0.1" in text
    assert "from 2023-11-14 22:13:20 on" in text


def test_sentences_say_what_the_flags_mean() -> None:
    constant = EVALUATION | {"constant_policy": True, "beats_best_constant": False}
    assert evaluation_view(constant).sentences == (
        "It has learned one constant action: it takes the same one on every step.",
        "It does not beat the best constant action held out.",
    )
    nothing = EVALUATION | {"nothing_to_learn": True, "constant_policy": True, "notes": ["Short."]}
    assert evaluation_view(nothing).sentences[0] == "Short."
    assert evaluation_view(nothing).sentences[1].startswith("Nothing to learn")
    assert "unknown" in evaluation_view(EVALUATION | {"held_out": None}).sentences[0]


def test_without_an_evaluation_it_says_so() -> None:
    assert "Not evaluated yet." in page(None)
    assert page({"algorithm": "linear", "in_sample": {}})


def test_intervals_and_overfitting_are_shown_where_they_are_known() -> None:
    inside = part(9.0) | {"intervals": {"regret_closed": [0.75, 0.85]}}
    text = page(EVALUATION | {"in_sample": inside, "overfitted": True})
    assert "75.0% to 85.0%" in text
    assert "Overfitted: held out it closes less" in text
    told = page(EVALUATION | {"reliability": {"error": 0.03, "chance": 0.02}})
    assert "off by 3.0% (chance alone: 2.0%)." in told
    assert "95 %" not in page(EVALUATION | {"held_out": part(7.5) | {"intervals": None}})


def test_how_a_version_did_beside_the_one_that_served() -> None:
    found = {
        "against": 4,
        "steps": 96,
        "difference": -0.0312,
        "low": -0.05,
        "high": 0.01,
        "taken_up": False,
    }
    text = page(EVALUATION | {"continual": found})
    assert "Beside v4" in text
    assert "-0.0312 a step (-0.05 to +0.01) on the newest 96 steps: not taken up" in text
    alone = page(EVALUATION | {"continual": found | {"low": None, "high": None, "taken_up": True}})
    assert "-0.0312 a step on the newest 96 steps: taken up" in alone
    assert "Beside" not in page(EVALUATION)


def test_of_an_environment_returns_of_episodes_are_shown() -> None:
    played = {**part(9.0), "steps": 900, "episodes": 100}
    text = page(
        EVALUATION
        | {"problem_class": "gym", "environment": "CartPole-v1", "in_sample": played}
        | {"held_out": played, "held_out_from": None}
    )
    assert "100 episodes, return" in text
    assert "CartPole-v1" in text
    assert "fresh episodes" in text
    assert "per step" not in text
    assert "on folds" not in text
