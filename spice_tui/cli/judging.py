"""`pods explain` and `pods evaluate --compare`: why a policy does what it does, and whether another
is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from spice_tui.cli import evaluation, output, values
from spice_tui.cli.output import Json
from spice_tui.cli.pod_argument import PodArgument
from spice_tui.cli.session import session_of
from spice_tui.models.verdict import KINDS

TIMEOUT_SECONDS = 3600.0
"""Algorithms are trained; the engine gives up earlier, by its setting `training_seconds`."""
SHOWN = 12


def explain(
    ctx: typer.Context,
    pod: PodArgument,
    *,
    tag: Annotated[
        str,
        typer.Option(metavar="ALIAS", help="Policy: latest, best, or a version such as v3."),
    ] = "latest",
    rules: Annotated[
        int, typer.Option(metavar="COUNT", min=1, max=1000, help="Rules shown, at most.")
    ] = SHOWN,
    json: Json = False,
) -> None:
    """Explain a pod's whole policy: which action it takes when, and what it looks at."""
    request = {"pod": pod, "alias": tag, "rules": rules}
    with session_of(ctx).connect() as client:
        found = client.call("pods.explain", request, timeout=TIMEOUT_SECONDS)
    if json:
        output.as_json(found)
        return
    kind = KINDS.get(found["kind"], found["kind"])
    output.line(
        f"{output.paint(output.safe(pod), 'bold')}, policy v{found['policy_version']}: "
        f"{output.safe(found['algorithm'])}, {output.safe(kind)}; {found['steps']} steps"
    )
    _show_actions(found)
    _show_rules(found)
    _show_fields(found)
    _show_features(found)


def _show_actions(found: Mapping[str, Any]) -> None:
    names = list(found["actions"][0]["typical"]) if found["actions"] else []
    columns = ["ACTION", "TAKEN", "SHARE", "REWARD", *(f"MEAN {name}" for name in names)]
    rows = [
        [
            one["action"],
            one["taken"],
            evaluation.percent(one["taken"] / max(found["steps"], 1)),
            values.number(one["reward"]),
            *(values.number(one["typical"][name]) for name in names),
        ]
        for one in found["actions"]
    ]
    output.line()
    output.table(columns, rows, right=columns[1:])


def _show_rules(found: Mapping[str, Any]) -> None:
    total = found["rules_total"]
    shown = len(found["rules"])
    output.line()
    if found["rules_exact"]:
        head = "Rules" if shown == total else f"Rules, the {shown} of {total} that apply most"
    else:
        share = evaluation.percent(found["rules_agree"])
        head = f"About as these rules, which do the same on {share} of the steps"
    output.line(output.paint(head, "bold"))
    rows = [
        [
            one["action"],
            evaluation.percent(one["steps"] / max(found["steps"], 1)),
            values.number(one["reward"]),
            " and ".join(one["conditions"]) or "always",
        ]
        for one in found["rules"]
    ]
    output.table(["ACTION", "STEPS", "REWARD", "WHEN"], rows, right=["STEPS", "REWARD"])


def _show_fields(found: Mapping[str, Any]) -> None:
    if not found["fields"]:
        return
    own = found["lost_by"] == "values"
    columns = ["FIELD", "VALUE LOST A STEP" if own else "REWARD LOST A STEP", "CHOICES CHANGED"]
    rows = [
        [one["field"], values.number(one["lost"]), evaluation.percent(one["changed"])]
        for one in found["fields"][:SHOWN]
    ]
    output.line()
    output.line(output.paint("If a field told of another time", "bold"))
    output.table(columns, rows, right=columns[1:])


def _show_features(found: Mapping[str, Any]) -> None:
    weights: Mapping[str, Mapping[str, float]] = found["weights"]
    if weights:
        actions = [one["action"] for one in found["actions"]]
        rows = [
            [name, *(values.number(one.get(action)) for action in actions)]
            for name, one in list(weights.items())[:SHOWN]
        ]
        output.line()
        output.line(output.paint("Weights of the standardised features", "bold"))
        output.table(["FEATURE", *actions], rows, right=actions)
    elif found["features"]:
        rows = [
            [name, values.number(size)] for name, size in list(found["features"].items())[:SHOWN]
        ]
        output.line()
        output.table(["FEATURE", "MEAN CONTRIBUTION"], rows, right=["MEAN CONTRIBUTION"])


def compare(ctx: typer.Context, pod: str, policies: Sequence[str], *, json: bool) -> None:
    """Compare two or more policies of a pod by paired tests, and print what came out."""
    first, second, *others = policies
    request = {"pod": pod, "first": first, "second": second, "others": others}
    with session_of(ctx).connect() as client:
        found = client.call("pods.compare", request, timeout=TIMEOUT_SECONDS)
    if json:
        output.as_json(found)
        return
    output.line(
        f"{output.paint(output.safe(pod), 'bold')}, {found['steps']} steps from "
        f"{values.clock(found['start'])} to {values.clock(found['end'])}"
    )
    rows = [_side(one) for one in (found["first"], found["second"], *found["others"])]
    columns = ["POLICY", "ALGORITHM", "DATA", "SCORE", "REGRET CLOSED", "WITH 95 %"]
    output.line()
    output.table(columns, rows, right=columns[3:])
    if others:
        output.line()
        columns = ["POLICY", "AND", "GAINS A STEP", "WITH 95 %", "P", "BETTER"]
        output.table(columns, [_pair(one) for one in found["pairs"]], right=columns[2:5])
    output.line()
    output.line(output.paint(found["words"], "green" if found["better"] else "yellow"))


def _pair(one: Mapping[str, Any]) -> list[object]:
    low, high, p = one["low"], one["high"], one["p"]
    known = low is not None and high is not None
    return [
        one["first"],
        one["second"],
        values.number(one["difference"]),
        f"{values.number(low)} to {values.number(high)}" if known else "-",
        "-" if p is None else f"{p:.2g}",
        one["better"] or "-",
    ]


def _side(one: Mapping[str, Any]) -> list[object]:
    part: Mapping[str, Any] = one["evaluation"]
    return [
        one["name"],
        one["algorithm"],
        "not seen before" if one["unseen"] else "learned from",
        values.number(part["score"], 5),
        evaluation.percent(part["regret_closed"]),
        evaluation.interval(part, "regret_closed") or "-",
    ]
