"""A policy explained as rows: actions, rules, fields, weights, and how old it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spice_engine.protocol.judging import ActionUse, FieldWeight, PolicyExplanation, PolicyRule
from spice_tui.models.policy_view import explanation, lines
from spice_tui.models.questions import Question
from spice_tui.models.short_names import ShortNames, short_names
from spice_tui.models.styled import rows_of

RULES = [
    PolicyRule(["load[0] <= 0.5", "price[0] - price[-1] > 0.25"], "hold", 600, 1.5),
    PolicyRule(["load[0] > 0.5"], "buy_more", 400, -0.25),
]
FOUND = PolicyExplanation(
    pod="shop",
    policy_version=3,
    algorithm="fqi",
    kind="tree",
    steps=1000,
    actions=[
        ActionUse("hold", 600, 1.5, {"shop_till_load": 0.2, "shop_till_price": 12.0}),
        ActionUse("buy_more", 400, -0.25, {"shop_till_load": 0.8, "shop_till_price": 9.5}),
        ActionUse("sell", 0, None, {"shop_till_load": None, "shop_till_price": None}),
    ],
    fields=[FieldWeight("shop_till_load", 0.75, 0.4), FieldWeight("shop_till_price", -0.01, 0.02)],
    lost_by="rewards",
    features={"load[0]": 4.0, "price[0]": 1.0},
    rules=RULES,
    rules_total=2,
    rules_exact=True,
    rules_agree=1.0,
)
WIDTHS = pytest.mark.parametrize("width", [20, 51, 78, 116, 190])


def page(found: PolicyExplanation, width: int = 78) -> str:
    return "\n".join(line.text.rstrip() for line in explanation(found, ShortNames(), width))


def told(kept: Question | None, asked: Question | None, serving: int | None) -> str:
    return "\n".join(line.text.rstrip() for line in lines(kept, asked, ShortNames(), serving, 78))


def test_actions_rules_and_fields_are_told() -> None:
    text = page(FOUND)
    assert "fqi, a tree" in text
    assert "1,000 steps of the data" in text
    hold = next(row for row in text.splitlines() if row.startswith("hold"))
    assert hold.split()[-5:] == ["600", "60%", "1.5", "0.2", "12"]
    assert next(row for row in text.splitlines() if row.startswith("sell")).endswith("-")
    when = text.index("when load[0] <= 0.5 and price[0] - price[-1] > 0.25")
    assert text.index("then hold", when) < text.index("when load[0] > 0.5", when)
    assert "60.0%" in text
    assert "reward    -0.25" in text
    assert "reward lost a step" in text
    field = next(row for row in text.splitlines() if row.startswith("shop_till_load"))
    assert field.split()[1] == "0.75"
    assert field.endswith("40.0%")
    assert "What features add" in text


def test_a_line_of_conditions_ends_between_them() -> None:
    narrow = [row for row in page(FOUND, 40).splitlines() if "price" in row]
    assert "     price[0] - price[-1] > 0.25" in narrow


def test_rules_that_only_stand_beside_say_how_often_they_agree() -> None:
    shadow = page(replace(FOUND, rules_exact=False, rules_agree=0.934))
    assert "About as these rules" in shadow
    assert "the same on 93.4% of the steps" in shadow
    assert "the 2 of 23 that apply most" in page(replace(FOUND, rules_total=23))
    assert "always" in page(replace(FOUND, rules=[PolicyRule([], "hold", 1000, 1.0)]))


def test_weights_take_the_place_of_contributions() -> None:
    weights = {f"feature {i}": {"hold": 1.5, "buy_more": -0.5, "sell": float(i)} for i in range(3)}
    text = page(replace(FOUND, weights=weights, kind="linear"))
    assert "What features add" not in text
    row = next(row for row in text.splitlines() if row.startswith("feature 2"))
    assert row.split()[2:] == ["1.5", "-0.5", "2"]
    assert "of 1 of 3 actions" in page(replace(FOUND, weights=weights), 30)


def test_a_simulated_pod_is_told_by_the_policy_s_own_episode() -> None:
    text = page(replace(FOUND, lost_by="values"))
    assert "1,000 steps of its own episode" in text
    assert "value, as the policy sees it, lost a step" in text
    assert "laws" not in text
    kept = [replace(FOUND.actions[0], taken=700), replace(FOUND.actions[1], taken=300)]
    assert "laws forbid" in page(replace(FOUND, lost_by="values", actions=kept))


@WIDTHS
def test_no_row_is_wider_than_the_pane(width: int) -> None:
    weights = {"a feature": {one.action: 1.0 for one in FOUND.actions}}
    for found in (FOUND, replace(FOUND, weights=weights), replace(FOUND, lost_by="values")):
        rows = explanation(found, ShortNames(), width)
        assert all(len(line.text) == len(line.styles) for line in rows)
        if width >= 51:
            assert max(len(line.text) for line in rows) <= width
        texts, _ = rows_of(rows, width)
        assert {len(text) for text in texts} == {width}


def test_what_is_asked_and_how_old_an_answer_is() -> None:
    answered = Question((), 3, FOUND)
    assert told(None, None, None) == "No policy yet: t trains the pod."
    assert told(None, None, 3).startswith("enter explains what policy v3 does")
    assert told(None, Question((), 3), 3) == "● Explaining the policy; esc gives up."
    assert "Explaining policy v1" in told(answered, Question(("v1",), 3), 3)
    assert told(answered, None, 3).startswith("Policy          v3")
    old = told(answered, None, 4).splitlines()[0]
    assert old == "▲ This is v3; v4 serves now. enter explains that one."
    refused = told(replace(answered, error="not now."), None, 3)
    assert refused.startswith("▲ not now.\nPolicy          v3")


def test_names_are_short_where_that_leaves_them_apart() -> None:
    names = short_names(["shop/till", "shop/till/back"], ["shop_till_load", "shop_till_price"])
    text = "\n".join(line.text for line in explanation(FOUND, names, 78))
    assert "Names without   shop_till_, shop_till_back_" in text
    assert "mean price" in text
    assert "shop_till_load" not in text
    assert names.of("a_shop_till_load[0] - shop_till_back_load") == "a_shop_till_load[0] - load"
    alike = short_names(["shop/till", "inn/bar"], ["shop_till_load", "inn_bar_load"])
    assert alike == ShortNames()
    assert short_names(["shop/till"], ["hour"]) == ShortNames()
