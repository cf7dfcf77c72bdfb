"""Values as people write and read them, exit codes, and the generated page."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine import errors
from spice_tui.cli import observe, output, values
from spice_tui.cli.exit_codes import MEANINGS, OF_CODES, ExitCode
from spice_tui.cli.session import find_folder


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (60, "60 seconds"),
        (61, "1 minute"),
        (121, "2 minutes"),
        (3600, "60 minutes"),
        (3601, "1 hour"),
        (7199, "1 hour"),
        (7200, "2 hours"),
        (86400, "24 hours"),
        (86401, "1 day"),
        (5 * 86400, "5 days"),
    ],
)
def test_elapsed(seconds: int, text: str) -> None:
    assert values.elapsed(seconds) == text


def test_times_are_relative_for_two_weeks() -> None:
    now = 1_700_000_000.0
    assert values.ago(now - 30, now) == "30 seconds ago"
    assert values.ago(now - 14 * 86400, now) == "14 days ago"
    assert values.ago(now - 15 * 86400, now).startswith("2023-1")
    assert values.ago(now + 5, now) == "0 seconds ago"  # clocks differ


def test_durations_and_sizes() -> None:
    assert [values.duration(text) for text in ("90", "90s", "1.5m", "2h", "1d", "250ms")] == [
        90,
        90,
        90,
        7200,
        86400,
        0.25,
    ]
    assert values.duration("2", bare="m") == 120
    assert [values.size(text) for text in ("10", "1k", "512M", "2GiB", "1.5gb")] == [
        10,
        1024,
        512 * 2**20,
        2 * 2**30,
        3 * 2**29,
    ]


@given(st.text(max_size=8))
def test_no_text_does_more_than_raise_a_value_error(text: str) -> None:
    for read in (values.duration, values.size, values.run_number, values.moment):
        with contextlib.suppress(ValueError):
            read(text)


@given(st.text(max_size=20))
def test_safe_text_is_printable_and_the_same_when_it_was(text: str) -> None:
    assert output.safe(text).isprintable()
    if text.isprintable():
        assert output.safe(text) == text


@pytest.mark.parametrize(
    ("run", "code"),
    [
        ({"state": "complete", "exit_code": 0}, 0),
        ({"state": "complete", "exit_code": 66}, 66),
        ({"state": "failed", "exit_code": -9}, 137),
        ({"state": "killed", "exit_code": None}, 137),
        ({"state": "stopped"}, 143),
        ({"state": "interrupted"}, 1),
        ({"state": "complete", "exit_code": 256}, 0),
    ],
)
def test_the_exit_code_of_a_followed_run(run: dict[str, Any], code: int) -> None:
    assert values.run_exit_code(run) == code


def test_commands_read_as_they_were_typed() -> None:
    assert values.command_text(["sh", "-c", "a && b"]) == "a && b"
    assert values.command_text(["echo", "a b"]) == "echo 'a b'"
    assert values.command_text(["a b"]) == "a b"


def all_errors(kind: type[errors.SpiceError]) -> list[type[errors.SpiceError]]:
    found = [kind]
    for child in kind.__subclasses__():
        found += all_errors(child)
    return found


def test_every_error_has_a_documented_exit_code() -> None:
    codes = {kind.exit_code for kind in all_errors(errors.SpiceError)}
    assert codes <= set(ExitCode)
    assert set(MEANINGS) == set(ExitCode)


def test_an_app_folder_is_the_nearest_one_above(tmp_path: Path) -> None:
    (tmp_path / "home" / ".spice").mkdir(parents=True)  # what the original product left there
    app = tmp_path / "home" / "app"
    (app / "spicepods").mkdir(parents=True)
    deep = app / "data" / "x"
    deep.mkdir(parents=True)
    assert find_folder(deep) == app
    other = tmp_path / "home" / "other"
    other.mkdir()
    assert find_folder(other) == other
    (tmp_path / "home" / ".spice" / "engine.lock").touch()
    assert find_folder(other) == tmp_path / "home"


def test_the_page_about_the_command_line_is_up_to_date() -> None:
    script = Path(__file__).resolve().parents[2] / "docs" / "generate.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@given(st.lists(st.sampled_from(["1,2", "3,x", '4,"a', 'b"', '"c ""d"" e",5', ""]), max_size=40))
def test_parts_of_csv_are_the_whole_and_cut_no_quoted_cell(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observe, "CHUNK_BYTES", 8)
        parts = list(observe.csv_parts(io.BytesIO(b"time,a.b.c\n" + text)))
    bodies = [part.data.removeprefix(b"time,a.b.c\n") for part in parts]
    assert b"".join(bodies) == text
    assert all(body.count(b'"') % 2 == 0 for body in bodies[:-1])
    for number, part in enumerate(parts):
        assert part.skipped == b"".join(bodies[:number]).count(b"\n")


ALL_CODES = """
import importlib, json, pkgutil, spice_engine
from spice_engine.errors import by_code
for module in pkgutil.walk_packages(spice_engine.__path__, "spice_engine."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
elsewhere = {
    code: kind.exit_code
    for code, kind in by_code().items()
    if kind.__module__ != "spice_engine.errors" and kind.exit_code != 1
}
print(json.dumps(elsewhere))
"""


def test_errors_of_modules_that_no_command_imports_end_with_their_own_codes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALL_CODES], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == OF_CODES
