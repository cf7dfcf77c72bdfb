"""What the command line prints of evaluations, comparisons and explanations."""

from __future__ import annotations

from typing import Any

import pytest

from spice_tui.cli import evaluation, judging


def part(closed: float, **more: Any) -> dict[str, Any]:
    return {"steps": 10, "score": 1.0, "regret_closed": closed, **more}


def test_an_overfitted_policy_is_called_so() -> None:
    found = {"in_sample": part(0.93), "held_out": part(-0.07), "overfitted": True}
    assert evaluation.verdict(found) == (
        "Overfitted: it closes 93.0% of the regret in sample but -7.0% held out, "
        "which is more than chance explains."
    )
    assert evaluation.verdict(found | {"overfitted": False}) == ""
    assert "one constant action" in evaluation.verdict(found | {"constant_policy": True})


def test_intervals_are_shown_where_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    sure = {"score": [0.5, 1.5], "gain": [-1.0, 2.0], "regret_closed": [0.9, 0.95]}
    evaluation.show_whole({"in_sample": part(0.93, intervals=sure), "held_out": part(0.9)})
    out = capsys.readouterr().out
    assert "90.0% to 95.0%" in out
    assert "-1 to 2" in out
    evaluation.show_whole({"in_sample": part(0.93, intervals=None)})
    assert "WITH 95 %" not in capsys.readouterr().out


def test_bins_of_the_confidence_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    bins = [{"steps": 7, "confidence": 0.61, "right": 0.5}]
    trust = {"error": 0.11, "chance": 0.15, "confidence": 0.61, "right": 0.5, "bins": bins}
    evaluation.show_whole({"in_sample": part(0.5), "reliability": trust})
    out = capsys.readouterr().out
    assert "off by 11.0% (chance alone: 15.0%)." in out
    assert "    7       61.0%  50.0%" in out


def test_rules_of_a_shadow_say_how_often_they_agree(capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "steps": 10,
        "rules": [{"conditions": [], "action": "hold", "steps": 10, "reward": 1.0}],
        "rules_total": 1,
        "rules_exact": False,
        "rules_agree": 0.9,
    }
    judging._show_rules(found)
    out = capsys.readouterr().out
    assert "do the same on 90.0% of the steps" in out
    assert out.splitlines()[-1].split() == ["hold", "100.0%", "1", "always"]
