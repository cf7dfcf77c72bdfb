"""The commands, called in this process, against a real private door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_engine import EVALUATION, Shelf, SmallEngine, a_pod, small_engine

from spice_engine.protocol.pods import ProblemInfo
from spice_tui.cli.main import main
from spice_tui.cli.train import exit_code_of

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app" / "spicepods").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "app")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SPICE_STATE_DIR", raising=False)
    return tmp_path / "app"


@pytest.fixture
def engine(folder: Path) -> Iterator[SmallEngine]:
    with small_engine(folder) as engine:
        yield engine


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return int(code), out, err

    return call


async def write_and_end(shelf: Shelf, number: int) -> None:
    for index in range(3):
        await asyncio.sleep(0.01)
        shelf.grow(number, f"line {index}\n")
    shelf.logs[number] += "last words"
    code = 66 if shelf.runs[number].name == "bad" else 0
    shelf.change(number, state="complete", exit_code=code, ended=2.0)


# -- runs


def test_run_prints_the_whole_log_and_ends_with_the_runs_exit_code(
    engine: SmallEngine, cli: Cli
) -> None:
    engine.shelf.script = write_and_end
    code, out, _ = cli("run", "--name", "bad", "python", "train.py", "--epochs", "3")
    assert (code, out) == (66, "line 0\nline 1\nline 2\nlast words")
    (_, request), *_ = engine.shelf.asked
    assert request.command == ["python", "train.py", "--epochs", "3"]


def test_run_passes_every_option_on(engine: SmallEngine, cli: Cli, folder: Path) -> None:
    (folder / "sub").mkdir()
    options = ["-b", "--cwd", "sub", "-e", "A=1=2", "-e", "B", "-l", "x", "-l", "y"]
    options += ["--timeout", "2", "--cpu", "1.5", "--memory", "2G"]
    code, out, _ = cli("run", *options, "echo $HOME && ls")
    assert (code, out) == (0, "1\n")
    (_, request), *_ = engine.shelf.asked
    assert request.command == "echo $HOME && ls"
    assert request.cwd == str(folder / "sub")
    assert request.env == {"A": "1=2", "B": ""}
    assert request.labels == ["x", "y"]
    assert (request.timeout, request.cpu, request.memory) == (120.0, 1.5, 2 * 2**30)


def test_options_may_follow_a_quoted_line(engine: SmallEngine, cli: Cli) -> None:
    code, _, _ = cli("run", "python train.py", "--name", "try", "-b")
    assert code == 0
    (_, request), *_ = engine.shelf.asked
    assert (request.command, request.name) == ("python train.py", "try")


def test_options_of_old_scripts_are_taken(engine: SmallEngine, cli: Cli) -> None:
    code, _, err = cli("run", "--framework", "pytorch", "--docker_image", "there", "-b", "true")
    assert code == 0
    assert "--framework" in err
    (_, request), *_ = engine.shelf.asked
    assert request.dependencies is not None
    assert request.dependencies.image == "there"


@pytest.mark.parametrize(
    ("option", "value"),
    [("--timeout", "soon"), ("--memory", "2X"), ("--cpu", "many"), ("-e", "=1"), ("--cwd", "no")],
)
def test_a_wrong_option_of_run_is_a_usage_error(
    engine: SmallEngine, cli: Cli, option: str, value: str
) -> None:
    code, out, err = cli("run", option, value, "true")
    assert (code, out) == (2, "")
    assert value in err or value.strip("=") in err
    assert engine.shelf.asked == []


def test_ps_is_plain_in_a_pipe_and_json_when_asked(engine: SmallEngine, cli: Cli) -> None:
    engine.on_loop(lambda: engine.shelf.add_run(name="first", exit_code=3, state="failed"))
    engine.on_loop(lambda: engine.shelf.add_run(state="running", exit_code=None, ended=None))
    code, out, err = cli("ps")
    assert (code, err) == (0, "")
    heading, first, second = out.splitlines()
    assert heading.split() == ["ID", "NAME", "COMMAND", "STATUS", "CREATED"]
    assert "Failed (3)" in first
    assert "2023-11-14" in first
    assert "echo 'hello world'" in first
    assert "*Running" in second
    assert "\x1b" not in out
    code, out, _ = cli("ps", "--json", "--state", "failed")
    assert [run["id"] for run in json.loads(out)] == [1]


def test_ps_gives_values_between_commas_when_asked(engine: SmallEngine, cli: Cli) -> None:
    engine.on_loop(lambda: engine.shelf.add_run(name="first", exit_code=3, state="failed"))
    code, out, _ = cli("ps", "--raw")
    assert (code, out) == (0, "1,first,echo 'hello world',Failed (3),2023-11-14\n")
    assert "--raw" not in cli("ps", "--help")[1]


@pytest.mark.parametrize("group", ["server", "hyper", "workflow"])
def test_a_group_without_a_command_prints_its_help(folder: Path, cli: Cli, group: str) -> None:
    code, out, err = cli(group)
    assert (code, out) == (2, "")
    assert err == cli(group, "--help")[1]


def test_run_takes_parameters_once_each(engine: SmallEngine, cli: Cli) -> None:
    code, _, err = cli("run", "-b", "--param", "lr=0.1", "--param", "x-y=", "a :lr: b")
    assert (code, err) == (0, "--param x-y: the command has no :x-y:, so it changes nothing.\n")
    request = engine.shelf.asked[-1][1]
    assert request.params == {"lr": "0.1", "x-y": ""}
    for words, message in (
        (["a"], "--param a is incorrectly formatted. Must be NAME=VALUE"),
        (["a=b=c"], "--param a=b=c is incorrectly formatted. Must be NAME=VALUE"),
        (["a=1", "a=2"], "param key a is already defined"),
    ):
        options = [part for word in words for part in ("--param", word)]
        code, _, err = cli("run", *options, "true")
        assert (code, message in err) == (2, True)


def test_run_after_a_name_and_ps_with_filters(engine: SmallEngine, cli: Cli) -> None:
    engine.on_loop(lambda: engine.shelf.add_run(name="first"))
    more = ["--priority", "3", "--retries", "2", "--disable-auto-resume", "--idempotent"]
    assert cli("run", "-b", "--after", "runs/1", "--after-ok", "first", *more, "true")[0] == 0
    request = engine.shelf.asked[-1][1]
    assert (request.after, request.after_ok) == ([1, 1], True)
    assert (request.priority, request.retries) == (3, 2)
    assert (request.auto_resume, request.idempotent) == (False, True)
    conditions = ["--param", "lr<1", "--metric", "loss<2", "--sort", "metric:loss", "--desc"]
    assert cli("ps", *conditions, "--state", "Build Failed", "--since", "2h")[0] == 0
    asked = engine.shelf.asked[-1][1]
    assert (asked.params, asked.metrics, asked.states) == (["lr<1"], ["loss<2"], ["build_failed"])
    assert (asked.sort, asked.descending) == ("metric:loss", True)
    assert cli("ps", "--since", "soon")[0] == 2


def test_control_characters_of_a_name_never_reach_the_output(engine: SmallEngine, cli: Cli) -> None:
    engine.on_loop(lambda: engine.shelf.add_run(name="evil\x1b[2J\n1 fake"))
    code, out, _ = cli("ps")
    assert code == 0
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2


def test_info_label_and_metrics(engine: SmallEngine, cli: Cli) -> None:
    engine.on_loop(lambda: engine.shelf.add_run(labels=["good"]))
    code, out, _ = cli("info", "runs/1")
    assert code == 0
    assert "Duration          2 seconds" in out
    assert "Limits            0.5 cores, 90 s of running" in out
    assert "Environment Vars  A=b" in out
    assert "Project" not in out
    assert cli("label", "1", "best")[1] == "Successfully added label best to run 1.\n"
    assert json.loads(cli("info", "1", "--json")[1])["labels"] == ["good", "best"]
    assert cli("label", "1", "good", "--remove")[0] == 0
    code, out, _ = cli("metrics", "1")
    assert out.splitlines()[2].split() == ["loss", "3", "2", "1.5", "1.5", "3"]
    code, out, _ = cli("metrics", "1", "loss", "--json")
    assert [one["value"] for one in json.loads(out)] == [3.0, "NaN", 1.5]
    assert cli("metrics", "1", "lss")[0] == 5


def test_logs_whole_tail_json_and_following(engine: SmallEngine, cli: Cli) -> None:
    long = "".join(f"line {index} äöü\n" for index in range(40_000))
    engine.on_loop(engine.shelf.add_run)
    engine.shelf.logs[1] = long
    assert cli("logs", "1") == (0, long, "")
    assert cli("logs", "-n", "2", "1")[1] == "line 39998 äöü\nline 39999 äöü\n"
    assert cli("logs", "-f", "-n", "1", "1")[1] == "line 39999 äöü\n"
    assert json.loads(cli("logs", "1", "--json")[1])["text"] == long
    code, _, err = cli("logs", "2")
    assert (code, err) == (5, "error: there is no run 2. spice-tui ps lists them.\n")


def test_stop_and_kill_try_every_run(engine: SmallEngine, cli: Cli) -> None:
    engine.on_loop(engine.shelf.add_run)
    engine.on_loop(lambda: engine.shelf.add_run(state="running", ended=None, exit_code=None))
    code, out, err = cli("stop", "1", "2", "9", "--grace", "1m")
    assert (code, err) == (6, "")
    assert out.splitlines() == [
        "Executing batch stop...",
        "| Already finished: 1",
        "| Run ID does not exist: 9",
        "-" * 40,
        "| Successfully stopping: 2. Any outputs will be saved.",
    ]
    assert engine.shelf.asked[1][1].grace == 60.0
    engine.on_loop(lambda: engine.shelf.add_run(state="running", ended=None, exit_code=None))
    assert cli("kill", "3") == (0, "3\n", "")
    assert cli("kill", "3", "-q") == (0, "", "")
    code, out, err = cli("stop", "-q", "1", "9")
    assert (code, out) == (6, "")
    assert "run 1 has ended already" in err
    assert "there is no run 9" in err
    code, _, err = cli("stop", "x")
    assert (code, "there is no run named 'x'" in err) == (5, True)
    assert cli("stop", "-3")[0] == 2
    engine.on_loop(lambda: engine.shelf.change(3, name="x", state="running", ended=None))
    code, out, _ = cli("stop", "x")
    assert (code, out.startswith("Stopping run 3. Use 'spice-tui logs -f 3'")) == (0, True)


def test_wait_ends_with_the_first_bad_exit_code(engine: SmallEngine, cli: Cli) -> None:
    engine.shelf.script = write_and_end
    for name in ("fine", "bad"):
        assert cli("run", "-b", "--name", name, "true")[0] == 0
    code, out, _ = cli("wait", "1", "2")
    assert (code, out) == (66, "1  Complete (0)\n2  Complete (66)\n")


# -- pods


def test_pods_list_and_show(engine: SmallEngine, cli: Cli) -> None:
    problem = ProblemInfo("unknown_field", "error", "no field x.", "spicepods/b.yaml", 3, 5)
    engine.shelf.pods = {
        "b": a_pod("b", state="failed", problems=[problem], policy_version=None, evaluation=None),
        "a": a_pod("a"),
    }
    code, out, _ = cli("pods", "list")
    assert code == 0
    heading, first, second = out.splitlines()
    assert heading.startswith("NAME  MANIFEST PATH     EPISODES  STATE")
    assert first.split() == ["a", "spicepods/a.yaml", "12", "ready", "v3", "80.0%"]
    assert "failed (1 error)" in second
    code, out, _ = cli("pods", "show", "b")
    assert "spicepods/b.yaml:3:5: error unknown_field: no field x." in out
    code, _, err = cli("pods", "show", "c", "--json")
    assert code == 5
    assert json.loads(err)["error"]["code"] == "not_found"


def test_train_shows_every_episode_once_then_the_evaluation(engine: SmallEngine, cli: Cli) -> None:
    engine.shelf.pods = {"a": a_pod("a")}
    code, out, _ = cli("train", "a", "--number-episodes", "3")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "For comparison: random 10, best constant 50, oracle 100"
    assert [line.split("  ")[:2] for line in lines[1:4]] == [
        [f"Episode {number}", f"score {30 * number}"] for number in (1, 2, 3)
    ]
    assert lines[4] == "Training a/1 complete, policy v3."
    assert lines[6].split() == ["in", "sample", "91", "10", "50", "100", "82.0%"]
    assert lines[7].split() == ["held", "out", "45", "5", "25", "50", "80.0%"]


def test_a_training_that_fails_says_why(engine: SmallEngine, cli: Cli) -> None:
    engine.shelf.pods = {"a": a_pod("a")}
    code, _, err = cli("train", "a", "--learning-algorithm", "failing")
    assert code == 4
    assert "training a/1 ended failed: rewards.py:3: not a finite number." in err
    code, out, _ = cli("train", "a", "-b")
    assert (code, out) == (0, "Training a/2 started.\n")
    assert json.loads(cli("train", "a", "--json")[1])["evaluation"] == EVALUATION


def test_an_honest_verdict(engine: SmallEngine, cli: Cli) -> None:
    engine.shelf.pods = {
        "flat": a_pod("flat", evaluation={**EVALUATION, "nothing_to_learn": True}),
        "weak": a_pod("weak", evaluation={**EVALUATION, "beats_best_constant": False}),
    }
    engine.shelf.pods["stubborn"] = a_pod(
        "stubborn", evaluation={**EVALUATION, "constant_policy": True}
    )
    assert "one constant action" in cli("pods", "show", "stubborn")[1]
    assert "Nothing to learn" in cli("pods", "show", "flat")[1]
    assert "does not beat the best constant action" in cli("pods", "show", "weak")[1]


def test_the_in_sample_figure_never_stands_in_for_the_held_out_one(
    engine: SmallEngine, cli: Cli
) -> None:
    settled = {**EVALUATION["held_out"], "regret_closed": None}
    engine.shelf.pods = {
        "settled": a_pod("settled", evaluation={**EVALUATION, "held_out": settled}),
        "unjudged": a_pod("unjudged", evaluation={**EVALUATION, "held_out": None}),
    }
    rows = cli("pods", "list")[1].splitlines()[1:]
    assert [row.split()[-1] for row in rows] == ["-", "-"]


def test_the_home_of_an_unknown_user_is_no_folder(engine: SmallEngine, cli: Cli) -> None:
    code, _, err = cli("-C", "~nobody-of-that-name", "pods", "list")
    assert code == 5
    assert "there is no folder '~nobody-of-that-name'" in err
    assert cli("lint", "~nobody-of-that-name/a.yaml")[0] == 5
    assert cli("run", "--cwd", "~nobody-of-that-name", "true")[0] == 2


def test_recommend(engine: SmallEngine, cli: Cli) -> None:
    engine.shelf.pods = {"a": a_pod("a"), "new": a_pod("new", policy_version=None)}
    code, out, _ = cli("recommend", "a", "--explain", "--time", "2023-11-14T22:13:20Z")
    assert code == 0
    assert out.startswith("open  (confidence 0.875)\n")
    assert out.index("open", 5) < out.index("close")
    assert out.index("price") < out.index("load")
    assert engine.shelf.asked[0][1].time == 1_700_000_000
    assert cli("recommend", "a", "--time", "noon")[0] == 2
    code, _, err = cli("recommend", "new")
    assert (code, err) == (6, "error: pod 'new' has no policy yet. Train it.\n")


def test_lint_ends_with_4_only_for_errors(engine: SmallEngine, cli: Cli, folder: Path) -> None:
    code, _, err = cli("lint")
    assert code == 5
    assert "no manifest" in err
    for name in ("fine", "warned", "broken"):
        (folder / "spicepods" / f"{name}.yaml").touch()
    place = ("spicepods/x.yaml", 3, 5)
    engine.shelf.problems = {
        "warned.yaml": [ProblemInfo("old_name", "warning", "datasources is old.", *place)],
        "broken.yaml": [ProblemInfo("no_actions", "error", "no actions.", *place, "Add one.")],
    }
    assert cli("lint", "spicepods/fine.yaml") == (0, "No problems in 1 manifest.\n", "")
    assert cli("lint", "spicepods/warned.yaml")[0] == 0
    code, out, _ = cli("lint")
    assert code == 4
    assert "spicepods/x.yaml:3:5: error no_actions: no actions. Add one." in out.splitlines()
    engine.shelf.pods = {"broken": a_pod("broken")}
    code, out, _ = cli("lint", "broken", "--json")
    assert code == 4
    assert json.loads(out)["problems"][0]["code"] == "no_actions"
    (folder / "unreadable.yaml").touch()
    code, _, err = cli("lint", "unreadable.yaml")
    assert code == 4
    assert "unreadable.yaml:3:7: the manifest is no map. Begin with name:" in err


# -- the rest


def test_samples(engine: SmallEngine, cli: Cli) -> None:
    assert cli("add") == (0, "samples/serverops\n", "")
    for path in ("samples/serverops", "quickstarts/serverops", "serverops"):
        code, out, _ = cli("add", path)
        assert (code, out.splitlines()[0]) == (0, "Added spicepods/serverops.yaml")
    assert cli("add", "samples/none")[0] == 5
    assert cli("add", "elsewhere/none")[0] == 5


def test_sql(engine: SmallEngine, cli: Cli) -> None:
    assert cli("sql", "select 1", "--csv") == (0, 'select 1,text\n1,"a,b"\n2,\n', "")
    assert cli("sql", "select 1")[1].splitlines()[2] == "2         NULL"
    code, out, err = cli("sql", "select 1", "--limit", "1", "--json")
    assert (code, json.loads(out)["truncated"], err) == (0, True, "")
    assert "first 1 rows" in cli("sql", "select 1", "--limit", "1")[2]
    assert cli("sql", "select 1", "--limit", "0")[0] == 2
    assert cli("sql", "select 1", "--csv", "--json")[0] == 2


def test_config_and_overview(engine: SmallEngine, cli: Cli) -> None:
    code, out, _ = cli("config")
    assert code == 0
    assert out.splitlines()[2].split() == [
        "cors_origins",
        "(none)",
        "spice.config.yaml:3",
        "Origins.",
    ]
    code, out, _ = cli()
    assert "spice-tui add samples/serverops" in out
    engine.shelf.pods = {"a": a_pod("a")}
    code, out, _ = cli()
    assert code == 0
    assert "http://127.0.0.1:8000/api/v0.1/pods/a/recommendation" in out.splitlines()
    assert "spice-tui recommend a" in out


def test_engine_status_list_stop(engine: SmallEngine, cli: Cli, tmp_path: Path) -> None:
    known = tmp_path / "state" / "spice-tui" / "engines"
    known.mkdir(parents=True)
    root, state = engine.location.root, engine.location.state
    (known / "a").write_text(f"{root}\n{state}\n")
    (known / "b").write_text(f"{tmp_path}/gone\n{tmp_path}/gone/.spice\n")
    (known / "c").write_text("")
    code, out, _ = cli("engine", "list", "--json")
    assert code == 0
    assert [(row["app_folder"], row["state"]) for row in json.loads(out)] == [
        (str(root), "running")
    ]
    code, out, _ = cli("engine", "status")
    assert "Up for         1 minute" in out
    assert "runs already (process 4242" in cli("engine", "start")[1]
    assert cli("engine", "stop", "--runs", "later")[0] == 2
    code, out, _ = cli("engine", "stop", "--runs", "leave")
    assert (code, out) == (0, f"The engine of {root} has stopped.\n")
    engine.stop()
    code, out, _ = cli("engine", "stop", "--json")
    assert (code, json.loads(out)) == (0, {"stopped": False})
    code, _, err = cli("engine", "status", "--json")
    assert code == 9
    assert json.loads(err)["error"]["code"] == "engine_unavailable"
    assert cli("engine", "list")[1].splitlines()[1].split()[1] == "stopped"


def test_engine_log_needs_no_engine(folder: Path, cli: Cli) -> None:
    assert cli("engine", "logs")[0] == 5
    (folder / ".spice").mkdir()
    (folder / ".spice" / "engine.log").write_text("".join(f"{n}\n" for n in range(50_000)))
    assert cli("engine", "logs", "-n", "3")[1] == "49997\n49998\n49999\n"
    assert len(cli("engine", "logs", "-n", "0")[1].splitlines()) == 50_000
    assert len(cli("engine", "logs", "-n", "49999")[1].splitlines()) == 49_999


def test_outside_an_app_folder_reading_commands_start_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("ps")
    assert code == 9
    assert "is not an app folder" in err
    assert list(tmp_path.iterdir()) == []
    assert cli("-C", "nowhere", "ps")[0] == 5


def test_a_folder_is_found_from_below(engine: SmallEngine, cli: Cli, folder: Path) -> None:
    deep = folder / "data" / "raw"
    deep.mkdir(parents=True)
    code, out, _ = cli("-C", str(folder), "version", "-v", "--json")
    assert (code, json.loads(out)["app_folder"]) == (0, str(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(deep)
        assert json.loads(cli("version", "--json")[1])["app_folder"] == str(folder)


@pytest.mark.parametrize(
    "arguments",
    [
        ["pss"],
        ["ps", "--nope"],
        ["ps", "-n", "many"],
        ["info"],
        ["--http-port", "1", "ps"],
        ["--serve", "ps"],
        ["engine", "frobnicate"],
        ["--serve", "--http-port", "99999"],
    ],
)
def test_usage_errors_end_with_2_and_no_traceback(
    folder: Path, cli: Cli, arguments: list[str]
) -> None:
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "Traceback" not in err


def test_a_misspelled_command_is_guessed(folder: Path, cli: Cli) -> None:
    assert "Did you mean 'train'" in cli("trian")[2]


@pytest.mark.parametrize(
    ("state", "error", "code"),
    [
        ("failed", "invalid_reward_value", 4),
        ("failed", "invalid_reward_function", 4),
        ("failed", "child_failed", 11),
        ("failed", "deadline_exceeded", 11),
        ("failed", "internal_error", 70),
        ("interrupted", "interrupted", 1),
    ],
)
def test_a_failed_training_ends_with_the_code_of_its_error(
    state: str, error: str, code: int
) -> None:
    assert exit_code_of({"state": state, "error": error}) == code
