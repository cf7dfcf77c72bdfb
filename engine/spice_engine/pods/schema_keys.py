"""Every key of a manifest in the order it is usually written, with what it means."""

from __future__ import annotations

from typing import Literal

from spice_engine.learning.catalog import ALGORITHMS
from spice_engine.pods.feed_kinds import CONNECTORS, PROCESSORS
from spice_engine.pods.model import TIME_CATEGORIES
from spice_engine.records import record

Type = Literal[
    "text", "number", "integer", "duration", "time", "flag", "share", "code", "condition",
    "value", "mapping", "list",
]  # fmt: skip


@record
class Key:
    """One key. `path` has `[]` for the items of a list and `*` for a name of one's own.

    `default`, `values` and `example` are as written in YAML. `open` says that other values than
    those listed may be there (of third parties); `new` that the original did not have the key;
    `old` holds names of earlier versions.
    """

    path: str
    type: Type
    meaning: str
    default: str = ""
    values: tuple[str, ...] = ()
    required: bool = False
    example: str = ""
    open: bool = False
    new: bool = False
    old: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The key itself, without its path; empty for the items of a list."""
        return self.path.rpartition(".")[2] if not self.path.endswith("[]") else ""


def _feed(path: str, meaning: str) -> tuple[Key, ...]:
    """The keys of `data` or `seed_data`."""
    connector, processor = f"{path}.connector", f"{path}.processor"
    return (
        Key(path, "mapping", meaning),
        Key(connector, "mapping", "What fetches the data; without it they are pushed over HTTP."),
        Key(f"{connector}.name", "text", "Which connector.", values=tuple(CONNECTORS),
            required=True, example="file", open=True, old=("type",)),
        Key(f"{connector}.params", "mapping", "What the connector needs to know."),
        Key(processor, "mapping", "What the data look like, and how rows are made of them."),
        Key(f"{processor}.name", "text", "Which processor.", values=tuple(PROCESSORS),
            example="csv", open=True, old=("type",)),
        Key(f"{processor}.params", "mapping", "What the processor needs to know."),
    )  # fmt: skip


_SPACE = "dataspaces[]"
_TESTS = "training.reward_tests"

KEYS: tuple[Key, ...] = (
    Key("name", "text", "The pod's name in commands and addresses: letters, digits, `.`, `_` and "
        "`-`.", default="the file's name", example="serverops"),
    Key("params", "mapping", "What time the pod looks at."),
    Key("params.epoch_time", "time", "Where the period begins, in Unix seconds or RFC 3339; "
        "without it the period ends now and slides with the clock.", example="1612557000"),
    Key("params.period", "duration", "The span of data that is considered.", default="72h",
        example="24h"),
    Key("params.interval", "duration", "How far back a decision looks.", default="1m",
        example="10m"),
    Key("params.granularity", "duration", "The width of a bucket, which is one step in time.",
        default="10s", example="30s"),
    Key("params.episodes", "integer", "How many episodes a training has at most.", default="10",
        example="20"),
    Key("params.interpolation", "flag", "Without it each row of the data is a step, instead of "
        "each bucket.", default="true", example="true"),
    Key("time", "mapping", "What is learned from the clock."),
    Key("time.categories", "list", "Parts of the time (UTC) that become fields of 0 and 1."),
    Key("time.categories[]", "text", "A part of the time.", values=tuple(TIME_CATEGORIES),
        example="hour"),
    Key(_SPACE.removesuffix("[]"), "list", "Where data come from, and what is in them.",
        required=True, old=("datasources",)),
    Key(_SPACE, "mapping", "One source of data. Without `data` its measurements are local "
        "state, which actions change."),
    Key(f"{_SPACE}.from", "text", "Where the data are from: the first part of its name.",
        required=True, example="hostmetrics"),
    Key(f"{_SPACE}.name", "text", "What they are about: the second part of its name.",
        required=True, example="cpu"),
    *_feed(f"{_SPACE}.seed_data", "Data that are there before any of `data` come; "
           "its keys are those of `data`."),
    *_feed(f"{_SPACE}.data", "How its data come in."),
    Key(f"{_SPACE}.identifiers", "list", "Texts that are kept and shown, never learned from."),
    Key(f"{_SPACE}.identifiers[]", "mapping", "One identifier."),
    Key(f"{_SPACE}.identifiers[].name", "text", "Its name.", required=True, example="host"),
    Key(f"{_SPACE}.identifiers[].selector", "text", "The column it is read from.",
        default="its name", example="hostname"),
    Key(f"{_SPACE}.measurements", "list", "Numbers that are learned from.", old=("fields",)),
    Key(f"{_SPACE}.measurements[]", "mapping", "One number; the field `from_name_measurement`."),
    Key(f"{_SPACE}.measurements[].name", "text", "Its name: letters, digits and `_`.",
        required=True, example="usage_idle"),
    Key(f"{_SPACE}.measurements[].selector", "text", "The column it is read from.",
        default="its name", example="usage idle (%)"),
    Key(f"{_SPACE}.measurements[].initializer", "number", "Its value before there is any datum.",
        default="0", example="100"),
    Key(f"{_SPACE}.measurements[].fill", "text", "What an empty bucket holds: the `previous` "
        "value, or 0 (`none`).", default="previous", values=("previous", "none"), example="none"),
    Key(f"{_SPACE}.categories", "list", "Words that are learned from, as a field of 0 and 1 for "
        "each value."),
    Key(f"{_SPACE}.categories[]", "mapping", "One word; the fields `from_name_category-value`."),
    Key(f"{_SPACE}.categories[].name", "text", "Its name.", required=True, example="weather"),
    Key(f"{_SPACE}.categories[].selector", "text", "The column it is read from.",
        default="its name", example="weather_code"),
    Key(f"{_SPACE}.categories[].values", "list", "The values that are learned from."),
    Key(f"{_SPACE}.categories[].values[]", "text", "One value.", example="rain"),
    Key(f"{_SPACE}.tags", "mapping", "Words of which a row may have several; the fields "
        "`from_name_tag`."),
    Key(f"{_SPACE}.tags.selectors", "list", "Columns they are read from, besides `_tags`."),
    Key(f"{_SPACE}.tags.selectors[]", "text", "One column.", example="labels"),
    Key(f"{_SPACE}.tags.values", "list", "The tags that are learned from."),
    Key(f"{_SPACE}.tags.values[]", "text", "One tag.", example="urgent"),
    Key(f"{_SPACE}.actions", "mapping", "What actions do to local state: a name and code for "
        "each."),
    Key(f"{_SPACE}.actions.*", "code", "Assignments to its measurements, by their short names; "
        "`args.x` is an argument, fields of others go by their full names.",
        example="usd_balance -= args.price"),
    Key(f"{_SPACE}.laws", "list", "Conditions that must hold after every action."),
    Key(f"{_SPACE}.laws[]", "code", "One condition; an action that would break it is not taken.",
        example="usd_balance >= 0"),
    Key("actions", "list", "What can be done. Actions of dataspaces that none of these does are "
        "actions of the pod, too."),
    Key("actions[]", "mapping", "One action."),
    Key("actions[].name", "text", "Its name.", required=True, example="buy"),
    Key("actions[].range", "mapping", "The values it may have: its code reads `action_value`, a "
        "recommendation names one.", new=True),
    Key("actions[].range.from", "number", "The least value.", required=True, example="0",
        new=True),
    Key("actions[].range.to", "number", "The greatest value.", required=True, example="100",
        new=True),
    Key("actions[].range.unit", "text", "What the values are in.", example="W", new=True),
    Key("actions[].do", "mapping", "What it does to local state; without it, nothing."),
    Key("actions[].do.name", "text", "The action of a dataspace, `from.name.action`.",
        required=True, example="local.portfolio.buy"),
    Key("actions[].do.args", "mapping", "What that action's code finds under `args`."),
    Key("actions[].do.args.*", "value", "A number, a field `from.name.measurement`, or "
        "`action_value` of an action with a range.",
        example="coinbase.btcusd.close"),
    Key("training", "mapping", "What is learned, and how."),
    Key("training.algorithm", "text", "Which algorithm learns.", default="auto",
        values=tuple(ALGORITHMS), example="auto", new=True),
    Key("training.episodes", "integer", "As `params.episodes`, which it goes before.",
        example="20", new=True),
    Key("training.goal", "condition", "The training stops when an episode's `score` reaches it.",
        example="score > 100"),
    Key("training.patience", "integer", "The training stops after so many episodes without a "
        "better one; 0: only after equal ones.", default="0", example="5", new=True),
    Key("training.holdout", "share", "The last part of the data: it chooses nothing, and tells "
        "how good the policy is on what it has not seen.", default="20%", example="30%", new=True),
    Key("training.seed", "integer", "The same seed and data give the same policy.", default="0",
        example="1", new=True),
    Key("training.features", "text", "What a policy sees of a window: `levels` and differences, or "
        "windows scaled as the original did (`classic`).", default="levels",
        values=("levels", "classic"), example="levels", new=True),
    Key("training.confidence", "text", "What a recommendation's confidence is: the `calibrated` "
        "probability that no other action is better, or the original's figure (`classic`).",
        default="calibrated", values=("calibrated", "classic"), example="calibrated", new=True),
    Key("training.accelerator", "text", "What populations (`lanes`) learn on, and networks if it "
        "is `cuda`.", default="auto", values=("auto", "cpu", "cuda"), example="cpu", new=True),
    Key("training.hyperparameters", "mapping", "Settings of the algorithm.", new=True),
    Key("training.loggers", "list", "What else a training writes: curves for TensorBoard."),
    Key("training.loggers[]", "text", "One of them.", values=("tensorboard",),
        example="tensorboard"),
    Key("training.continual", "mapping", "When the pod is trained again by itself on what came "
        "since. The policy that serves goes on until a new one is at least as good on the newest "
        "rows.", new=True),
    Key("training.continual.every", "duration", "So long after the last training.",
        example="1h", new=True),
    Key("training.continual.drift", "flag", "When the new rows, or the reward that the policy "
        "gets, are no longer as they were.", default="false", example="true", new=True),
    Key("training.continual.new_rows", "integer", "New rows that either waits for, at least.",
        default="100", example="500", new=True),
    Key("training.reward_init", "code", "Code put before that of each reward.",
        example='close = next_state["coinbase_btcusd_close"]'),
    Key("training.reward_funcs", "text", "A Python file with the rewards as functions; `with` "
        "then names one.", example="rewards.py"),
    Key("training.rewards", "list", "What each action was worth: `uniform`, or a list.",
        default="uniform", values=("uniform",)),
    Key("training.rewards[]", "mapping", "The reward of one action."),
    Key("training.rewards[].reward", "text", "The action.", required=True, example="buy"),
    Key("training.rewards[].with", "code", "Code that sets `reward`, from `current_state` and "
        "`next_state`.", required=True, example="reward = 1"),
    Key(_TESTS, "list", "Examples of what rewards should be; `spice-tui rewards test` checks "
        "them.", new=True),
    Key(f"{_TESTS}[]", "mapping", "One example.", new=True),
    Key(f"{_TESTS}[].action", "text", "The action.", required=True, example="buy", new=True),
    Key(f"{_TESTS}[].action_value", "number", "Of an action with a range, its value.", example="10",
        new=True),
    Key(f"{_TESTS}[].current_state", "mapping", "Fields before it; others are at their "
        "initializers.", new=True),
    Key(f"{_TESTS}[].current_state.*", "number", "A field's value.", example="40000", new=True),
    Key(f"{_TESTS}[].next_state", "mapping", "Fields after it; others are as before.", new=True),
    Key(f"{_TESTS}[].next_state.*", "number", "A field's value.", example="41000", new=True),
    Key(f"{_TESTS}[].expect", "number", "What the reward should be.", required=True, example="1",
        new=True),
)  # fmt: skip
