"""What commands of servers print: differences of answers, CSV, plans, saves."""

from __future__ import annotations

import io
import math
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import ChildFailed, InvalidSettings
from spice_tui.cli import output
from spice_tui.cli.server_dev import difference, saves
from spice_tui.cli.server_follow import check, reason
from spice_tui.cli.server_metrics import write
from spice_tui.cli.server_predict import body_of, curl_command, unseen
from spice_tui.cli.values import size_text


def answer(body: str, *, status: int = 200, kind: str = "application/json") -> dict[str, Any]:
    return {"status": status, "content_type": kind, "body": body, "ms": 1.25, "binary": False}


def test_the_first_answer_is_shown_whole() -> None:
    assert list(difference(None, answer('{"a":[1]}'))) == [
        "200 in 1.2 ms",
        "{",
        '  "a": [',
        "    1",
        "  ]",
        "}",
    ]


def test_answers_are_compared_as_json_line_by_line() -> None:
    found = list(difference(answer('{"a":1,"b":2}'), answer('{"a": 1, "b": 3}')))
    assert found[0] == "Answer changed: 200 in 1.2 ms"
    assert [line for line in found if line[0] in "+-"] == ['-  "b": 2', '+  "b": 3']
    assert list(difference(answer("[1]"), answer("[1]"))) == ["Answer unchanged: 200 in 1.2 ms"]


def test_a_status_that_changes_is_a_difference() -> None:
    found = list(difference(answer("1"), answer("no", status=500, kind="text/plain")))
    assert [line for line in found if line[0] in "+-"] == ["-1", "+HTTP 500", "+no"]


def test_control_characters_of_an_answer_are_made_visible() -> None:
    shown = list(difference(None, answer("a\x1b[2Jb", kind="text/plain")))
    assert shown[1] == "a\\x1b[2Jb"


def test_series_become_rows_with_all_their_values() -> None:
    series = [
        {"name": "rate", "tag": "", "times": [1.0, 2.5], "values": [0.5, math.nan]},
        {"name": "own", "tag": "a,b", "times": [3], "values": ["text"]},
    ]
    out = io.StringIO()
    assert write(series, out) == 3
    assert out.getvalue().splitlines() == [
        "index,metric_name,tag,value,timestamp",
        "0,rate,,0.5,1.000",
        "1,rate,,nan,2.500",
        '0,own,"a,b",text,3.000',
    ]


def info(**changes: Any) -> dict[str, Any]:
    plain = {"name": "x", "state": "running", "message": "", "rollout": None, "version": 2}
    return {**plain, **changes}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (info(state="failed", message="the reason"), "the reason"),
        (info(state="stopped"), "no reason is known"),
        (info(rollout={"state": "rolled back", "to_version": 2, "message": "bad"}), "rolled back"),
        (info(rollout={"state": "failed", "to_version": 2, "message": "bad"}), "version 2"),
    ],
)
def test_why_a_server_does_not_run(found: dict[str, Any], said: str) -> None:
    with pytest.raises(ChildFailed, match=said):
        check(found, stopped=bool(found["rollout"]))


def test_a_stopped_server_takes_a_version_along_and_a_start_asks_for_no_rollout() -> None:
    check(info(state="stopped"), stopped=True)
    check(info(rollout={"state": "rolled back", "to_version": 2, "message": "bad"}), stopped=False)


def test_the_lines_above_a_reason_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "json_wanted", lambda: False)  # whatever was run before
    assert (
        reason("Traceback (most recent call last):\n  File x\nValueError: no") == "ValueError: no"
    )
    assert capsys.readouterr().err == "Traceback (most recent call last):\n  File x\n"


def test_payloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.json").write_text("[1]")
    (tmp_path / "2").write_text("[2]")
    monkeypatch.setattr("sys.stdin", io.StringIO('"in"'))
    texts = ['{"a": 1}', "p.json", "@p.json", "-", "2"]
    assert [body_of(text) for text in texts] == [{"a": 1}, [1], [1], "in", 2]
    for text in ("{", "none.json", "@none.json"):
        with pytest.raises(InvalidSettings):
            body_of(text)


def test_curl_gets_the_token_where_one_is_needed() -> None:
    details = {
        "info": {"url": "http://h/local/x/predict"},
        "definition": {"door": {"auth": "token"}},
        "token": "t0k",
    }
    asked = curl_command(details, "predict", {"a": "ü'"})
    assert asked[-2:] == ["--data-binary", '{"a": "ü\'"}']
    assert "Authorization: Bearer t0k" in asked
    details["definition"] = {"door": {"auth": "none"}}
    assert curl_command(details, "health", None)[-1] == "http://h/local/x/health"


def test_curl_reads_the_token_where_nobody_else_sees_it() -> None:
    secret = ["curl", "--header", "Authorization: Bearer secret", "http://h"]
    command = unseen(secret)
    assert "secret" not in " ".join(command)
    seen = subprocess.run(
        ["cat", command[2].removeprefix("@")], close_fds=False, capture_output=True, check=True
    )
    os.close(int(command[2].rpartition("/")[2]))
    assert seen.stdout == b"Authorization: Bearer secret\n"


def test_a_payload_that_is_nested_too_deep_is_no_json() -> None:
    with pytest.raises(InvalidSettings, match="no JSON"):
        body_of("[" * 100_000)


def test_saves_are_told_once_each_and_only_those_of_code(tmp_path: Path) -> None:
    seen: list[set[Path]] = []
    watcher = threading.Thread(
        target=lambda: seen.extend(one for _, one in zip(range(2), saves(tmp_path), strict=False)),
        daemon=True,
    )
    watcher.start()
    (tmp_path / ".spice").mkdir()
    deadline = time.monotonic() + 20
    number = 0
    while len(seen) < 2 and time.monotonic() < deadline:
        number += 1
        (tmp_path / "serve.py").write_text(f"x = {number}\n")
        (tmp_path / ".spice" / "inner.py").write_text(f"{number}\n")
        (tmp_path / "out.log").write_text(f"{number}\n")
        time.sleep(0.3)
    watcher.join(10)
    assert seen == [{tmp_path / "serve.py"}] * 2


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (1000, "1000B"),
        (5000, "4.9K"),
        (10_188, "9.9K"),
        (29 * 2**20, "29M"),
        (2**30 - 1, "1.0G"),
        (3 * 2**50, "3.0P"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text
