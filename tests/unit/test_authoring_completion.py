"""What an editor is offered and told at a place of a manifest, whether or not that is YAML."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.pods.completing import complete
from spice_engine.pods.hovering import hover
from spice_engine.pods.manifest import parse_manifest
from spice_engine.pods.outline import Outline
from spice_engine.pods.ranking import rank
from spice_engine.pods.yaml_scan import scan
from spice_engine.protocol.authoring import Completions, Hover, TextPosition

SAMPLES = Path(__file__).parents[2] / "sample_pods"
GARDENER = (SAMPLES / "gardener" / "spicepods" / "gardener.yaml").read_text()
TRADER = (SAMPLES / "trader" / "spicepods" / "trader.yaml").read_text()
HEAD = """\
name: pod
dataspaces:
  - from: sensors
    name: bed
    data:
      connector:
        name: file
        params: {path: data/bed.csv}
      processor: {name: csv}
    measurements:
      - name: heat
      - name: light
    categories:
      - name: sky
        values: [clear, grey]
  - from: local
    name: tank
    measurements: [{name: water}]
    actions:
      fill: water += args.litres
    laws:
      - water >= 0
actions:
  - name: wait
  - name: fill
    do: {name: local.tank.fill, args: {litres: 2}}
"""


def place(text: str) -> TextPosition:
    """The place of the bar in a text."""
    before, _, after = text.partition("│")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return TextPosition(before + after, line, column)


def offered(text: str, root: Path = Path("/nowhere")) -> Completions:
    return complete(place(text), root)


def labels(text: str, root: Path = Path("/nowhere")) -> list[str]:
    return [one.label for one in offered(text, root).items]


def applied(text: str, label: str) -> str:
    """The text after a completion was chosen."""
    at = place(text)
    answer = complete(at, Path("/nowhere"))
    (chosen,) = [one for one in answer.items if one.label == label][:1]
    lines = at.text.split("\n")
    line = lines[at.line - 1]
    lines[at.line - 1] = line[: answer.start_column - 1] + chosen.insert + line[at.column - 1 :]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("│", ["name", "params", "time", "dataspaces", "actions", "training"]),
        ("name: x\n│", ["params", "time", "dataspaces", "actions", "training"]),
        ("par│", ["params"]),
        ("params:\n  g│", ["granularity"]),
        ("params:\n  period: 1h\n  │\n", ["epoch_time", "interval"]),
        ("dataspaces:\n  │", ["- from", "- name"]),
        ("dataspaces:\n  - │", ["from", "name"]),
        ("dataspaces:\n- from: a\n  │", ["name", "seed_data"]),
        ("dataspaces:\n  - from: a\n    data:\n      con│", ["connector"]),
        ("dataspaces:\n  - data:\n      connector: {name: fi│", ["file"]),
        ("dataspaces:\n  - data:\n      connector:\n        name: web│", ["websocket"]),
        ("dataspaces:\n  - data:\n      connector: {name: file, params: {│}}", ["path", "watch"]),
        ("dataspaces:\n  - data: {processor: {name: │", ["csv", "json", "flux-csv"]),
        ("time:\n  categories: [hour, day│]", ["dayofmonth", "dayofweek"]),
        ("time:\n  categories:\n    - h│", ["hour"]),
        ("time:\n  categories:\n    │", ["month"]),
        ("training:\n  algorithm: │", ["auto"]),
        ("training:\n  algorithm: 'lin│'", ["linear"]),
        ("training:\n  algorithm: fqi\n  hyperparameters:\n    gam│", ["gamma"]),
        ("params:\n  interpolation: f│", ["false"]),
        ("params:\n  granularity: │", ["30s", "10s"]),
        ("name: │", []),
        ("# na│", []),
        ("params: {│", ["epoch_time", "period"]),
        ("params: {period: 1h,\n  int│", ["interval", "interpolation"]),
    ],
)
def test_keys_and_values_are_offered(text: str, first: list[str]) -> None:
    assert labels(text)[: len(first)] == first


def test_keys_bring_what_follows_them() -> None:
    assert applied("dat│", "dataspaces") == "dataspaces:\n  - "
    assert applied("dataspaces:\n  - from: a\n    me│", "measurements").endswith(
        "\n    measurements:\n      - "
    )
    assert applied("dataspaces:\n  │", "- data") == "dataspaces:\n  - data:\n      "
    assert applied("training:\n  rewards:\n    - wi│", "with").endswith("    - with: |\n        ")
    assert applied("pa│: {}", "params") == "params: {}"
    assert applied("params: {per│}", "period") == "params: {period: }"


@pytest.mark.parametrize(
    ("code", "label", "result"),
    [
        ("next_state[│", "sensors_bed_heat", 'next_state["sensors_bed_heat"]'),
        ('next_state["he│"]', "sensors_bed_heat", 'next_state["sensors_bed_heat"]'),
        ("prev_state['li│", "sensors_bed_light", "prev_state['sensors_bed_light']"),
        ('next_state["sky│', "sensors_bed_sky-grey", 'next_state["sensors_bed_sky-grey"]'),
        ("x = new_state.│", "sensors_bed_heat", 'x = new_state["sensors_bed_heat"]'),
        ("x = 1 + hea│", "sensors_bed_heat (next_state)", 'x = 1 + next_state["sensors_bed_heat"]'),
        ("rew│", "reward", "reward"),
        ("reward = ma│", "max", "reward = max("),
        ("reward = math.sq│", "sqrt", "reward = math.sqrt("),
        ("reward = lim│", "limit", "reward = limit"),
        ("if next_state_int│", "next_state_interpretations", "if next_state_interpretations"),
    ],
)
def test_names_in_reward_code(code: str, label: str, result: str) -> None:
    init = "training:\n  reward_init: |\n    limit = 3\n  rewards:\n    - reward: wait\n"
    for form in ("      with: |\n        ", "      with: "):
        text = HEAD + init + form + code + "\n"
        assert applied(text, label) == HEAD + init + form + result + "\n"


def test_the_dotted_form_of_a_state_is_offered_too() -> None:
    text = HEAD + "training:\n  reward_init: x = next_state.sensors.be│"
    found = offered(text).items
    assert found[0].insert == '["sensors_bed_heat"]'
    assert ".sensors.bed.light" in [one.insert for one in found]


def test_names_in_effects_and_laws() -> None:
    effect = HEAD.replace("fill: water +=", "fill: │water +=")
    assert labels(effect)[0] == "water"
    assert "args.litres" in labels(effect)
    assert labels(HEAD.replace("args.litres", "args.│litres")) == ["litres"]
    law = HEAD.replace("water >= 0", "water >= sensors.bed.he│")
    assert labels(law) == ["sensors.bed.heat"]
    assert "args" not in labels(HEAD.replace("water >= 0", "│"))


def test_declared_names_are_offered_as_values(tmp_path: Path) -> None:
    rewards = "training:\n  rewards:\n    - reward: wait\n      with: reward = 1\n    - reward: "
    assert labels(HEAD + rewards + "│") == ["fill"]
    tests = "training:\n  reward_tests:\n    - action: │"
    assert labels(HEAD + tests) == ["wait", "fill"]
    state = tests.replace("│", "wait\n      next_state:\n        │")
    assert labels(HEAD + state)[:2] == ["sensors_bed_heat", "sensors_bed_light"]
    assert labels(HEAD.replace("name: local.tank.fill", "name: │")) == ["local.tank.fill"]
    assert "sensors.bed.heat" in labels(HEAD.replace("litres: 2", "litres: │"))
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("notes.md", "bed.csv", "deep/more.csv", ".hidden.csv"):
        (tmp_path / "data" / name).touch()
    found = labels(HEAD.replace("path: data/bed.csv", "path: │"), tmp_path)
    # Those of the processor's form come first.
    assert found == ["data/bed.csv", "data/deep/more.csv", "data/notes.md"]
    (tmp_path / "rewards.py").touch()
    assert labels("training:\n  reward_funcs: │", tmp_path) == ["rewards.py"]


def test_what_is_typed_ranks_beginnings_before_parts_before_letters() -> None:
    names = ["path", "a_path", "empathy", "play_at_home", "other"]
    assert [rank(name, "pat") for name in names] == [1, 2, 3, 5, None]
    assert rank("usage_idle_max", "uim") == 4
    assert rank("path", "PATH") == 0


@pytest.mark.parametrize(
    ("text", "title", "part"),
    [
        (HEAD.replace("name: file", "name: fi│le"), "connector file", "reads a file"),
        (HEAD.replace("dataspaces", "data│spaces"), "dataspaces", "Where data come from"),
        ("params:\n  gran│ularity: 1s", "params.granularity", "Default: 10s."),
        ("params: {gran│ularity: 1s}", "params.granularity", "Default: 10s."),
        ("training:\n  algorithm: au│to", "training.algorithm", "One of: auto"),
        (HEAD.replace("name: local.tank", "name: local.ta│nk"), "local.tank.fill", "args.litres"),
        (HEAD.replace("fill: water", "fill: wa│ter"), "local_tank_water", "line 18"),
        (HEAD.replace("args.litres", "args.lit│res"), "args.litres", "do.args"),
        (HEAD + "training:\n  reward_init: x = next_state.sensors.bed.he│at",
         "sensors_bed_heat", "line 11"),
        (HEAD + 'training:\n  reward_init: x = next_state["sensors_bed_│light"]',
         "sensors_bed_light", "line 12"),
        (HEAD + "training:\n  reward_init: x = │next_state.sensors.bed.heat",
         "next_state", "after the action"),
        (HEAD + "training:\n  reward_init: |\n    x = 1\n    y = │x", "x", "Set in line 29"),
        (HEAD + "training:\n  reward_init: x = math.sq│rt(2)", "math.sqrt", "square root"),
        (HEAD + "training:\n  rewards:\n    - reward: w│ait", "wait", "line 24"),
    ],
)  # fmt: skip
def test_what_stands_there_is_explained(text: str, title: str, part: str) -> None:
    answer = hover(place(text))
    assert answer.title == title
    assert part in answer.text
    line = text.replace("│", "").split("\n")[answer.line - 1]
    assert line[answer.column - 1 : answer.end_column - 1]


@pytest.mark.parametrize("text", ["# na│me", "name: x\n│\n", "name: p│od", "x: 1\ny: │"])
def test_where_there_is_nothing_to_say(text: str) -> None:
    assert hover(place(text)) == Hover()


@pytest.mark.parametrize("name", ["gardener", "logpruner", "serverops", "trader"])
def test_the_scan_finds_what_the_reader_finds(name: str) -> None:
    (path,) = (SAMPLES / name / "spicepods").glob("*.yaml")
    text = path.read_text()
    manifest = parse_manifest(text, "x.yaml").manifest
    assert manifest is not None
    outline = Outline(scan(text))
    assert sorted(one.name for one in outline.fields) == list(manifest.fields)
    assert tuple(one for one, _ in outline.actions) == manifest.action_names


PIECES = st.sampled_from(
    [*"[]{},:'\"|>#&*!%@-?\t\r\n ", "\n  ", "\n- ", ": ", " #", "- - ", "name: ", "dataspaces:\n",
     "  - from: a\n", "with: |\n", "rewards:\n", "current_state[", "args.", "training:\n", "é",
     "\0", "\ud800", "{{", "data: {connector: {name: file, params: {"]
)  # fmt: skip


def cut(text: str, start: int, length: int, put: str) -> str:
    return text[:start] + put + text[start + length :]


TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(PIECES, max_size=30).map("".join),
    st.builds(
        cut,
        st.sampled_from([GARDENER, TRADER, HEAD]),
        st.integers(0, 3000),
        st.integers(0, 40),
        st.lists(PIECES, max_size=4).map("".join),
    ),
)


@given(TEXTS, st.integers(-1, 120), st.integers(-1, 60))
def test_no_text_and_no_place_brings_it_down(text: str, line: int, column: int) -> None:
    at = TextPosition(text, line, column)
    answer = complete(at, Path("/nowhere"))
    assert answer.start_column >= 1
    assert len(answer.items) <= 100
    hover(at)
    Outline(scan(text)).items()


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 300_000,
        "a: " + "[{b: " * 25_000,
        "- " * 300_000,
        "a:\n" + "".join(" " * depth + "a:\n" for depth in range(900)),
        "training:\n  reward_init: " + "a" * 900_000,
        "training:\n  reward_init: " + "next_state." * 80_000,
        "a " * 150_000,
        "a: '" + '"' * 900_000,
        "a: [" + "'b, " * 50_000,
        " " * 900_000,
        "a: |\n" + "\n" * 150_000,
        "time: {categories: [" + "hour, " * 25_000,
    ],
    ids=range(12),
)
def test_hostile_texts_take_no_more_than_their_length(text: str) -> None:
    """One that is looked at again for each of its characters would take hours."""
    last = text.rpartition("\n")[2]
    at = TextPosition(text, text.count("\n") + 1, len(last) + 1)
    assert complete(at, Path("/nowhere")).start_column >= 1
    hover(at)
