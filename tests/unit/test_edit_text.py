"""Edits of YAML text: the meaning changes as asked, and no other byte does."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.errors import InvalidManifest
from spice_engine.pods.edit import CannotEdit, add_item, put
from spice_engine.pods.yaml_writer import block, flow, scalar
from spice_engine.yaml_tree import YamlError, read_tree
from tests.examples import examples

ORDER = ("name", "params", "dataspaces", "actions", "training")
NEW = {"name": "new"}

ITEM_CASES = {
    "empty file": ("", "actions:\n  - name: new\n"),
    "a comment only": ("# mine", "# mine\nactions:\n  - name: new"),
    "no such key, no last line break": ("name: x", "name: x\nactions:\n  - name: new"),
    "the key belongs in between": (
        "name: x\ntraining:\n  rewards: uniform\n",
        "name: x\nactions:\n  - name: new\ntraining:\n  rewards: uniform\n",
    ),
    "the key belongs first": (
        "training:\n  seed: 1\n",
        "actions:\n  - name: new\ntraining:\n  seed: 1\n",
    ),
    "blank lines are kept up": (
        "name: x\n\ntraining:\n  seed: 1\n",
        "name: x\n\nactions:\n  - name: new\n\ntraining:\n  seed: 1\n",
    ),
    "null with a comment": (
        "actions: # none yet\n# end\n",
        "actions: # none yet\n  - name: new\n# end\n",
    ),
    "a word for null": ("actions: ~ # none\n", "actions: [{name: new}] # none\n"),
    "block list": (
        "actions:\n  - name: a  # first\n  # - name: old\n\ntraining:\n",
        "actions:\n  - name: a  # first\n  - name: new\n  # - name: old\n\ntraining:\n",
    ),
    "a comment that belongs to the last item": (
        "actions:\n  - name: a\n    # of a\n# of all\n",
        "actions:\n  - name: a\n    # of a\n  - name: new\n# of all\n",
    ),
    "list not set in": ("actions:\n- name: a\n", "actions:\n- name: a\n- name: new\n"),
    "list set in by four": (
        "actions:\n    - name: a\nq: 1\n",
        "actions:\n    - name: a\n    - name: new\nq: 1\n",
    ),
    "windows line ends": (
        "actions:\r\n  - name: a\r\nq: 1\r\n",
        "actions:\r\n  - name: a\r\n  - name: new\r\nq: 1\r\n",
    ),
    "flow list": ("actions: [{name: a}] # x\n", "actions: [{name: a}, {name: new}] # x\n"),
    "empty flow list": ("actions: []\n", "actions: [{name: new}]\n"),
    "flow list over several lines": (
        "actions: [ # all\n  { name: a }, # one\n  { name: b }, # two\n]\n",
        "actions: [ # all\n  { name: a }, # one\n  { name: b }, { name: new }, # two\n]\n",
    ),
    "flow mapping in a block list": (
        "actions:\n  - { name: a }\n",
        "actions:\n  - { name: a }\n  - { name: new }\n",
    ),
    "all in braces": ("{name: x}", "{name: x, actions: [{name: new}]}"),
    "after a block scalar": (
        "actions:\n  - name: a\n    code: |\n      x\n\n\nq: 1\n",
        "actions:\n  - name: a\n    code: |\n      x\n  - name: new\n\n\nq: 1\n",
    ),
    "after a block scalar without line break": (
        "actions:\n  - code: |\n      x",
        "actions:\n  - code: |\n      x\n  - name: new",
    ),
    "byte order mark": ("\ufeffactions: []\n", "\ufeffactions: [{name: new}]\n"),
    "tabs in comments": (
        "actions:\n  - name: a\t#\tone\n",
        "actions:\n  - name: a\t#\tone\n  - name: new\n",
    ),
    "an anchor that is used elsewhere": (
        "p: &p {a: 1}\nq: *p\nactions:\n  - name: a\n    do: *p\n",
        "p: &p {a: 1}\nq: *p\nactions:\n  - name: a\n    do: *p\n  - name: new\n",
    ),
    "an anchor on the list": (
        "actions: &all\n  - name: a\n",
        "actions: &all\n  - name: a\n  - name: new\n",
    ),
    "after the last line of a document that begins with a mark": (
        "---\nname: x\n",
        "---\nname: x\nactions:\n  - name: new\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ITEM_CASES)
def test_an_item_is_added_where_it_belongs(case: str) -> None:
    before, after = ITEM_CASES[case]
    assert add_item(before, ["actions"], NEW, ORDER) == after


PUT_CASES = {
    "a word": ("t:\n  rewards: uniform\n", "t:\n  rewards:\n    - a: 1\n"),
    "a word with a comment": (
        "t:\n  rewards: uniform  # why\n  seed: 1\n",
        "t:\n  rewards:  # why\n    - a: 1\n  seed: 1\n",
    ),
    "a quoted word": ("t: {rewards: 'uniform'}\n", "t: {rewards: [{a: 1}]}\n"),
    "a missing key": ("t:\n  seed: 1\n", "t:\n  seed: 1\n  rewards:\n    - a: 1\n"),
    "a missing parent": ("x: 1\n", "x: 1\nt:\n  rewards:\n    - a: 1\n"),
    "a null parent": ("t:\nx: 1\n", "t:\n  rewards:\n    - a: 1\nx: 1\n"),
}


@pytest.mark.parametrize("case", PUT_CASES)
def test_a_list_takes_the_place_of_a_single_value(case: str) -> None:
    before, after = PUT_CASES[case]
    assert put(before, ["t", "rewards"], [{"a": 1}]) == after


@pytest.mark.parametrize(
    "text",
    [
        "x: &x\n  - name: a\nactions: *x\n",  # would change x, too
        "actions: &x\n  - name: a\ny: *x\n",
        "actions: words\n",
        "actions: {a: 1}\n",
        "- a\n- b\n",
    ],
)
def test_what_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(CannotEdit):
        add_item(text, ["actions"], NEW)


@pytest.mark.parametrize("text", ["a: [1", "a: 1\na: 2\n", "a: 1\n---\nb: 1\n", "a:\n\t- b\n"])
def test_what_is_no_yaml_is_refused(text: str) -> None:
    with pytest.raises(InvalidManifest):
        add_item(text, ["actions"], NEW)


# -- any text

_words = st.sampled_from(["a", "b", "on", "1e3", "'it''s'", '"q"', "12:30", "x y", "~", "é"])
_comments = st.sampled_from(["", " # c", "  #\ttab", " # ünï"])
_gaps = st.sampled_from(["", "\n", "# alone\n", "  # deeper\n", "\n\n"])


@st.composite
def _items(draw: st.DrawFn) -> str:
    """A list in one of the ways in which people write lists."""
    style = draw(st.sampled_from(["block", "flow", "none", "flush", "code"]))
    names = draw(st.lists(_words, min_size=1, max_size=3))
    if style == "flow":
        return f" [{', '.join(f'{{name: {name}}}' for name in names)}]{draw(_comments)}\n"
    if style == "none":
        return f"{draw(_comments)}\n"
    dash = "- " if style == "flush" else "  - "
    lines = "\n"
    for name in names:
        lines += f"{dash}name: {name}{draw(_comments)}\n"
        if style == "code":
            lines += "    with: |\n      if x:\n        y # z\n" + draw(st.sampled_from(["", "\n"]))
        lines += draw(_gaps) if style != "code" else ""
    return lines


@st.composite
def _texts(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(["", "# head\n", "---\n"]))
    for key in draw(st.permutations(["name", "params", "actions", "training"])):
        if draw(st.booleans()):
            text += draw(_gaps)
            text += f"{key}:{draw(_items())}" if key == "actions" else f"{key}: {draw(_words)}\n"
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def _without(text: str, before: str) -> str:
    """What was inserted, if `text` is `before` with one piece inserted."""
    start = 0
    while start < len(before) and before[start] == text[start]:
        start += 1
    end = len(text) - (len(before) - start)
    assert text[:start] + text[end:] == before
    return text[start:end]


def _loaded(text: str) -> Any:
    """The data, by a reader of another make, which takes 12:30 for a number."""

    def trimmed(data: Any) -> Any:
        if isinstance(data, dict):
            return {key: trimmed(value) for key, value in data.items()}
        if isinstance(data, list):
            return [trimmed(value) for value in data]
        return data.rstrip("\n") if isinstance(data, str) else data

    return trimmed(yaml.safe_load(text.replace("12:30", "half")))


@settings(max_examples=examples(300), deadline=None)
@given(_texts())
def test_nothing_but_the_insertion_changes(text: str) -> None:
    try:
        read_tree(text, "")
    except YamlError:
        return
    after = add_item(text, ["actions"], {"name": "new one", "value": 1}, ORDER)
    if "actions: ~" not in text:  # there the word for null goes
        inserted = _without(after, text)
        if "\r\n" in text:
            assert "\n" not in inserted.replace("\r\n", "")
    # A last line without a line break gets one: code with a line break more is the same code.
    old = _loaded(text) or {}
    new = _loaded(after)
    assert new.pop("actions") == [
        *(old.pop("actions", None) or []),
        {"name": "new one", "value": 1},
    ]
    assert new == old


@settings(max_examples=examples(300), deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}#&*!|>'\"%@`,? \n\t\r0~\u2028\x85"), max_size=40))
def test_any_text_is_edited_or_refused(text: str) -> None:
    try:
        after = add_item(text, ["actions"], NEW, ORDER)
    except (InvalidManifest, CannotEdit):
        return
    tree, _ = read_tree(after, "")
    assert tree is not None


# -- writing values

_data = st.recursive(
    st.text(max_size=12) | st.integers() | st.booleans() | st.none()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=examples(300), deadline=None)
@given(st.text(max_size=20))
def test_written_text_reads_as_the_same_text(text: str) -> None:
    if any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        return  # half a character is no text in UTF-8
    assert yaml.safe_load(scalar(text)) == text
    assert yaml.safe_load(flow({"a": [text]})) == {"a": [text]}


@settings(max_examples=examples(200), deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b c", "on"]), _data, min_size=1, max_size=3))
def test_both_styles_read_as_the_same_data(data: dict[str, object]) -> None:
    texts = str(data)
    if "\\ud" in texts or "\\n" in texts or "e" in texts.replace("True", "").replace("False", ""):
        return  # block scalars may end differently; YAML 1.1 wants a dot in 1e16
    assert yaml.safe_load("\n".join(block(data))) == yaml.safe_load(flow(data))
