"""Tapes are read whole or refused with the place and advice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import IncompatibleVersion, SpiceError
from spice_tui.tape.commands import (
    FORMS,
    SETTINGS,
    Engine,
    Env,
    Expect,
    InvalidTape,
    Mask,
    Output,
    Press,
    Resize,
    Run,
    Screenshot,
    Set,
    Sleep,
    Source,
    Type,
    Wait,
)
from spice_tui.tape.grammar import parse
from spice_tui.tape.printing import print_command, print_tape
from spice_tui.tape.settings_line import gather

TOUR = """\
# spice-tui tape 1
Output tour.txt
Set Width 120
Set Height 40
Set Theme ansi-dark
Set Engine sample serverops
Set Clock 2026-01-01T00:00:00Z
Env LANG "C.UTF-8"
Require sh
Run "spice-tui trust --yes"
Mask /[0-9]+ ms/ "# ms"
Type@10ms "hello # no comment"   # a comment
Enter 2
Ctrl+Shift+P
Ctrl+s
Alt+1
Shift+Tab@5ms 3
Wait /Pods/
Wait+Line@5s /a\\/b/
Expect! /error/
Hide
Sleep 1.5s
Show
Resize 80 24
Source "other tape.tape"
Screenshot first
"""


def test_each_command_is_read_as_what_it_says() -> None:
    tape = parse(TOUR, "tour.tape")
    assert tape.commands[0] == Output("tour.txt")
    assert Set("Engine", Engine("sample", "serverops")) in tape.commands
    assert Set("Clock", 1767225600.0) in tape.commands
    assert Env("LANG", "C.UTF-8") in tape.commands
    assert Run("spice-tui trust --yes") in tape.commands
    assert Mask("[0-9]+ ms", "# ms") in tape.commands
    assert Type("hello # no comment", 10) in tape.commands
    assert Press("Enter", (), 2) in tape.commands
    assert Press("P", ("Ctrl", "Shift")) in tape.commands
    assert Press("S", ("Ctrl",)) in tape.commands
    assert Press("Tab", ("Shift",), 3, 5) in tape.commands
    assert Wait("a\\/b", "line", 5000) in tape.commands
    assert Expect("error", negated=True) in tape.commands
    assert Sleep(1500) in tape.commands
    assert Resize(80, 24) in tape.commands
    assert Source("other tape.tape") in tape.commands
    assert tape.commands[-1] == Screenshot("first")
    assert (tape.commands[-1].place.line, tape.commands[-1].place.column) == (26, 1)


def test_settings_are_gathered() -> None:
    settings = gather(parse(TOUR).commands)
    assert (settings.width, settings.height) == (120, 40)
    assert settings.engine == Engine("sample", "serverops")
    assert settings.clock == 1767225600.0


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        ("Tpye 'x'", 1, "Did you mean Type?"),
        ("type 'x'", 1, "Did you mean Type?"),
        ("  Enter x", 9, "no whole number"),
        ("Enter 0", 7, "between 1 and 1000"),
        ("Type hello", 6, "between quotes"),
        ("Type 'hello", 6, "not closed"),
        ("Wait Pods", 6, "/text/"),
        ("Wait /a(b/", 8, "cannot be used"),
        ("Wait /", 6, "no closing slash"),
        ("Wait@soon /a/", 1, "no time"),
        ("Wait+Row /a/", 1, "+Screen or +Line"),
        ("Set Widht 120", 5, "Did you mean Width?"),
        ("Set Width 5", 11, "between 20 and 500"),
        ("Set Engine recoding x", 12, "Did you mean recording?"),
        ("Set Clock yesterday", 11, "2026-01-01T00:00:00Z"),
        ("Screenshot a/b", 12, "snapshot's name"),
        ("Output tour.gif", 8, ".svg and .txt"),
        ("Ctrl+Entre", 1, "Did you mean Enter?"),
        ("Meta+x", 1, "no command"),
        ("Run 'rm -rf /'", 5, "spice-tui only"),
        ("Enter 1 2", 9, "no more than this"),
        ("Hide!", 1, "takes no '!'"),
    ],
)
def test_errors_say_where_and_what_to_do(line: str, column: int, says: str) -> None:
    with pytest.raises(InvalidTape) as caught:
        parse(f"# first\n{line}\n", "bad.tape")
    place = caught.value.place
    assert place is not None
    assert (place.file, place.line, place.column) == ("bad.tape", 2, column)
    assert says in str(caught.value)


def test_a_tape_of_a_newer_program_is_refused() -> None:
    with pytest.raises(IncompatibleVersion, match="version 2"):
        parse("# spice-tui tape 2\nEnter\n")


def test_a_printed_tape_reads_as_the_same() -> None:
    tape = parse(TOUR)
    assert parse(print_tape(tape)) == tape


WORDS = st.sampled_from([*FORMS, *SETTINGS, "Set", "!", "+Line", "@5s", "/a/", '"x"', "'", "5"])
LINES = st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=5).map(" ".join)


@given(st.one_of(st.text(), st.lists(LINES, max_size=6).map("\n".join)))
def test_any_text_is_a_tape_or_an_error_with_a_place(text: str) -> None:
    try:
        tape = parse(text)
    except SpiceError as error:
        place = error.place
    else:
        assert parse(print_tape(tape)) == tape
        return
    assert place is not None
    assert place.line >= 1
    assert place.column >= 1


PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\n\"'`\0"), min_size=1)
COMMANDS = st.one_of(
    st.builds(Type, st.text(st.characters(codec="utf-8", exclude_characters='\n"`'))),
    st.builds(Env, st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), PATHS),
    st.builds(Press, st.sampled_from(["Enter", "F5"]), st.just(("Alt",)), st.integers(1, 1000)),
    st.builds(Press, st.characters(categories=["L", "P", "S"]), st.just(("Alt",))),
    st.builds(Source, PATHS),
    st.builds(Sleep, st.integers(0, 3_600_000)),
    st.builds(Set, st.just("Engine"), st.builds(Engine, st.just("fixture"), PATHS)),
    st.builds(Set, st.just("Clock"), st.integers(0, 32503679999 * 10**6).map(lambda n: n / 1e6)),
)


@given(st.lists(COMMANDS, max_size=5))
def test_what_a_program_prints_is_read_back(commands: list[Type]) -> None:
    text = "\n".join(print_command(command) for command in commands)
    assert list(parse(text).commands) == commands
