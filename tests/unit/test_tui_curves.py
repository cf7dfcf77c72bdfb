"""From trainings and previews to the reward graph."""

from __future__ import annotations

from typing import Any

from spice_engine.protocol.authoring import PreviewInfo
from spice_engine.protocol.pods import Episode, TrainingInfo
from spice_tui.models.curves import CurveOptions, Curves, members_of

LINES = {"random": 10.0, "best_constant": 30.0, "oracle": 80.0, "regret_closed": 0.5}


def episode(number: int, score: float, **detail: Any) -> Episode:
    """One of 100 steps."""
    return Episode(number, 0.0, 1.0, score, {"buy": 60, "sell": 40}, detail={**LINES, **detail})


def training(
    number: int,
    scores: list[float],
    evaluation: dict[str, Any] | None = None,
    ended: float | None = 2.0,
    error: str = "",
) -> TrainingInfo:
    """One training whose episodes have these scores."""
    episodes = [episode(i, score) for i, score in enumerate(scores, 1)]
    return TrainingInfo(
        "pod", number, "linear", "done", 0.0, ended, error, "", 1, evaluation, episodes, 40
    )


def levels(chart: Any) -> dict[str, float]:
    """Reference lines by title."""
    return {line.title: line.y for line in chart.references}


def test_the_current_training_stands_between_its_lines_per_step() -> None:
    chart = Curves().chart([training(1, [20.0, 50.0])])
    assert list(chart.series[0].ys) == [0.2, 0.5]
    assert levels(chart) == {"random": 0.1, "best constant": 0.3, "oracle": 0.8}
    assert chart.title == "Reward per step"


def test_held_out_lines_are_per_step_of_their_own_part() -> None:
    part = {"steps": 10, "score": 4.0, "random": 1.0, "best_constant": 3.0, "oracle": 9.0}
    one = training(1, [20.0], {"held_out": part})
    chart = Curves().chart([one])
    assert levels(chart)["oracle, held out"] == 0.9
    assert levels(chart)["held out"] == 0.4
    assert "held out" not in levels(Curves().chart([one], options=CurveOptions(held_out=False)))
    # Sums of parts of different length would mislead.
    assert "held out" not in levels(Curves().chart([one], options=CurveOptions("sum")))


def test_sums_and_regret() -> None:
    one = training(1, [20.0, 50.0], {"held_out": {"steps": 10, "regret_closed": 0.25}})
    assert levels(Curves().chart([one], options=CurveOptions("sum")))["oracle"] == 80.0
    chart = Curves().chart([one], options=CurveOptions("regret"))
    assert list(chart.series[0].ys) == [0.5, 0.5]
    assert levels(chart) == {"best constant": 0.0, "oracle": 1.0, "held out": 0.25}


def test_earlier_trainings_stand_back_and_the_preview_is_dashed() -> None:
    preview = PreviewInfo("pod", 7, "training", episodes=[episode(1, 60.0)])
    trainings = [training(number, [10.0 * number]) for number in (1, 2, 3)]
    chart = Curves().chart(trainings, preview, CurveOptions(compare=1))
    titles = [(one.title, one.dim, one.dashed) for one in chart.series]
    assert titles == [
        ("training 2", True, False),
        ("training 3", False, False),
        ("preview", False, True),
    ]
    assert len({one.marker for one in chart.series}) == 3


def test_a_training_that_goes_on_grows_its_series_in_place() -> None:
    curves = Curves()
    first = curves.chart([training(1, [20.0], ended=None)])
    second = curves.chart([training(1, [20.0, 30.0], ended=None)])
    assert second.series[0] is first.series[0]
    assert list(second.series[0].ys) == [0.2, 0.3]
    assert second.x_until == 40.0
    assert second.axis() == (1.0, 40.0)
    # Another training of that number, as of a folder that was made anew, is not the same curve.
    third = curves.chart([training(1, [90.0, 91.0, 92.0])])
    assert list(third.series[0].ys) == [0.9, 0.91, 0.92]
    assert third.axis() == (1.0, 3.0)


def test_an_earlier_training_was_the_current_one_before() -> None:
    curves = Curves()
    curves.chart([training(1, [20.0])])
    chart = curves.chart(
        [training(1, [20.0]), training(2, [30.0])], options=CurveOptions(compare=3)
    )
    assert [(one.key, one.dim) for one in chart.series] == [
        ("training/1", True),
        ("training/2", False),
    ]


def test_members_are_named_by_the_episodes_detail() -> None:
    episodes = [
        episode(1, 1.0, algorithm="constant"),
        episode(2, 2.0, algorithm="linear"),
        episode(3, 3.0, algorithm="linear"),
    ]
    assert {name: len(found) for name, found in members_of(episodes).items()} == {
        "constant": 1,
        "linear": 2,
    }
    assert not members_of(episodes[1:])


def test_candidates_are_members_by_their_family() -> None:
    episodes = [episode(i, 1.0, candidate=name) for i, name in enumerate(["constant 1", "tree 1"])]
    assert list(members_of(episodes)) == ["constant", "tree"]


def test_an_evaluation_knows_the_lines_better_than_episodes() -> None:
    figures = {"steps": 50, "random": 5.0, "best_constant": 20.0, "oracle": 45.0}
    assert levels(Curves().chart([training(1, [20.0], {"in_sample": figures})])) == {
        "random": 0.1,
        "best constant": 0.4,
        "oracle": 0.9,
    }


def test_a_failed_episode_is_a_gap() -> None:
    failed = Episode(2, 0.0, 1.0, 0.0, error="reward failed")
    one = training(1, [20.0])
    one.episodes.append(failed)
    assert Curves().chart([one]).series[0].at(2.0) == (1.0, 0.2)


def test_what_is_said_when_there_is_nothing() -> None:
    assert Curves().chart([]).empty == "Not trained yet."
    assert Curves().chart([training(1, [])]).empty == "No episode yet."
    assert "failed" in Curves().chart([training(3, [], error="bad_data")]).empty


def test_returns_of_episodes_are_not_divided_by_their_steps() -> None:
    part = {"steps": 900, "episodes": 3, "score": 300.0, "random": 20.0, "best_constant": 9.0}
    one = training(1, [20.0], {"in_sample": part, "held_out": part})
    one.episodes.append(episode(2, 300.0, episodes=3))
    chart = Curves().chart([one])
    assert list(chart.series[0].ys)[-1] == 300.0
    assert levels(chart)["random"] == 20.0
    assert levels(chart)["held out"] == 300.0
    assert chart.title == "Return of an episode"
