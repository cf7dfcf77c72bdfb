"""`recommend`: what a trained pod says to do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_tui.cli import output, values
from spice_tui.cli.light import option
from spice_tui.cli.loading import await_pod
from spice_tui.cli.output import Json
from spice_tui.cli.pod_argument import PodArgument
from spice_tui.cli.session import session_of

EQUAL = 1e-9
"""Values this close, relative to the largest, are equal to the engine."""


def recommend(
    ctx: typer.Context,
    pod: PodArgument,
    *,
    time: Annotated[
        str,
        typer.Option(metavar="TIME", help="At this time (Unix seconds or a date); default: now."),
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Also each action's value, and what mattered.")
    ] = False,
    tag: Annotated[
        str, typer.Option(metavar="ALIAS", help="Policy: latest, or a version such as v3.")
    ] = "latest",
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=NUMBER", help="What if this field had this value; repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Ask a trained pod what to do."""
    request = {
        "pod": pod,
        "time": option(time, values.moment, "--time") if time else None,
        "alias": tag,
        "explain": explain,
        "state": dict(_supposed(text) for text in state) if state else None,
    }
    with session_of(ctx).connect() as client:
        await_pod(client, pod)
        answer = client.call("pods.recommend", request)
    if json:
        output.as_json(answer)
        return
    done = answer["action"]
    if answer.get("action_value") is not None:
        done = f"{done} {answer['action_value']:g} {output.safe(answer['unit'])}".rstrip()
    output.line(f"{output.paint(done, 'bold')}  (confidence {answer['confidence']:.3f})")
    output.line(
        f"Data of {values.clock(answer['start'])} to {values.clock(answer['end'])}, "
        f"policy v{answer['policy_version']} ({output.safe(answer['tag'])})."
    )
    if explain:
        _table("ACTION", "VALUE", answer.get("values"))
        _tell_unlawful(answer)
        _table("FEATURE", "CONTRIBUTION", answer.get("features"))
        if answer.get("rule"):
            output.line()
            output.line(output.paint("Because", "bold"))
            for condition in answer["rule"]:
                output.line(f"  {output.safe(condition)}")


def _tell_unlawful(answer: dict[str, Any]) -> None:
    """Only laws keep the policy from the action of the highest value."""
    given: dict[str, float] = answer.get("values") or {}
    chosen = given.get(answer["action"])
    if chosen is None:
        return
    slack = EQUAL * max(abs(value) for value in given.values())
    better = [name for name, value in given.items() if value > chosen + slack]
    if better:
        output.line(output.safe(f"Against the laws in this state: {', '.join(better)}."))


def _supposed(text: str) -> tuple[str, float]:
    """`field=number`."""
    field, equals, number = text.partition("=")
    try:
        if not equals or not field.strip():
            raise ValueError(text)
        return field.strip(), float(number)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not FIELD=NUMBER.", param_hint="--state") from None


def _table(name: str, figure: str, items: dict[str, Any] | None) -> None:
    """Items by size, largest effect first."""
    if items:
        output.line()
        ordered = sorted(items.items(), key=lambda item: -abs(item[1]))
        if name == "ACTION":
            ordered.sort(key=lambda item: -item[1])
        output.table(
            [name, figure], [[key, values.number(value)] for key, value in ordered], right=[figure]
        )
