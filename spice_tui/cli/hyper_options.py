"""The options of the commands that start a search, and what they ask the engine for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidSettings
from spice_tui.cli import completion, hyper_params, run_options
from spice_tui.cli.dependency_options import DEPENDENCIES
from spice_tui.cli.git_options import GIT, commit_of
from spice_tui.cli.life_options import LIFE, life_of, warn_unused
from spice_tui.cli.light import option
from spice_tui.cli.metric_options import METRICS, metrics_of
from spice_tui.cli.run_options import asked_of, chosen_of, working_directory
from spice_tui.cli.session import Session
from spice_tui.client import Client

Text = str | None
Texts = list[str] | None
Flag = bool | None

SEARCH: dict[str, Any] = {
    "search_param": Annotated[
        Texts,
        typer.Option(
            "--param",
            metavar="NAME=…",
            help="What to search over: NAME=V,V,… or, but for a grid, "
            "NAME=MIN:MAX[:linear|log|reverse_log[:int|float]]; :NAME: in the command becomes "
            "the value; repeat.",
        ),
    ],
    "json_param": Annotated[
        Texts,
        typer.Option(
            "--json-param", metavar="NAME=[V,…]", help="The same with a JSON list; repeat."
        ),
    ],
    "pod": Annotated[
        Text,
        typer.Option(
            "--pod",
            metavar="POD",
            help="Search over training.hyperparameters of a pod, in place of a command.",
            autocompletion=completion.pods,
        ),
    ],
    "score": Annotated[
        Text,
        typer.Option(
            metavar="PART",
            help="Of a pod: judge by the score on the `holdout` part, or on the `training` part. "
            "Default: holdout.",
        ),
    ],
    "num_runs": Annotated[
        Text,
        typer.Option("--num-runs", "-n", metavar="N", help="Trials; a grid has all its points."),
    ],
    "parallel_runs": Annotated[
        Text,
        typer.Option(
            "--parallel-runs",
            "-r",
            metavar="N",
            help="Trials at once. Default: 1 for bayesian and pods, otherwise as many as cores.",
        ),
    ],
    "metric": Annotated[
        Text,
        typer.Option(metavar="NAME", help="The metric whose points make the value of a trial."),
    ],
    "metric_agg": Annotated[
        Text,
        typer.Option(
            "--metric-agg",
            "-a",
            metavar="HOW",
            help="How they do: last, min, max or avg. Default: last.",
        ),
    ],
    "goal": Annotated[
        Text,
        typer.Option(
            metavar="min|max",
            help="Whether less or more is better. Default: max for acc…, reward… and score…",
        ),
    ],
    "seed": Annotated[Text, typer.Option(metavar="N", help="The same seed gives the same points.")],
    "pruner": Annotated[
        Text,
        typer.Option(
            metavar="NAME",
            help="Stop trials that get on badly: median, halving or hyperband.",
        ),
    ],
    "pruner_option": Annotated[
        Texts,
        typer.Option(
            "--pruner-option",
            metavar="NAME=VALUE",
            help="median: startup, warmup, interval; halving: min_steps, reduction, rate; "
            "hyperband: max_steps, min_steps, reduction; repeat.",
        ),
    ],
    "sampler_option": Annotated[
        Texts,
        typer.Option(
            "--sampler-option",
            metavar="NAME=VALUE",
            help="Of bayesian's TPE: startup, candidates, multivariate, constant_liar; repeat.",
        ),
    ],
    "name": Annotated[Text, typer.Option(metavar="NAME", help="What its runs are named by.")],
}

RUN: dict[str, Any] = {
    **{name: kind for name, kind in run_options.RUN.items() if name != "name"},
    **METRICS,
    **{name: kind for name, kind in LIFE.items() if name != "param"},
    **GIT,
    **DEPENDENCIES,
}


def request_of(
    session: Session,
    client: Client,
    method: str,
    command: Sequence[str],
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """A search as the engine is asked for it.

    Raises:
        InvalidSettings: an option cannot be used.
        SpiceError: what an option names is not there.
    """
    pod = given.get("pod", "")
    if bool(command) == bool(pod):
        raise InvalidSettings(
            "a search needs a command, or --pod POD, and not both.",
            hint='spice-tui hyper grid --param lr=0.1,0.01 "python train.py --lr :lr:"',
        )
    request: dict[str, Any] = {
        "method": method,
        "parameters": hyper_params.parameters(
            method, given.get("search_param", ()), given.get("json_param", ())
        ),
        "pod": pod,
        "name": given.get("name", ""),
        "description": given.get("description", ""),
        "metric": given.get("metric", ""),
        "goal": given.get("goal", "").lower(),
        "aggregate": given.get("metric_agg", "last").lower(),
        "pruner": given.get("pruner", ""),
        "pruner_options": hyper_params.options(given.get("pruner_option", ()), "--pruner-option"),
        "sampler_options": hyper_params.options(
            given.get("sampler_option", ()), "--sampler-option"
        ),
    }
    if "score" in given:
        request["score"] = given["score"]
    for field, name in (("trials", "num_runs"), ("parallel", "parallel_runs"), ("seed", "seed")):
        if name in given:
            flag = f"--{name.replace('_', '-')}"
            request[field] = option(given[name], whole, flag)
    if pod:
        _refuse_run_options(given)
    else:
        request["run"] = _run_of(session, client, command, given)
        warn_unused({one["name"]: None for one in request["parameters"]}, command)
    return request


def whole(text: str) -> int:
    """A whole number from 0 on.

    Raises:
        ValueError: it is none.
    """
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ValueError(f"{text!r} is not a whole number.")
    return int(text)


def _refuse_run_options(given: Mapping[str, Any]) -> None:
    for name in RUN:
        if name in given and name != "description":
            raise InvalidSettings(
                f"--{name.replace('_', '-')} is for runs of a command: a pod trains in the engine."
            )


def _run_of(
    session: Session, client: Client, command: Sequence[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    cwd = given.get("cwd", "")
    commit = commit_of(session, given, cwd)
    return {
        "command": command[0] if len(command) == 1 else list(command),
        "cwd": commit["cwd"] if "cwd" in commit else working_directory(session, cwd),
        **{name: commit[name] for name in ("git", "git_ref") if name in commit},
        **asked_of({name: what for name, what in given.items() if name != "name"}),
        **metrics_of(given),
        **life_of(client, {name: what for name, what in given.items() if name != "param"}),
        **chosen_of(client, given),
    }
