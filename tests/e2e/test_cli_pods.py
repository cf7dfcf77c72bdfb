"""The commands about pods, as processes of their own against real engines."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spice_engine.protocol.location import is_locked
from tests.conftest import REPOSITORY, EngineFixture, wait_for

pytestmark = pytest.mark.e2e

PROGRAM = [sys.executable, "-m", "spice_tui.cli.main"]
SAMPLE = REPOSITORY / "sample_pods" / "serverops"
FIRST = 1767225600
"""Epoch of the sample, and its first reading."""
LAST = FIRST + 24 * 3600
HEADER = "time,hostmetrics.service.cpu,hostmetrics.service.memory\n"
TESTS = """
  reward_tests:
    - action: do_nothing
      current_state: {hostmetrics_service_cpu: 10}
      next_state: {hostmetrics_service_cpu: 50, hostmetrics_service_memory: 10}
      expect: 1
"""
BAR = "━"
"""Is there when all that the bar needs is imported. A Ctrl+C in an import that makes a data class
is caught as any other, but `python -m` then ends as if it had not been: by the signal."""
QUICK = "reward = (soon - 40) / 10"
ENDLESS = """total = 0
        for a in range(9999):
          for b in range(9999):
            total = a + b
        reward = total + (soon - 40) / 10"""
CODED = """training:
  reward_funcs: rewards.py
  rewards:
    - {reward: do_nothing, with: quiet}
    - {reward: preload_cache, with: busy}
    - {reward: perform_maintenance, with: busy}
"""
CODE = """
def quiet(before, said, after, said_after):
    return 1.0 if after["hostmetrics_service_cpu"] < 50 else -1.0


def busy(*given):
    return -quiet(*given)
"""


def cli(folder: Path, *arguments: str, given: str | bytes = b"") -> tuple[int, str, str]:
    """Exit code, output and errors of one command in a folder."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        input=given.encode() if isinstance(given, str) else given,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Terminal:
    """A command on a terminal of 120 columns."""

    def __init__(self, folder: Path, *arguments: str, **more: str) -> None:
        self._leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **more},
            stdin=follower,
            stdout=follower,
            stderr=follower,
        )
        os.close(follower)

    def read(self, until: str = "") -> str:
        """What it prints: until this is there, or to its end."""
        text = b""
        while not until or until.encode() not in text:
            try:
                data = os.read(self._leader, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not data:
                break
            text += data
        return text.decode(errors="replace")

    def end(self) -> tuple[int, str]:
        """Its exit code, and the rest of what it prints."""
        text = self.read()
        os.close(self._leader)
        return self.process.wait(60), text


def on_terminal(folder: Path, *arguments: str, **more: str) -> tuple[int, str]:
    """Exit code and all output of a command on a terminal."""
    return Terminal(folder, *arguments, **more).end()


def manifest(name: str = "serverops") -> str:
    """The sample's manifest, under a name."""
    text = (SAMPLE / "spicepods" / "serverops.yaml").read_text()
    return text.replace("name: serverops", f"name: {name}", 1)


def rewarded_by_file(name: str) -> str:
    text = manifest(name)
    return text[: text.index("training:")] + CODED


def app(folder: Path, *texts: str) -> Path:
    """An app folder with manifests, and the sample's data."""
    (folder / "spicepods").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data" / "metrics.csv").write_bytes((SAMPLE / "data" / "metrics.csv").read_bytes())
    for text in texts:
        name = text.partition("name: ")[2].split()[0]
        (folder / "spicepods" / f"{name}.yaml").write_text(text)
    return folder


def elsewhere(folder: Path, text: str) -> Path:
    """A manifest that lies in no spicepods folder, beside its data."""
    root = app(folder)
    (root / "spicepods").rmdir()
    path = root / "loose.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, so that what stays behind is seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def served(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with samples that have learned."""
    for name in ("serverops", "gardener", "trader"):
        shared_engine.call("samples.add", name=f"samples/{name}")
    for name in ("serverops", "gardener", "trader"):
        wait_for(lambda name=name: state(shared_engine, name) == "ready", f"{name} to be ready", 60)
    return shared_engine


def state(engine: EngineFixture, pod: str) -> str | None:
    with engine.client() as client:
        known = {one["name"]: one for one in client.call("pods.list")["pods"]}
    return known[pod]["state"] if pod in known else None


def root(engine: EngineFixture) -> Path:
    return engine.location.root


# -- train


def test_training_by_name_prints_plain_lines_into_a_pipe(served: EngineFixture):
    code, out, err = cli(root(served), "train", "serverops")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("For comparison: random -1276")
    assert [line.split()[:2] for line in lines[1:11]] == [["Episode", str(n)] for n in range(1, 11)]
    assert "complete, policy v" in lines[11]
    assert "REGRET CLOSED" in lines[12]
    assert "\x1b" not in out
    assert "━" not in out


def test_training_as_json_is_one_object(served: EngineFixture):
    code, out, err = cli(root(served), "train", "serverops", "--number-episodes", "3", "--json")
    assert (code, err) == (0, "")
    training = json.loads(out)
    assert training["state"] == "complete"
    assert len(training["episodes"]) == 3
    assert training["evaluation"]["held_out"]["regret_closed"] > 0.2


def test_a_terminal_has_a_bar_while_it_trains_and_not_afterwards(served: EngineFixture):
    code, text = on_terminal(root(served), "train", "serverops")
    assert code == 0
    assert "━" in text
    assert "of regret closed" in text
    assert "━" not in text[text.index("complete, policy v") :]
    code, text = on_terminal(root(served), "train", "serverops", TERM="dumb")
    assert code == 0
    assert "━" not in text
    assert "\x1b" not in text


def test_training_in_the_background_comes_back_at_once(served: EngineFixture):
    code, out, _ = cli(root(served), "train", "serverops", "--background")
    assert code == 0
    assert out.startswith("Training serverops/")
    assert out.endswith(" started.\n")
    wait_for(lambda: state(served, "serverops") == "ready", "its end")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nothing"], 5, "there is no pod 'nothing'"),
        (["nothing.yaml"], 5, "there is no file 'nothing.yaml'"),
        (["serverops", "--learning-algorithm", "magic"], 2, "magic"),
        (["serverops", "--number-episodes", "0"], 2, "1 or more"),
        (["serverops", "--trust"], 2, "manifest's path"),
        (["spicepods/serverops.yaml", "-b"], 2, "pod's name"),
    ],
)
def test_what_cannot_be_trained_is_said(
    served: EngineFixture, arguments: list[str], code: int, sentence: str
):
    found, out, err = cli(root(served), "train", *arguments)
    assert (found, out) == (code, "")
    assert sentence in err


def test_a_manifests_path_uses_the_engine_that_runs_and_leaves_it(served: EngineFixture):
    before = served.pid
    code, out, _ = cli(root(served), "train", "spicepods/serverops.yaml")
    assert code == 0
    assert "complete, policy v" in out
    assert served.pid == before


def test_a_manifests_path_needs_no_engine_and_leaves_none(tmp_path: Path):
    folder = app(tmp_path / "app", manifest())
    fixture = EngineFixture(folder)
    code, out, err = cli(tmp_path, "train", "app/spicepods/serverops.yaml")
    assert (code, err) == (0, "")
    assert "Training serverops/1 complete, policy v1." in out
    assert not is_locked(fixture.location)
    try:
        assert cli(folder, "recommend", "serverops")[0] == 0  # its policy stays in the folder
    finally:
        fixture.stop()


def test_another_algorithm_waits_for_the_training_that_a_new_manifest_begins(tmp_path: Path):
    folder = app(tmp_path / "app", manifest())
    arguments = ["train", "spicepods/serverops.yaml", "--learning-algorithm", "fqi", "--json"]
    code, out, err = cli(folder, *arguments)
    assert (code, err) == (0, "")
    training = json.loads(out)
    assert (training["algorithm"], training["state"]) == ("fqi", "complete")


def test_a_manifest_elsewhere_leaves_nothing_behind(tmp_path: Path, temporary: Path):
    path = elsewhere(tmp_path / "loose", manifest())
    code, out, err = cli(tmp_path, "train", "loose/loose.yaml")
    assert (code, err) == (0, "")
    assert "Training serverops/1 complete, policy v1." in out
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["data", "loose.yaml"]
    assert list(temporary.iterdir()) == []


def test_a_broken_manifest_is_told_by_the_path_that_was_given(tmp_path: Path, temporary: Path):
    text = manifest().replace("granularity: 30s", "granularity: 30 parsecs")
    line = 1 + next(k for k, item in enumerate(text.splitlines()) if "parsecs" in item)
    elsewhere(tmp_path / "loose", text)
    code, out, err = cli(tmp_path, "train", "loose/loose.yaml")
    assert (code, out) == (4, "")
    assert err.startswith(f"loose/loose.yaml:{line}:16: error invalid_duration: ")
    assert "parsecs" in err
    assert "Traceback" not in err
    code, out, err = cli(tmp_path, "train", "loose/loose.yaml", "--json")
    assert (code, out) == (4, "")
    (problem,) = json.loads(err)["error"]["problems"]
    assert (problem["file"], problem["line"]) == ("loose/loose.yaml", line)
    assert list(temporary.iterdir()) == []


def test_rewards_that_raise_are_told_by_the_path_that_was_given(tmp_path: Path, temporary: Path):
    text = manifest().replace(QUICK, "reward = soon / (memory - memory)")
    elsewhere(tmp_path / "loose", text)
    code, out, err = cli(tmp_path, "train", "loose/loose.yaml")
    assert code == 4
    assert "loose/loose.yaml:42:18: " in err
    assert "ZeroDivisionError" in err
    assert "spicepods/" not in out + err
    assert list(temporary.iterdir()) == []


def test_code_of_a_file_needs_trust_given_for_this_once(tmp_path: Path, temporary: Path):
    path = elsewhere(tmp_path / "loose", rewarded_by_file("coded"))
    path.with_name("rewards.py").write_text(CODE)
    code, _, err = cli(tmp_path, "train", "loose/loose.yaml")
    assert code == 4
    assert "train it with --trust" in err
    code, out, _ = cli(tmp_path, "train", "loose/loose.yaml", "--trust")
    assert code == 0
    assert "Training coded/1 complete" in out
    assert cli(tmp_path, "train", "loose/loose.yaml")[0] == 4  # it was for once


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_breaking_off_the_training_of_a_file_leaves_no_engine(
    tmp_path: Path, temporary: Path, number: int, code: int
):
    elsewhere(tmp_path / "loose", manifest().replace(QUICK, ENDLESS))
    terminal = Terminal(tmp_path, "train", "loose/loose.yaml")
    terminal.read(until=BAR)
    (lock,) = temporary.glob("*/.spice/engine.lock")
    engine = EngineFixture(lock.parent.parent).pid
    terminal.process.send_signal(number)
    ended, text = terminal.end()
    assert ended == code
    assert ("Training serverops/1 was broken off" in text) is (number == signal.SIGINT)
    assert list(temporary.iterdir()) == []
    wait_for(lambda: not runs(engine), "its engine to be gone")


def runs(pid: int) -> bool:
    """Whether the process is there, and no zombie that nobody waits for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    command = Path(f"/proc/{pid}/cmdline")
    return not command.exists() or bool(command.read_bytes())


def test_breaking_off_the_following_leaves_the_training(engine: EngineFixture):
    folder = engine.location.root
    for entry in app(folder / "made", manifest().replace(QUICK, ENDLESS)).iterdir():
        entry.rename(folder / entry.name)
    engine.start()
    wait_for(lambda: state(engine, "serverops") == "training", "the training")
    terminal = Terminal(folder, "train", "spicepods/serverops.yaml")
    terminal.read(until=BAR)
    terminal.process.send_signal(signal.SIGINT)
    code, text = terminal.end()
    assert code == 130, text
    assert "Training serverops/1 goes on: spice-tui pods show serverops" in text
    assert state(engine, "serverops") == "training"


# -- observe, observations


def test_observations_are_taken_from_a_file_and_from_standard_input(served: EngineFixture):
    folder = root(served)
    (folder / "rows.csv").write_text(f"{HEADER}{FIRST + 1},11,21\n{FIRST + 2},12,22\n")
    assert cli(folder, "observe", "serverops", "rows.csv") == (0, "2 rows accepted.\n", "")
    code, out, _ = cli(folder, "observe", "serverops", "rows.csv")
    assert (code, out) == (0, "2 rows accepted, known already.\n")
    given = f"{HEADER}{FIRST + 3},13,23\n"
    assert cli(folder, "observe", "serverops", "-", given=given) == (0, "1 row accepted.\n", "")
    code, out, _ = cli(folder, "observations", "serverops", "--end", str(FIRST + 4))
    lines = out.splitlines()
    assert lines[0].startswith(HEADER.strip())
    assert [line.rstrip(",") for line in lines[2:]] == [
        f"{FIRST + 1},11,21",
        f"{FIRST + 2},12,22",
        f"{FIRST + 3},13,23",
    ]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_what_observations_prints_observe_takes_back(
    served: EngineFixture, tmp_path: Path, form: str
):
    more = ["--json"] if form == "json" else []
    stretch = ["--start", str(FIRST + 600), "--end", str(FIRST + 1199), *more]
    code, out, _ = cli(root(served), "observations", "serverops", *stretch)
    assert code == 0
    other = app(tmp_path / "other", manifest())
    (other / "data" / "metrics.csv").write_text("time,cpu,memory\n")
    (other / f"rows.{form}").write_text(out)
    fixture = EngineFixture(other)
    fixture.start()
    try:
        code, told, err = cli(other, "observe", "serverops", f"rows.{form}")
        assert (code, told, err) == (0, "20 rows accepted.\n", "")
        assert cli(other, "observations", "serverops", *stretch) == (0, out, "")
    finally:
        fixture.stop()


def test_rows_that_cannot_be_read_are_counted_with_examples(served: EngineFixture):
    given = f"{HEADER}{FIRST + 11},1,2\n{FIRST + 12},x,2\nyesterday,1,2\n"
    code, out, _ = cli(root(served), "observe", "serverops", "-", given=given)
    assert code == 0
    assert out.splitlines() == [
        "2 rows accepted.",
        "1 row could not be read:",
        "hostmetrics.service.cpu: 1 cell holds no finite number.",
        "  line 3: 'x' is no finite number",
        "  line 4: 'yesterday' is not a time",
    ]


def test_a_large_file_goes_in_parts_and_lines_keep_their_numbers(
    served: EngineFixture, tmp_path: Path
):
    rows = [
        f"{FIRST + 20 + n / 100:.2f},{n % 97}.123456789,{n % 89}.987654321" for n in range(90_000)
    ]
    rows[80_000] = f"{FIRST + 900},x,1"
    large = tmp_path / "large.csv"
    large.write_text(HEADER + "\n".join(rows) + "\n")
    assert large.stat().st_size > 3 * 2**20
    code, out, _ = cli(root(served), "observe", "serverops", str(large), "--key", "large", "--json")
    answer = json.loads(out)
    assert (code, answer["rows"], answer["duplicate"]) == (0, 90_000, False)
    assert [one["line"] for one in answer["examples"]] == [80_002]
    code, out, _ = cli(root(served), "observe", "serverops", str(large), "--key", "large", "--json")
    answer = json.loads(out)
    assert (code, answer["rows"], answer["duplicate"]) == (0, 90_000, True)
    code, text = on_terminal(root(served), "observe", "serverops", str(large))
    assert code == 0
    assert "MB" in text


def test_data_of_one_dataspace_are_in_the_form_that_its_processor_reads(served: EngineFixture):
    given = f"time,cpu,memory\n{FIRST + 31},5,6\n"
    space = ["--dataspace", "hostmetrics/service"]
    code, out, _ = cli(root(served), "observe", "serverops", "-", *space, given=given)
    assert (code, out) == (0, "1 row accepted.\n")


@pytest.mark.parametrize(
    ("arguments", "given", "code", "sentence"),
    [
        (["nothing", "-"], HEADER, 5, "there is no pod 'nothing'"),
        (["serverops", "nothing.csv"], "", 5, "there is no file 'nothing.csv'"),
        (["serverops", "-"], "", 4, "no header"),
        (["serverops", "-", "--dataspace", "a/b"], "", 5, "hostmetrics/service"),
        (["serverops", "-", "--format", "json"], "{", 4, "no JSON"),
        (["serverops", "-", "--format", "xml"], "", 2, "csv or json"),
        (["serverops", "-", "--format", "json"], " " * (15 * 2**20 + 1), 4, "too much"),
    ],
)
def test_data_that_cannot_be_taken_are_refused(
    served: EngineFixture, arguments: list[str], given: str, code: int, sentence: str
):
    found, out, err = cli(root(served), "observe", *arguments, given=given)
    assert (found, out) == (code, "")
    assert sentence in err
    assert "Traceback" not in err


# -- interpretations


def test_interpretations_of_a_file_in_the_originals_form(served: EngineFixture):
    folder = root(served)
    one = {"Start": FIRST + 60, "End": FIRST + 120, "Name": "rise", "Actions": None, "Tags": ["t"]}
    (folder / "said.json").write_text(json.dumps([one]))
    assert cli(folder, "interpretations", "add", "serverops", "said.json")[:2] == (
        0,
        "1 added to serverops.\n",
    )
    more = ["--start", str(FIRST + 600), "--end", str(FIRST + 660), "--name", "fall"]
    more += ["--action", "do_nothing", "--tag", "x", "--tag", "y"]
    assert cli(folder, "interpretations", "add", "serverops", *more)[0] == 0
    code, out, _ = cli(folder, "interpretations", "list", "serverops", "--json")
    assert code == 0
    assert json.loads(out) == [
        {"start": FIRST + 60, "end": FIRST + 120, "name": "rise", "actions": [], "tags": ["t"]},
        {
            "start": FIRST + 600,
            "end": FIRST + 660,
            "name": "fall",
            "actions": ["do_nothing"],
            "tags": ["x", "y"],
        },
    ]
    late = ["--start", str(FIRST + 120)]
    code, out, _ = cli(folder, "interpretations", "list", "serverops", *late)
    assert [line.split()[4] for line in out.splitlines()[1:]] == ["fall"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--start", "10", "--end", "20"], 2, "start '10' must be same or later than pod epoch"),
        (["--start", str(FIRST), "--end", str(LAST + 1)], 2, "must be same or before pod end"),
        (["--start", str(FIRST)], 2, "give FILE, or --start and --end"),
        (["said.txt", "--name", "x"], 2, "give it alone"),
        (["said.txt"], 5, "there is no file"),
        (["data/metrics.csv"], 2, "is no JSON"),
    ],
)
def test_interpretations_that_cannot_be_kept_are_refused(
    served: EngineFixture, arguments: list[str], code: int, sentence: str
):
    found, out, err = cli(root(served), "interpretations", "add", "serverops", *arguments)
    assert (found, out) == (code, "")
    assert sentence in err


# -- recommend


def test_a_supposed_state_changes_the_recommendation(served: EngineFixture):
    def action(*states: str) -> str:
        options = [part for state in states for part in ("--state", state)]
        code, out, _ = cli(root(served), "recommend", "gardener", *options, "--json")
        assert code == 0
        return json.loads(out)["action"]

    assert action("sensors.garden.moisture=40") == "close_valve"
    assert action("sensors.garden.moisture=15", "sensors_garden_sun=0") == "open_valve_full"


def test_an_explanation_shows_the_values_and_the_rule(served: EngineFixture):
    code, out, _ = cli(root(served), "recommend", "gardener", "--explain")
    assert code == 0
    for heading in ("ACTION", "FEATURE", "Because"):
        assert any(line.startswith(heading) for line in out.splitlines())
    rule = out[out.index("Because") :].splitlines()[1:]
    assert rule
    assert all("<=" in line or ">" in line for line in rule)


def test_an_explanation_says_what_the_laws_forbid(served: EngineFixture):
    broke = ["--state", "local.portfolio.usd=0", "--state", "local.portfolio.coins=5"]
    code, out, _ = cli(root(served), "recommend", "trader", *broke, "--explain", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["action"] not in {"buy", "large_buy"}
    better = [k for k, v in answer["values"].items() if v > answer["values"][answer["action"]]]
    _, out, _ = cli(root(served), "recommend", "trader", *broke, "--explain")
    assert ("Against the laws in this state" in out) is bool(better)
    assert all(name in out for name in better)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nothing"], 5, "there is no pod"),
        (["serverops", "--state", "nothing=1"], 2, "has no field 'nothing'"),
        (["serverops", "--state", "cpu"], 2, "FIELD=NUMBER"),
        (["serverops", "--tag", "v999"], 5, "v999"),
        (["serverops", "--time", "soon"], 2, "is no time"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    served: EngineFixture, arguments: list[str], code: int, sentence: str
):
    found, out, err = cli(root(served), "recommend", *arguments)
    assert (found, out) == (code, "")
    assert sentence in err


# -- rewards test, pods evaluate, feeds, show


def test_reward_tests_end_with_1_when_one_fails(tmp_path: Path):
    folder = app(tmp_path / "app", manifest("good") + TESTS, manifest("none"))
    fixture = EngineFixture(folder)
    fixture.start()
    try:
        code, out, err = cli(folder, "rewards", "test")
        assert (code, err) == (0, "")
        assert out.splitlines()[1].split()[:5] == ["good", "do_nothing", "1", "1", "passed"]
        assert out.endswith("1 passed, 0 failed.\n")
        code, out, _ = cli(folder, "rewards", "test", "none")
        assert (code, out.split(";")[0]) == (0, "There are no reward tests")
        wrong = manifest("good") + TESTS.replace("expect: 1", "expect: 2")
        line = 1 + wrong.splitlines().index("    - action: do_nothing")
        (folder / "spicepods" / "good.yaml").write_text(wrong)
        wait_for(lambda: cli(folder, "rewards", "test", "good")[0] == 1, "the changed test to fail")
        code, out, err = cli(folder, "rewards", "test", "good", "--json")
        answer = json.loads(out)
        assert (code, answer["failed"], answer["passed"]) == (1, 1, 0)
        assert (answer["tests"][0]["got"], answer["tests"][0]["line"]) == (1, line)
    finally:
        fixture.stop()


def test_an_evaluation_is_shown_whole(served: EngineFixture):
    code, out, _ = cli(root(served), "pods", "evaluate", "gardener")
    assert code == 0
    for text in (
        "contextual (no action changes the data)",
        "REGRET CLOSED",
        "WITH 95 %",
        "in sample",
        "held out",
        "TAKEN HELD OUT",
        "Confidence:",
        "SCORE ON 3 FOLDS",
        "close_valve",
    ):
        assert text in out
    code, out, _ = cli(root(served), "pods", "evaluate", "trader")
    assert "simulated (actions change local state)" in out
    assert "local_portfolio_usd" in out


def test_an_earlier_version_has_its_own_evaluation(served: EngineFixture):
    cli(root(served), "train", "serverops", "--number-episodes", "1")
    cli(root(served), "train", "serverops")
    with served.client() as client:
        versions = client.call("pods.versions", {"pod": "serverops"})["versions"]
    answers = [
        json.loads(cli(root(served), "pods", "evaluate", "serverops", "--tag", tag, "--json")[1])
        for tag in ("latest", f"v{versions[1]['version']}")
    ]
    assert [one["version"] for one in answers] == [one["version"] for one in versions[:2]]
    assert [len(one["evaluation"]["candidates"]) for one in answers] == [10, 1]
    code, out, err = cli(root(served), "pods", "evaluate", "serverops", "--tag", "nothing")
    assert (code, out) == (5, "")
    assert "no version tagged 'nothing'" in err


def test_two_policies_are_compared_and_one_is_explained(served: EngineFixture):
    evaluate = ("pods", "evaluate", "gardener", "--compare")
    code, out, _ = cli(root(served), *evaluate, "fqi", "linear")
    assert code == 0
    assert "not seen before" in out
    assert "fqi is better by " in out
    answer = json.loads(cli(root(served), *evaluate, "latest", "v1", "--json")[1])
    assert [answer[one]["kind"] for one in ("first", "second")] == ["version", "version"]
    assert (answer["second"]["name"], answer["second"]["version"]) == ("v1", 1)
    assert not answer["first"]["unseen"]
    assert "learned from" in answer["words"]
    code, out, _ = cli(root(served), *evaluate, "latest", "v1", "--also", "linear")
    assert code == 0
    assert "3 pairs were looked at" in out
    assert cli(root(served), "pods", "evaluate", "gardener", "--also", "v1")[0] == 2
    code, out, err = cli(root(served), *evaluate, "latest", "nothing")
    assert (code, out) == (5, "")
    assert "no version 'nothing', nor is that an algorithm" in err
    code, out, _ = cli(root(served), "pods", "explain", "gardener", "--rules", "3")
    assert code == 0
    for text in ("close_valve", "WHEN", "sensors_garden_moisture[0]", "REWARD LOST A STEP"):
        assert text in out
    answer = json.loads(cli(root(served), "pods", "explain", "trader", "--json")[1])
    assert answer["lost_by"] == "values"
    assert sum(one["taken"] for one in answer["actions"]) == answer["steps"]
    code, _, err = cli(root(served), "pods", "explain", "gardener", "--tag", "nothing")
    assert code != 0
    assert "nothing" in err


def feed_states(engine: EngineFixture, pod: str) -> list[str]:
    with engine.client() as client:
        return [feed["state"] for feed in client.call("pods.feeds", {"pod": pod})["feeds"]]


def test_a_pod_is_shown_with_its_dataspaces_and_feeds(tmp_path: Path):
    feed = """
    data:
      connector:
        name: http
        params:
          url: http://127.0.0.1:9/rows
          polling_interval: 1h
      processor:
        name: csv
    measurements:"""
    text = manifest("fed")
    start, end = text.index("    data:"), text.index("    measurements:")
    folder = app(tmp_path / "app", text[:start].rstrip() + feed + text[end:].partition(":")[2])
    fixture = EngineFixture(folder)
    fixture.start()
    try:
        wait_for(lambda: feed_states(fixture, "fed") == ["failing"], "the feed to fail")
        code, out, _ = cli(folder, "pods", "feeds", "fed")
        heading, row, error = out.splitlines()[:3]
        assert (code, heading.split()[0]) == (0, "DATASPACE")
        assert row.split()[:4] == ["hostmetrics/service", "data", "http", "failing"]
        assert error.startswith("hostmetrics/service (http)")
        code, out, _ = cli(folder, "pods", "show", "fed")
        assert code == 0
        assert "failing" in out
    finally:
        fixture.stop()


def test_a_trained_pod_is_shown_with_what_it_is(served: EngineFixture):
    code, out, _ = cli(root(served), "pods", "show", "trader")
    assert code == 0
    assert "simulated (actions change local state)" in out
    assert "exchange/candles, local/portfolio" in out
    code, out, _ = cli(root(served), "pods", "show", "trader", "--json")
    shown = json.loads(out)
    assert shown["feeds"] == []
    assert shown["trainings"]
    assert cli(root(served), "pods", "feeds", "trader")[1] == "Pod trader has no live feeds.\n"


def test_no_command_works_on_a_folder_that_is_none_of_ours(tmp_path: Path):
    for command in (
        ["pods", "evaluate", "a"],
        ["rewards", "test"],
        ["observe", "a", "-"],
        ["train", "a"],
    ):
        code, out, err = cli(tmp_path, *command)
        assert (code, out) == (9, "")
        assert "is not an app folder" in err
    assert list(tmp_path.iterdir()) == []
