"""`hyper export`: a search as a Python script that makes it again, to be changed by hand."""

from __future__ import annotations

import pprint
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import output
from spice_tui.cli.hyper_show import SearchArgument, number_of
from spice_tui.cli.light import option
from spice_tui.cli.session import expand, session_of

OWN = frozenset({"command", "kind", "made_by", "parent", "name", "source"})
"""Fields of a run that the script gives in its own way, or not at all."""

SCRIPT = '''"""Search {id} as a script: the same points again, for the seed is the same.

It asks the engine of this folder for trials, and has it run the command for each. Change what a
trial does as you like: `trial.params` are its values, and `trial.tell(value)` says what came out.
"""

from spice_runtime import search

PARAMETERS = {parameters}

COMMAND = {command}

RUN = {run}

PARALLEL = {parallel}


def work(trial):
    try:
        value = trial.run(COMMAND, metric={metric}, aggregate={aggregate}, **RUN)
    except search.SearchFailed as error:
        print(f"trial {{trial.number}} failed: {{error}}", flush=True)
    else:
        told = "pruned" if trial.should_prune() else value
        print(f"trial {{trial.number}}: {{told}} {{trial.params}}", flush=True)


if __name__ == "__main__":
    found = search.create(
        PARAMETERS,
{arguments}
        parallel=PARALLEL,
    )
    found.each(work, parallel=PARALLEL)
    print(f"best: {{found.best}}")
'''


def export(
    ctx: typer.Context,
    search: SearchArgument,
    dest: Annotated[
        str, typer.Option("--dest", "-d", metavar="FILE", help="Write it there; default: print it.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the file.")] = False,
) -> None:
    """Write a search over a command as a Python script of `spice_runtime.search`."""
    number = option(search, number_of, "SEARCH")
    with session_of(ctx).connect() as client:
        found = client.call("searches.get", {"id": number})
        first = client.call("searches.trials", {"id": number, "count": 1})["trials"]
    text = script_of(found, first[0]["run"] if first else None)
    if not dest:
        output.write(text)
        return
    path = expand(dest)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise typer.BadParameter(
            f"{dest} exists already; -f overwrites it.", param_hint="--dest"
        ) from None
    except OSError as error:
        raise typer.BadParameter(f"{dest}: {error.strerror}.", param_hint="--dest") from None
    output.line(f"{output.safe(dest)} makes search {number} again: python {output.safe(dest)}")


def script_of(search: Mapping[str, Any], first: int | None) -> str:
    """The script of a search; `first` is the run of its first trial.

    Raises:
        InvalidRequest: its trials are not runs of a command.
    """
    run = search["run"]
    if run is None:
        what = "over a pod, which trains in the engine" if search["pod"] else "a script already"
        raise InvalidRequest(f"search {search['id']} is {what}.")
    given = {name: value for name, value in run.items() if name not in OWN and _matters(value)}
    if run["source"] and first is not None:
        given["code_of"] = first  # the commit of another repository, which only its runs have
    arguments = {
        name: search[name]
        for name in (
            "method",
            "name",
            "trials",
            "goal",
            "metric",
            "seed",
            "pruner",
            "pruner_options",
            "sampler_options",
            "description",
        )
        if (name == "seed" or _matters(search[name]))
        and not (name == "trials" and search["method"] == "grid")
    }
    return SCRIPT.format(
        id=search["id"],
        parameters=_shown({one["name"]: _spec(one) for one in search["parameters"]}),
        command=_shown(run["command"]),
        run=_shown(given),
        arguments="\n".join(f"        {name}={value!r}," for name, value in arguments.items()),
        parallel=search["parallel"],
        metric=repr(search["metric"]),
        aggregate=repr(search["aggregate"]),
    )


def _matters(value: Any) -> bool:
    return value not in (None, "", 0, False, [], {})


def _spec(one: Mapping[str, Any]) -> Any:
    if one["values"] is not None:
        return one["values"]
    return {name: one[name] for name in ("low", "high", "scale", "type")}


def _shown(value: Any) -> str:
    return pprint.pformat(value, width=96, sort_dicts=False)
