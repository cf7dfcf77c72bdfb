"""The text of a new manifest: everything a pod needs, said in comments where it goes."""

from __future__ import annotations

from spice_engine.pods.yaml_writer import scalar

_TEXT = """\
# yaml-language-server: $schema={schema}
name: {name}

# Durations are written as 30s, 10m, 6h, 3d, or together as 1h30m.
params:
  # epoch_time: 1767225600   # where the period begins, in Unix seconds; without it, it ends now
  period: 72h                # the span of data that is considered
  interval: 1m               # how far back each decision looks
  granularity: 10s           # the width of one step

# Where data come from and what is measured. One more:
#   spice-tui dataspace add FROM/NAME --measurement NAME --file data/NAME.csv
dataspaces:

# What can be done. One more: spice-tui action add NAME
actions:

training:
  # What an action was worth. Uniform: every action the same, so there is nothing to learn.
  # Code for each action, to go on from: spice-tui rewards add
  rewards: uniform
"""


def starter(name: str, schema: str) -> str:
    """A manifest for a pod of that name, whose editor finds its JSON Schema at `schema`."""
    return _TEXT.format(name=scalar(name), schema=schema)
