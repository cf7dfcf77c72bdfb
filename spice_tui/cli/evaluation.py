"""An evaluation as people read it: the score between its reference lines, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spice_tui.cli import output, values
from spice_tui.models.verdict import beside_serving, looked_at

PARTS = (("in sample", "in_sample"), ("held out", "held_out"))
ALL_PARTS = (*PARTS, ("all (refit)", "refit"))
FIGURES = (
    ("SCORE", "score"),
    ("RANDOM", "random"),
    ("BEST CONSTANT", "best_constant"),
    ("ORACLE", "oracle"),
    ("REGRET CLOSED", "regret_closed"),
)
PROBLEM_CLASSES = {
    "contextual": "contextual (no action changes the data)",
    "simulated": "simulated (actions change local state)",
    "gym": "gym (acts in an environment; scores are returns of an episode)",
}


def percent(value: Any) -> str:
    """A share in percent, `-` where there is none."""
    return f"{value:.1%}" if isinstance(value, int | float) else "-"


def problem_class(evaluation: Mapping[str, Any] | None) -> str:
    """What kind of problem the pod poses, with what that means; nothing before it is known."""
    name = str((evaluation or {}).get("problem_class") or "")
    return PROBLEM_CLASSES.get(name, name)


def regret_closed(evaluation: Mapping[str, Any] | None) -> Any:
    """The figure pods are judged by: the held-out one, None where nothing was held out.

    The in-sample figure never stands in for it: it looks the same and says much less.
    """
    return _part(evaluation or {}, "held_out").get("regret_closed")


def _part(evaluation: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = evaluation.get(name)
    return part if isinstance(part, Mapping) else {}


def _figure(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    if isinstance(value, Mapping):  # a reference line may name the action it takes
        value = value.get("score")
    return percent(value) if name == "regret_closed" else values.number(value, 5)


def verdict(evaluation: Mapping[str, Any]) -> str:
    """What the figures mean, in one sentence; nothing when the pod simply learned."""
    if evaluation.get("nothing_to_learn"):
        return "Nothing to learn: the best constant action, random and the oracle score alike."
    if evaluation.get("constant_policy"):
        return "It has learned one constant action: it takes the same one on every step."
    if evaluation.get("overfitted"):
        inside, outside = (_part(evaluation, key).get("regret_closed") for _, key in PARTS)
        return (
            f"Overfitted: it closes {percent(inside)} of the regret in sample but "
            f"{percent(outside)} held out, which is more than chance explains."
        )
    if evaluation.get("beats_best_constant") is False:
        return "It does not beat the best constant action on held-out data."
    return ""


def show(evaluation: Mapping[str, Any], parts: Sequence[tuple[str, str]] = PARTS) -> None:
    """Print the figures of the parts, then the verdict."""
    rows = [
        [title, *(_figure(_part(evaluation, key), name) for _, name in FIGURES)]
        for title, key in parts
        if _part(evaluation, key)
    ]
    if rows:
        columns = ["EVALUATION", *(title for title, _ in FIGURES)]
        output.table(columns, rows, right=columns[1:])
    text = verdict(evaluation)
    if text:
        output.line(output.paint(text, "yellow"))


def show_whole(evaluation: Mapping[str, Any]) -> None:
    """Print everything that an evaluation holds."""
    if not evaluation:
        output.line("Nothing is known of how it was evaluated.")
        return
    output.pairs(
        [
            ("Problem", problem_class(evaluation)),
            ("Algorithm", _algorithm(evaluation)),
            ("Held out", _held_out(evaluation)),
            ("Best constant", _constant(evaluation)),
            *_simulated(evaluation),
            *_gym(evaluation),
            looked_at(evaluation),
            beside_serving(evaluation),
        ]
    )
    output.line()
    show(evaluation, ALL_PARTS)
    _show_intervals(evaluation)
    _show_actions(evaluation)
    _show_confidence(evaluation)
    _show_candidates(evaluation)


def _algorithm(evaluation: Mapping[str, Any]) -> str:
    name, candidate = evaluation.get("algorithm") or "", evaluation.get("candidate") or ""
    return f"{name} ({candidate})" if candidate and candidate != name else str(name)


def _held_out(evaluation: Mapping[str, Any]) -> str:
    since = evaluation.get("held_out_from")
    episodes = _part(evaluation, "held_out").get("episodes")
    if episodes is not None:
        return f"{episodes} fresh episodes"
    if since is None:
        return "nothing"
    steps = _part(evaluation, "held_out").get("steps")
    return f"from {values.clock(since)} on ({steps} steps)"


def _constant(evaluation: Mapping[str, Any]) -> str:
    return str(_part(evaluation, "in_sample").get("best_constant_action") or "")


def _simulated(evaluation: Mapping[str, Any]) -> list[tuple[str, object]]:
    """What only simulated pods have, of held-out data where there are some."""
    part = _part(evaluation, "held_out") or _part(evaluation, "in_sample")
    local = part.get("final_local")
    if not isinstance(local, Mapping):
        return []
    ends = ", ".join(f"{name} {values.number(value, 6)}" for name, value in local.items())
    exact = part.get("oracle_exact")
    return [
        ("Local state", f"{ends} at the end" if ends else ""),
        ("Unlawful steps", part.get("unlawful_steps")),
        ("Oracle", "" if exact else "not exact: the best that a search found"),
    ]


def _gym(evaluation: Mapping[str, Any]) -> list[tuple[str, object]]:
    """What only pods have that act in an environment."""
    name = evaluation.get("environment")
    if not name:
        return []
    stated = _part(evaluation, "in_sample").get("oracle") is not None
    oracle = "the return from which on the environment counts as solved" if stated else "unknown"
    return [("Environment", name), ("Oracle", oracle)]


def interval(part: Mapping[str, Any], name: str) -> str:
    """Where a figure lies at 95 %, empty where that is not known."""
    found = _part(part, "intervals").get(name)
    if not isinstance(found, list | tuple) or len(found) != 2:
        return ""
    show_one = percent if name == "regret_closed" else lambda value: values.number(value, 5)
    return f"{show_one(found[0])} to {show_one(found[1])}"


def _show_intervals(evaluation: Mapping[str, Any]) -> None:
    """Where score, gain and regret closed lie, by blocks of steps drawn anew."""
    rows = [
        [title, *(interval(part, name) or "-" for name in ("score", "gain", "regret_closed"))]
        for title, key in ALL_PARTS
        if (part := _part(evaluation, key)) and _part(part, "intervals")
    ]
    if rows:
        columns = ["WITH 95 %", "SCORE", "OVER BEST CONSTANT", "REGRET CLOSED"]
        output.line()
        output.table(columns, rows, right=columns[1:])


def _show_actions(evaluation: Mapping[str, Any]) -> None:
    """How often each action was taken, and what it paid on average."""
    shown = [(title, _part(evaluation, key)) for title, key in PARTS if _part(evaluation, key)]
    names = list(shown[0][1].get("actions_taken") or ()) if shown else []
    if not names:
        return
    columns = ["ACTION"]
    for title, _ in shown:
        columns += [f"TAKEN {title.upper()}", f"REWARD {title.upper()}"]
    rows: list[list[str]] = []
    for name in names:
        row = [str(name)]
        for _, part in shown:
            row.append(str(_part(part, "actions_taken").get(name, 0)))
            row.append(values.number(_part(part, "reward_per_action").get(name)))
        rows.append(row)
    output.line()
    output.table(columns, rows, right=columns[1:])


def _show_confidence(evaluation: Mapping[str, Any]) -> None:
    trust = _part(evaluation, "reliability")
    if trust:
        output.line()
        output.line(
            f"Confidence: {percent(trust.get('confidence'))} on average on held-out data, where "
            f"{percent(trust.get('right'))} of the choices were right; "
            f"off by {percent(trust.get('error'))}{_chance(trust)}."
        )
        bins = trust.get("bins")
        if isinstance(bins, list) and bins:
            columns = ["STEPS", "CONFIDENCE", "RIGHT"]
            rows = [
                [one["steps"], percent(one["confidence"]), percent(one["right"])] for one in bins
            ]
            output.table(columns, rows, right=columns)


def _chance(trust: Mapping[str, Any]) -> str:
    """What chance alone would make of the calibration error."""
    chance = trust.get("chance")
    return f" (chance alone: {percent(chance)})" if isinstance(chance, float) and chance else ""


def _show_candidates(evaluation: Mapping[str, Any]) -> None:
    candidates = evaluation.get("candidates")
    if not isinstance(candidates, list) or not candidates:
        return
    folds = evaluation.get("folds")
    score = f"SCORE ON {folds} FOLDS" if folds else "SCORE ON FOLDS"
    if evaluation.get("environment"):
        score = "RETURN"
    output.line()
    output.table(
        ["CANDIDATE", score, "CHOSEN"],
        [
            [one["name"], values.number(one["folds_score"], 5), "*" if one["chosen"] else ""]
            for one in candidates
        ],
        right=[score],
    )
