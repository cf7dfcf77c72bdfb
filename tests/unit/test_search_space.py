"""What searches search over: the words of the command line, points of grids and by chance."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from spice_engine.errors import InvalidRequest, InvalidSettings
from spice_engine.protocol.runs import StartRun
from spice_engine.protocol.searches import SearchParameter, StartSearch
from spice_engine.runs import search_plan, search_space
from spice_engine.runs.search_importance import importance_of
from spice_tui.cli import hyper_params


def parameter(method: str, text: str) -> search_space.Parameter:
    """As the command line and then the engine read it."""
    (found,) = hyper_params.parameters(method, [text], [])
    return search_space.read([SearchParameter(**found)])[0]


def test_values_are_whole_numbers_else_numbers_else_text() -> None:
    found = parameter("grid", "conv-3=1,2.5,x,True,1e-3,nan,1_0")
    assert found.name == "conv-3"
    assert found.values == (1, 2.5, "x", "True", 0.001, "nan", "1_0")


def test_json_lists_keep_their_types() -> None:
    (found,) = hyper_params.parameters("grid", [], ['layers=[[64, 64], "a,b", 1.0, true, null]'])
    assert found["values"] == [[64, 64], "a,b", 1.0, True, None]


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("grid", "a"),
        ("grid", "a="),
        ("grid", "=1"),
        ("grid", "a=1=2"),
        ("grid", "a=1,2,"),
        ("random", "a=1:x"),
        ("random", "a=1:2:cubic"),
        ("random", "a=1:2:log:complex"),
        ("bayesian", "a=1:2:3"),
        ("bayesian", "a=1:2:int:log"),
    ],
)
def test_a_malformed_parameter_is_told_with_the_form_it_must_have(method: str, text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"Incorrect formatting of param .*NAME=VALUE"):
        hyper_params.parameters(method, [text], [])


def test_a_name_twice_and_a_list_that_is_none_are_told() -> None:
    with pytest.raises(InvalidSettings, match="Redundant param name 'a'"):
        hyper_params.parameters("grid", ["a=1"], ["a=[2]"])
    with pytest.raises(InvalidSettings, match="JSON list"):
        hyper_params.parameters("grid", [], ["a={}"])


def test_a_range_is_no_value_of_a_grid() -> None:
    with pytest.raises(InvalidSettings, match="needs values, not the range 1e-4:1:log"):
        hyper_params.parameters("grid", ["a=1e-4:1:log"], [])
    assert parameter("grid", "a=x:1,1:2").values == ("x:1", "1:2")


@pytest.mark.parametrize(
    ("text", "scale", "whole"),
    [
        ("a=1:8", "linear", False),
        ("a=1:8:log", "log", False),
        ("a=1:8:REVERSE_LOG:Int", "reverse_log", True),
        ("a=1:8:int", "linear", True),
        ("a=1:8:linear:int", "linear", True),
    ],
)
def test_ranges_are_drawn_from_and_samplers_get_them_back(
    text: str, scale: str, whole: bool
) -> None:
    found = parameter("random", text)
    assert (found.scale, found.whole) == (scale, whole)
    chance = random.Random(1)
    drawn = [found.draw(chance) for _ in range(400)]
    assert all(1 <= one <= 8 and isinstance(one, int if whole else float) for one in drawn)
    if whole:
        assert set(drawn) == set(range(1, 9))
    for one in drawn:
        assert found.of_point(found.point(one)) == pytest.approx(one, rel=1e-15)
    middle = sorted(drawn)[200]
    assert {"linear": 3.5 < middle < 5.5, "log": middle < 3.5, "reverse_log": middle > 5.5}[scale]


def test_reverse_log_is_the_mirror_image_of_log() -> None:
    log, mirrored = parameter("random", "a=1:9:log"), parameter("random", "a=1:9:reverse_log")
    one, two = random.Random(5), random.Random(5)
    for _ in range(20):
        assert log.draw(one) + mirrored.draw(two) == pytest.approx(10)


def test_a_grid_goes_through_every_combination_the_last_parameter_fastest() -> None:
    parameters = (parameter("grid", "a=1,2"), parameter("grid", "b=x,y,z"))
    assert search_space.grid_size(parameters) == 6
    points = [tuple(search_space.grid_point(parameters, n).values()) for n in range(1, 7)]
    assert points == [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]


def test_a_point_by_chance_depends_on_the_seed_and_its_number_alone() -> None:
    parameters = (parameter("random", "a=0:1"), parameter("random", "b=x,y"))
    found = [search_space.chance_point(parameters, 7, number) for number in range(1, 30)]
    assert found[11] == search_space.chance_point(parameters, 7, 12)
    assert len({one["a"] for one in found}) == 29
    assert found[0] != search_space.chance_point(parameters, 8, 1)


def asked(**given: Any) -> StartSearch:
    """A search that is all right but for what is given."""
    usual: dict[str, Any] = {
        "method": "random",
        "parameters": [SearchParameter("lr", low=0.1, high=1.0)],
        "run": StartRun("python train.py --lr :lr:"),
        "trials": 3,
        "metric": "loss",
        "goal": "min",
    }
    return StartSearch(**{**usual, **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "annealing"}, "there is no search"),
        ({"parameters": []}, "needs 1 to 100 parameters"),
        ({"run": StartRun("true", params={"lr": 1})}, "searched over and given a value"),
        ({"trials": None}, "how many"),
        ({"trials": 0}, "trials: 1 to"),
        ({"parallel": 0}, "parallel: 1 to"),
        ({"goal": ""}, "is less or more of 'loss' better"),
        ({"goal": "up"}, "min or max"),
        ({"aggregate": "median"}, "last, min, max, avg"),
        ({"seed": -1}, "seed: 0 to"),
        ({"method": "grid"}, "a grid needs values"),
        ({"method": "bayesian", "metric": ""}, "needs the metric"),
        ({"pruner": "chance"}, "there is no pruner"),
        ({"pruner": "hyperband"}, "needs max_steps"),
        (
            {"pruner": "hyperband", "pruner_options": {"max_steps": 2, "min_steps": 3}},
            "max_steps is below its min_steps",
        ),
        ({"pruner": "median", "pruner_options": {"startup": True}}, "whole number"),
        ({"pruner": "median", "metric": ""}, "a pruner needs a metric"),
        ({"sampler_options": {"startup": 1}}, "has no options"),
        ({"method": "bayesian", "sampler_options": {"gamma": 1}}, "no option 'gamma'"),
        ({"pod": "trader"}, "not over both"),
        ({"parameters": [SearchParameter("lr", low=2.0, high=1.0)]}, "above the largest"),
        ({"parameters": [SearchParameter("lr", low=0.0, high=1.0, scale="log")]}, "above 0"),
        ({"parameters": [SearchParameter("lr", low=0.0, high=math.inf)]}, "finite"),
        ({"parameters": [SearchParameter("lr", low=0.5, high=2, type="int")]}, "whole numbers"),
        ({"parameters": [SearchParameter("lr", values=[1, 1])]}, "twice"),
        ({"parameters": [SearchParameter("lr", values=[1], low=1)]}, "either values or a range"),
        ({"parameters": [SearchParameter("l r", values=[1])]}, "cannot be the name"),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_the_reason(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        search_plan.complete(asked(**given))


def test_more_is_better_of_what_is_called_so_and_a_seed_is_kept() -> None:
    plan = search_plan.complete(asked(goal="", metric="keras/val_acc"))
    assert plan.asked.goal == "max"
    assert plan.asked.seed is not None
    assert search_plan.stored(plan.as_stored()) == plan


def test_importance_tells_what_matters_and_which_way() -> None:
    chance = random.Random(0)
    strong = [chance.random() for _ in range(60)]
    idle = [chance.random() for _ in range(60)]
    kinds = [chance.randrange(3) for _ in range(60)]
    values = [-5 * a + (3 if kind == 2 else 0) for a, kind in zip(strong, kinds, strict=True)]
    found = importance_of(strong, values, ordered=True)
    assert found["share"] > 0.3
    assert found["direction"] < -0.5
    assert importance_of(idle, values, ordered=True)["share"] < 0.15
    by_kind = importance_of(kinds, values, ordered=False)
    assert by_kind["share"] > 0.3
    assert by_kind["direction"] is None
    assert importance_of([1, 1, 1], [1, 2, 3], ordered=True)["share"] == 0
    assert importance_of([1, 2, 3], [5, 5, 5], ordered=True)["share"] == 0
