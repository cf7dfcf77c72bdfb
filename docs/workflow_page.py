"""The page on workflows: an example, the keys of a file, conditions, and the client for scripts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from spice_engine.runs.workflows import model

SCHEMA_FILE = "workflow.schema.json"

INTRODUCTION = """\
# Workflows

<!-- Made by docs/generate.py from spice_engine/runs/workflows/model.py. -->

A workflow is runs that belong together: declared as steps in a YAML file, or made by a script.
Both are stopped and put away as one (`spice-tui workflow stop N`, `rm N`), shown as a graph
(`workflow describe N`, and on the screen `F` in the view of runs), and outlive the engine: one that
was killed goes on where it was, and no step that succeeded is carried out again.

## Steps in a file

`workflows/NAME.yaml` is carried out by `spice-tui workflow run NAME`; `workflow check NAME` reads
it and carries out nothing. Editors with a YAML language server check it by
`docs/workflow.schema.json`.

```yaml
"""

EXAMPLE = """\
name: compare
params: {epochs: 3}
defaults:
  environment: {pip: [numpy]}
steps:
  prepare:
    command: python prepare.py
    code: [prepare.py]
  train:
    command: "python train.py --lr :lr: --epochs :epochs:"
    foreach: {lr: [0.1, 0.01, 0.001]}
    mounts: [steps.prepare:/data]
    retries: 1
  test:
    command: python test.py
    foreach: train
    mounts: [steps.train:/model, steps.prepare:/data]
  report:
    command: python report.py
    mounts: ["steps.train@best:accuracy:/best"]
    when: max(test.accuracy) > 0.9
  tell:
    command: ./tell.sh
    when: train.outcome == failed
"""

AFTER = """\
```

- **A step is a run**: it has a number, a log, metrics and outputs, and is in `ps`. It begins when
  the steps are over whose outputs it mounts, that it needs, or that its condition asks about.
- **`foreach`** makes a step for each item of a list (`:item:`, or the names of a map), for each
  combination of a grid, or for each instance of another step. A step that is made for each instance
  of another deals with its own counterpart; any other deals with all instances: they are mounted
  below the path by their index (`/models/0`, `/models/1`), and it waits for all of them.
- **`steps.train@best:accuracy`** is the instance whose last `accuracy` is largest, of a loss or an
  error least (`:min` and `:max` after the name say which), `steps.train[2]` that one. A path goes
  on after it: `steps.train@best:keras/val_loss/model.pt:/model`.
- **`when`**: `STEP.METRIC` is the last value that a step sent, `STEP.outcome` is success, failed or
  skipped. `&&` and `||` join, `&&` first; over several instances say `min(…)` or `max(…)`. A
  step whose condition asks how another ended is carried out also when that failed.
- **A step that fails** leaves out those that need it, and says so; the others go on. The workflow
  is then `failed`.
- **The cache**: a step is taken from an earlier run (`cached`) if one succeeded with the same
  command, params, variables, environment, content of mounts, and files of the app folder. `code`
  names the files that a step sees: then a change to others does not count. Files of workflows are
  never seen. `cache: false` and `workflow run --fresh` carry a step out in any case.
- **`workflow resume N`** goes on with a workflow that is over: what succeeded stays, all else is
  carried out, with the folder and the file as they are now.
- Only the params that a step uses are its own: another value of one it does not use does not keep
  it from the cache. `--param NAME=VALUE` replaces those of the file. A command with `:NAME:` before
  a blank stands in quotes.

"""

SCRIPTS = """\
## Scripts

`spice-tui workflow create "python flow.py"` (or Spell's `workflow python flow.py`) runs a script
as a run of kind `workflow`; `--local` runs it in the terminal. What the script starts joins the
workflow and runs on the folder as it was when the workflow began; a search or workflow that it
begins is a part of its own, and is stopped with it. `--repo LABEL=PATH[:COMMIT]` and `--github-repo
LABEL=URL[:REF]` give it more code, which `commit_label` picks. A local script is ended when its
workflow is stopped, and its workflow has failed when its terminal is gone for half a minute.

```python
from spice_runtime import client

spice = client.from_environment()
train = spice.runs.new(command="python train.py --lr :lr:", params={"lr": 0.1})
train.wait_status(*spice.runs.FINAL)
if train.user_exit_code == 0:
    spice.runs.new(command="python test.py", attached_resources={f"runs/{train.id}": "model"})
```

The same works in a notebook of a workspace, in a script that is started in a folder whose engine
runs, and under Spell's names: `import spell.client`, `spell.api.models`, `spell.api.exceptions`. A
shell script uses `spice-tui run` and `spice-tui workflow`.

- `runs`: `new`, `get`, `list`. A run has `refresh`, `stop`, `kill`, `wait_status`, `wait_metric`,
  `metrics`, `logs`, `cp`, `add_label`, `remove_label`.
- `hyper`: `new_grid_search`, `new_random_search`, `new_bayesian_search`, `get`, `list`, `archive`.
  A search has `runs`, `refresh`, `stop`, `kill`, `metrics`, `metric_names`. Of a metric called
  loss, error or time, or the like, a Bayesian search wants the least; `goal` says otherwise.
- `models`: `new`, `get`, `list`, `rm`. A version has `download`.
- `servers`: `serve`, `get`, `list`, `rm`. A server has `predict`, `healthcheck`, `update`, `start`,
  `stop`, `wait_status`, `logs`, `list_metrics`, `metrics`.
- `resources`: `ls`, `cp`.
- `workflows`: `run`, `new`, `get`, `list`. A workflow has `runs`, `managing_run`, `refresh`,
  `stop`, `kill`, `resume`, `wait`.

`runs.new` takes Spell's arguments (`machine_type pip_packages requirements_file apt_packages
conda_file envvars docker_image attached_resources labels cwd params timeout idempotent
stop_conditions github_url github_ref …`) and ours (`retries after priority name cpu memory`).
What had a meaning in Spell's cloud alone is taken and does nothing (`framework`, `provider`,
`node_group` of a run); any other argument that is unknown is refused by its name. There are no
numbers (`id`) of servers, and `workspace` of a run is None.

**When the engine is away** requests wait for it: in runs and workflows up to ten minutes, elsewhere
up to one. One that died between a request and its answer is asked again, and makes nothing a second
time: each request that makes something has a key, which is stored with it (`request_key` at the
doors). So a script goes on over `kill -9` of the engine and a start of the next, and each of its
runs is made once. `spice-tui run`, `clone`, `hyper` and `workflow` do the same, and start the
engine where nobody else does.

## Runs made by hand

What runs mounted of each other is a graph without any workflow, references such as `@latest`
included: `:lineage N` on the screen draws all that run N came from and all that came of it, `x`
that of the newest runs; `GET /api/v1/lineage?run=N` tells it. `came_from` of a run are the runs it
mounted.
"""


def page() -> str:
    """The page `workflows.md`."""
    lines = [INTRODUCTION + EXAMPLE + AFTER]
    for kind, title in (
        (model.WorkflowSpec, "Keys of the file"),
        (model.StepSpec, "Keys of a step"),
        (model.DefaultsSpec, "Keys of `defaults`"),
        (model.EnvironmentSpec, "Keys of `environment`"),
    ):
        lines += [f"### {title}", "", "| Key | Meaning |", "|---|---|", *_rows(kind), ""]
    return "\n".join(lines) + SCRIPTS


def _rows(kind: Any) -> Iterator[str]:
    for item in dataclasses.fields(kind):
        meaning = item.metadata["meaning"].replace("|", "\\|")
        yield f"| `{item.name}` | {meaning} |"


def schema() -> str:
    """The JSON Schema of a file."""
    return json.dumps(model.schema(), indent=2) + "\n"
