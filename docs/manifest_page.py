"""The page on manifests: an example, a table of keys for each part, and what the words mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spice_engine.learning.catalog import ALGORITHMS
from spice_engine.pods.schema import TABLE
from spice_engine.pods.schema_keys import Key
from spice_engine.pods.schema_params import CONNECTOR_PARAMS, PROCESSOR_PARAMS, SUMMARIES

INTRODUCTION = """\
# Manifests

<!-- Made by docs/generate.py from the table of keys (spice_engine/pods/schema_keys.py). -->

A pod is one YAML file in `spicepods/`. `spice-tui init NAME` writes one to fill in, `dataspace
add`, `action add` and `rewards add` add to it and leave the rest as it is, and `spice-tui lint`
lists every problem of every manifest at once, with its place. Editors with a YAML language server
complete and check it: the first line that `init` writes names the JSON Schema (also in
`docs/spicepod.schema.json`).
"""

EXAMPLE = """\
# yaml-language-server: $schema=../.spice/spicepod.schema.json
name: trader

params:
  epoch_time: 1605312000
  period: 720h
  interval: 6h
  granularity: 30m
  episodes: 20

time:
  categories: [hour, dayofweek]

dataspaces:
  - from: market
    name: prices
    data:
      connector:
        name: file
        params:
          path: data/prices.csv
      processor:
        name: csv
        params:
          time_selector: timestamp
          time_format: rfc3339
    identifiers:
      - name: exchange
    measurements:
      - name: close
      - name: volume
        selector: traded volume
        fill: none
    categories:
      - name: session
        values: [asia, europe, america]

  # Pushed over HTTP: it has data, but no connector.
  - from: news
    name: headlines
    data:
      processor:
        name: json
    measurements:
      - name: sentiment
    tags:
      selectors: [topics]
      values: [rates, hack]

  # Local state: actions change it, laws keep it possible.
  - from: local
    name: portfolio
    measurements:
      - name: cash
        initializer: 10000
      - name: coins
        initializer: 2
    actions:
      buy: |
        cash -= args.price
        coins += 1
      sell: |
        cash += args.price
        coins -= 1
    laws:
      - cash >= 0
      - coins >= 0

actions:
  - name: buy
    do:
      name: local.portfolio.buy
      args:
        price: market.prices.close
  - name: sell
    do:
      name: local.portfolio.sell
      args:
        price: market.prices.close
  - name: hold

training:
  algorithm: auto
  goal: score > 5000
  holdout: 20%
  seed: 1
  reward_init: |
    rise = next_state["market_prices_close"] - current_state["market_prices_close"]
  rewards:
    - reward: buy
      with: reward = rise
    - reward: sell
      with: reward = -rise
    - reward: hold
      with: |
        if rise > 0:
            reward = -0.1
        else:
            reward = 0.1
  reward_tests:
    - action: buy
      current_state: { market_prices_close: 100 }
      next_state: { market_prices_close: 103 }
      expect: 3
"""

NOTES = """\
## What the words mean

- **Durations** are numbers with `d h m s ms us ns`, as in `1h30m`. **Shares** are `20%` or `0.2`.
- **Variables**: `${NAME}` in a value is replaced from the environment of the engine, except in
  code; one that is not set is an error. A whole word that begins with `SPICE_` is replaced as
  well, as the original did.
- **Fields** are called `from_name_measurement`, `from_name_category-value` and `from_name_tag`;
  parts of the time `time_hour_00`, `time_weekday_00` (Sunday), `time_monthday_01`,
  `time_month_01`. `current_state` is the row the policy decides on, `next_state` the one after it,
  with what the action did to local state.
- **Buckets** begin at `epoch_time`, or at multiples of the granularity from 1970-01-01 UTC. A
  bucket's value is the mean of all its samples. Rows outside the period are counted and left out.
  Buckets before the first datum hold the initializers; nothing is learned from them.
- **Bad rows** never stop a load: they are counted, shown with their line, and kept out. A cell
  that is no finite number is missing, its row stays.
- **Paths** are relative to the app folder and may not leave it; an absolute path may name a file
  elsewhere. The files are watched: when one changes the pod trains again.
- **Reward code** is a small part of Python: arithmetic, comparisons, `if`, `for` over `range` or
  lists, `abs min max round len float int bool sum range` and `math`. Everything else is an error
  with its line and column, also a name that is no field. A division by zero, NaN or infinity ends
  the training with the line and the time of the state at which it happened. Functions of a
  `reward_funcs` file are any Python, and run once the folder is trusted (`spice-tui trust`).
- **Actions of dataspaces** are assignments and `if` without loops. One that no action of the pod
  does is an action of the pod itself, under its short name.
- **Old forms** (`datasources`, `fields`, `prev_state.x`, `new_state.x`) are read with a warning
  that names the new one. Unknown keys are warnings with a guess.

## What the evaluation says

| Figure | Meaning |
|---|---|
| score | the sum of rewards of the actions the policy takes |
| random | what taking every action equally often gives |
| best constant | the best single action, picked on the training rows |
| oracle | the best action at every step, knowing the next row |
| regret closed | (score - best constant) / (oracle - best constant): 0 learned nothing, 1 all |
| held out | the same figures on the last part of the data, which nothing was chosen by |
| refit | the served policy, fitted once more to all rows; no forecast |
| intervals | where a figure lies at 95 %, by drawing stretches of time anew |
| overfitted | held out it closes less of the regret than in sample, by more than chance |
| reliability | how far confidence and truth are apart, held out |

What an algorithm chooses is selected on walk-forward folds inside the training part. The
confidence of a recommendation is the calibrated probability that its action is the best one.
"""

SECTIONS = (
    ("The top of the file", ("name",)),
    ("`params`", ("params",)),
    ("`time`", ("time",)),
    ("`dataspaces`", ("dataspaces",)),
    ("`actions`", ("actions",)),
    ("`training`", ("training",)),
)


def page() -> str:
    """The page `manifest.md`."""
    lines = [INTRODUCTION, "```yaml", EXAMPLE.rstrip("\n"), "```", ""]
    lines += ["## All keys", "", "`[]` stands for each item of a list, `*` for a name of your own."]
    lines += ["Keys in **bold** have to be there; those with ⁺ the original did not have."]
    for title, roots in SECTIONS:
        keys = [key for key in TABLE.values() if _root(key) in roots and _is_shown(key)]
        lines += ["", f"### {title}", "", *_table(keys, "Key")]
    lines += ["", *_params("Connectors", "connector", CONNECTOR_PARAMS)]
    lines += ["", *_params("Processors", "processor", PROCESSOR_PARAMS)]
    lines += ["", "## Algorithms and their hyperparameters"]
    for algorithm in ALGORITHMS.values():
        lines += ["", f"### `{algorithm.id}`", "", algorithm.summary, ""]
        prefix = f"training.hyperparameters({algorithm.id})."
        lines += _table([key for key in TABLE.values() if key.path.startswith(prefix)], "Name")
    return "\n".join([*lines, "", NOTES])


def _is_shown(key: Key) -> bool:
    """Params have tables of their own, and seed_data has the same keys as data."""
    return "(" not in key.path and ".seed_data." not in key.path


def _root(key: Key) -> str:
    return key.path.partition(".")[0].removesuffix("[]")


def _params(title: str, what: str, kinds: Mapping[str, object]) -> Iterator[str]:
    yield f"## {title}"
    for name in kinds:
        yield ""
        yield f"### `{name}`: {SUMMARIES[name]}"
        prefix = f"dataspaces[].data.{what}({name}).params."
        keys = [key for key in TABLE.values() if key.path.startswith(prefix)]
        yield ""
        if keys:
            yield from _table(keys, "Param")
        else:
            yield "It has no params."


def _table(keys: list[Key], heading: str) -> Iterator[str]:
    yield f"| {heading} | Kind | Default | Meaning |"
    yield "|---|---|---|---|"
    for key in keys:
        short = key.name if "(" in key.path else key.path
        name = f"**`{short}`**" if key.required else f"`{short}`"
        cells = (name + " ⁺" * key.new, _kind(key), _default(key), _meaning(key))
        yield f"| {' | '.join(cells)} |"


def _kind(key: Key) -> str:
    if key.values and key.type == "text":
        return " ".join(f"`{value}`" for value in key.values)
    return key.type


def _default(key: Key) -> str:
    if not key.default:
        return ""
    return key.default if " " in key.default else f"`{key.default}`"


def _meaning(key: Key) -> str:
    text = key.meaning
    if key.old:
        text += f" Once called {' '.join(f'`{name}`' for name in key.old)}."
    if key.example and not key.values and key.type not in ("flag",) and "(" not in key.path:
        text += f" E.g. `{key.example}`."
    return text.replace("|", "\\|")
