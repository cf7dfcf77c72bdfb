"""A person's keys: the file, what is wrong with it, and keys with two meanings."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from spice_engine.errors import InvalidSettings
from spice_tui.actions import OF_APP, table
from spice_tui.models.keymap import clashes, keymap_file, keys_of, load_keymap


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def test_no_file_changes_nothing(file: Path) -> None:
    assert load_keymap(file) == {}
    assert keys_of({}) == {name: action.keys for name, action in table().items()}


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert keymap_file() == tmp_path / "spice-tui" / "keys.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keymap_file() == tmp_path / ".config" / "spice-tui" / "keys.toml"


def test_keys_of_the_file(file: Path) -> None:
    file.write_text('[keys]\n"app.zoom" = "ctrl+z"\n"app.help" = ["f1", "H"]\n')
    changed = load_keymap(file)
    assert changed == {"app.zoom": ("ctrl+z",), "app.help": ("f1", "H")}
    keys = keys_of(changed)
    assert keys["app.zoom"] == ("ctrl+z",)
    assert keys["app.quit"] == table()["app.quit"].keys


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[keys", "is no TOML"),
        ("keys = 3", "must be a table"),
        ('[keys]\n"app.zoom" = 3', "a key or a list of keys"),
        ('[keys]\n"app.zoom" = []', "a key or a list of keys"),
        ('[keys]\n"app.zoom" = [""]', "a key or a list of keys"),
    ],
)
def test_what_is_wrong_with_a_file(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidSettings, match=says):
        load_keymap(file)


@pytest.mark.parametrize("quote", ['"', "'"])
def test_an_unknown_action_with_its_place_and_the_nearest(file: Path, quote: str) -> None:
    file.write_text(f'[keys]\n"app.help" = "H"\n{quote}app.zom{quote} = "Z"\n')
    with pytest.raises(InvalidSettings, match=r"app\.zom") as caught:
        load_keymap(file)
    assert caught.value.hint == "Did you mean 'app.zoom'?"
    assert caught.value.place is not None
    assert (caught.value.place.file, caught.value.place.line) == (str(file), 3)


def test_a_name_without_quotation_marks_says_so(file: Path) -> None:
    """TOML takes the dot for a table within a table."""
    file.write_text('[keys]\napp.zoom = "Z"\n')
    with pytest.raises(InvalidSettings) as caught:
        load_keymap(file)
    assert '"app.zoom"' in caught.value.hint
    assert caught.value.place is not None
    assert caught.value.place.line == 2


def test_bytes_that_are_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSettings, match="cannot be read"):
        load_keymap(file)


def test_two_actions_with_one_key_are_told() -> None:
    (sentence,) = clashes(keys_of({"app.zoom": ("u",)}))
    assert "u is the key of app.zoom and app.undo" in sentence
    assert not clashes(keys_of({"table.sort": ("z",)})), "the nearest context wins, by design"


def test_the_default_table_has_no_clashes() -> None:
    assert clashes(keys_of({})) == []


@pytest.mark.parametrize("context", sorted(OF_APP - {"app"}))
def test_keys_of_one_place_do_not_hide_the_apps_own_on_the_way(context: str) -> None:
    """Actions on a pod, a run, a server … work beside those of the app: none may hide another."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    for name, action in table().items():
        if action.context in ("app", "view", context):
            for key in action.keys:
                users[key].append(name)
    assert {key: names for key, names in users.items() if len(names) > 1} == {}


def test_a_policy_is_a_model_and_a_pod_with_no_key_of_two_meanings() -> None:
    """Both work in the list of models; `V` serves in either."""
    held = {one.context: set[str]() for one in table().values()}
    for one in table().values():
        held[one.context].update(one.keys)
    assert held["model"] & held["pod"] == {"V"}


def test_no_key_that_terminals_keep_for_themselves() -> None:
    used = {key for action in table().values() for key in action.keys}
    eaten = {"ctrl+a", "ctrl+b", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m"}
    assert not used & eaten


def test_each_key_that_some_terminals_cannot_send_has_a_plain_twin() -> None:
    for action in table().values():
        hard = [key for key in action.keys if "alt+" in key or "ctrl+shift" in key]
        assert not hard or len(hard) < len(action.keys) or action.command, action.id
