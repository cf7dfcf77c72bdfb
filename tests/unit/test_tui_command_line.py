"""The `:` line: what is typed, suggested and remembered."""

from __future__ import annotations

import pytest

from spice_tui.models.command_line import (
    MAX_HISTORY,
    RAW,
    UnknownCommand,
    commands,
    parse,
    remember,
    suggest,
)


@pytest.mark.parametrize(
    ("line", "action", "arguments"),
    [
        (":help", "app.help", ()),
        ("  : train  shop  40 ", "pod.train", ("shop", "40")),
        ("write 'my file.csv'", "app.write", ("my file.csv",)),
        ("sql SELECT 'a b', \"c\"", "app.sql", ("SELECT 'a b', \"c\"",)),
        ('run echo "it\'s" | wc', "run.start", ('echo "it\'s" | wc',)),
        ("sql", "app.sql", ()),
    ],
)
def test_what_a_line_means(line: str, action: str, arguments: tuple[str, ...]) -> None:
    command = parse(line)
    assert (command.action.id, command.arguments) == (action, arguments)


def test_an_unknown_command_names_the_nearest() -> None:
    with pytest.raises(UnknownCommand, match="no command :trian") as caught:
        parse(":trian shop")
    assert caught.value.hint == "Did you mean :train?"
    with pytest.raises(UnknownCommand) as caught:
        parse(":zzzzzz")
    assert "ctrl+p" in caught.value.hint


def test_a_quotation_mark_that_is_not_closed() -> None:
    with pytest.raises(UnknownCommand, match="no closing quotation") as caught:
        parse(":write 'my file.csv")
    assert "quotation mark" in caught.value.hint


def test_commands_that_take_the_whole_line_exist() -> None:
    assert set(commands()) >= RAW


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("", ""),
        ("tra", "in shop 40"),  # what was typed before comes first
        ("reco", "mmend"),
        ("recommend sh", "op"),
        ("recommend ", ""),
        ("recommend shop", ""),
        (" sh", ""),
    ],
)
def test_what_is_offered(line: str, rest: str) -> None:
    assert suggest(line, ["help", "train shop 40"], ["garden", "shop"]) == rest


def test_history_is_bounded_and_without_doubles() -> None:
    assert remember(["a", "b", "c"], "b") == ["a", "c", "b"]
    long = remember([str(number) for number in range(MAX_HISTORY)], "new")
    assert len(long) == MAX_HISTORY
    assert (long[0], long[-1]) == ("1", "new")
