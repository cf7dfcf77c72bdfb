"""Searches by the command line, by code and over a pod, on a real engine that is killed."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spice_engine.errors import NotFound
from spice_runtime import search as by_code
from spice_runtime.client.errors import ClientException
from spice_tui.cli.main import main
from tests.conftest import REPOSITORY, EngineFixture, wait_for

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(
    shared_engine: EngineFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Cli]:
    monkeypatch.chdir(shared_engine.location.root)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return int(code), out, err

    return call


def test_a_grid_is_followed_described_exported_and_downloaded(cli: Cli, tmp_path: Path) -> None:
    Path("send.py").write_text(
        "import sys\nfrom spice_runtime import send_metric\n"
        "send_metric('loss', float(sys.argv[1]) ** 2)\n"
    )
    command = f"{sys.executable} send.py :x:"
    code, out, err = cli(
        *("hyper", "grid", "--param", "x=-2,1,3", "--metric", "loss", "--goal", "min"),
        *("--name", "bowl", "-d", "a note", "-l", "tuning", "--wait", command),
    )
    assert code == 0, err
    assert "Trial 2: complete 1 (x=1)" in out
    assert "Best: 1 by trial 2: x=1" in out
    number = json.loads(cli("hyper", "list", "--json")[1])[-1]["id"]

    out = cli("hyper", "describe", str(number))[1]
    for words in ("Finished", "3 of 3", "loss, last, least", "a note", "x   ", "bowl"):
        assert words in out, out
    told = json.loads(cli("hyper", "describe", str(number), "--json")[1])
    runs = [trial["run"] for trial in told["trial_list"]]
    info = json.loads(cli("info", str(runs[0]), "--json")[1])
    assert (info["kind"], info["made_by"], info["name"]) == (
        "trial",
        f"search:{number}",
        "bowl-1",
    )
    assert (info["params"], info["labels"]) == ({"x": -2}, ["tuning"])

    table = tmp_path / "m.csv"
    assert cli("hyper", "download-metrics", str(number), "-d", str(table))[0] == 0
    rows = list(csv.reader(table.read_text().splitlines()))
    assert rows[0] == ["run_id", "metric_name", "timestamp", "index", "value"]
    found = {(row[0], row[4]) for row in rows[1:] if row[1] == "loss"}
    assert found == {(str(runs[0]), "4.0"), (str(runs[1]), "1.0"), (str(runs[2]), "9.0")}
    assert cli("hyper", "download-metrics", str(number), "-d", str(table))[0] == 2

    code, out, _ = cli("hyper", "importance", str(number))
    assert code == 0
    assert "PARAMETER" in out
    script = tmp_path / "again.py"
    assert cli("hyper", "export", str(number), "-d", str(script))[0] == 0
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(script.read_text(), str(script), "exec"), {"__name__": "__main__"})
    again = json.loads(cli("hyper", "list", "--json")[1])[-1]
    assert (again["source"], again["state"], again["best"]["value"]) == ("code", "complete", 1.0)
    trial = json.loads(cli("hyper", "describe", str(again["id"]), "--json")[1])["trial_list"][0]
    listed = json.loads(cli("ps", "--json")[1])
    # The command is a run of its own, that the trial's run made.
    ours = next(run for run in listed if run["id"] == trial["run"])
    made = [run for run in listed if run["parent"] == trial["run"]]
    assert (ours["kind"], ours["state"], ours["command"]) == ("trial", "complete", [])
    assert [(run["kind"], run["command"][0].split()[-1]) for run in made] == [("run", "-2")]
    assert "has no log" in cli("logs", str(trial["run"]))[2]
    assert "has no command" in cli("clone", str(trial["run"]))[2]
    assert "bowl-1  x=-2" in cli("ps")[1]

    assert cli("hyper", "archive", str(number))[0] == 0
    assert cli("hyper", "archive", str(number))[0] == 6
    assert str(number) in cli("hyper", "list", "--archived")[1]


def test_a_script_does_as_many_trials_at_once_as_the_search_and_ends_the_same_early(
    cli: Cli, tmp_path: Path
) -> None:
    Path("curve.py").write_text(
        "import sys, time\nfrom spice_runtime import send_metric\n"
        "bad = int(sys.argv[1]) > 5\n"
        "send_metric('loss', 9 if bad else 1, 1)\n"
        "if bad:\n    time.sleep(300)\n"
    )
    code, _, err = cli(
        *("hyper", "grid", "--param", "x=1,2,9", "--metric", "loss", "--goal", "min", "-r", "2"),
        *("--pruner", "halving", "--pruner-option", "reduction=2", "--seed", "0", "--wait"),
        f"{sys.executable} curve.py :x:",
    )
    assert code == 0, err
    number = json.loads(cli("hyper", "list", "--json")[1])[-1]["id"]
    script = cli("hyper", "export", str(number))[1]
    assert "PARALLEL = 2" in script
    assert "seed=0" in script
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(script, "exported.py", "exec"), {"__name__": "__main__"})
    assert "trial 3: pruned" in said.getvalue()
    both = [
        json.loads(cli("hyper", "describe", str(one), "--json")[1]) for one in (number, number + 1)
    ]
    there, again = ([(one["state"], one["value"]) for one in each["trial_list"]] for each in both)
    assert again == there == [("complete", 1.0), ("complete", 1.0), ("pruned", 9.0)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("grid", "--param", "x=1,", "true"), 3, "Incorrect formatting of param 'x=1,'"),
        (("grid", "--param", "x=1"), 3, "needs a command"),
        (("random", "--param", "x=0:1", "true"), 2, "how many"),
        (("random", "-n", "x", "--param", "x=0:1", "true"), 2, "not a whole number"),
        (("bayesian", "-n", "3", "--param", "x=0:1", "true"), 2, "needs the metric"),
        (
            ("bayesian", "-n", "3", "--param", "x=0:1", "--metric", "loss", "true"),
            2,
            "is less or more of 'loss' better",
        ),
        (("grid", "--pod", "none", "--param", "trees=1,2"), 5, "there is no pod"),
        (("grid", "--pod", "none", "--cpu", "1", "--param", "trees=1"), 3, "--cpu is for runs"),
        (("describe", "99"), 5, "there is no search 99"),
        (("stop", "99"), 5, "there is no search 99"),
        (("export", "x"), 2, "not the number of a search"),
    ],
)
def test_what_cannot_be_is_told(cli: Cli, arguments: tuple[str, ...], code: int, said: str) -> None:
    found, _, err = cli("hyper", *arguments)
    assert found == code, err
    assert said in err


def test_no_trial_is_lost_or_done_twice_when_the_engine_is_killed(
    cli: Cli, shared_engine: EngineFixture, tmp_path: Path
) -> None:
    params = {"x": by_code.uniform(-1, 1), "kind": ["a", "b"]}
    ours = by_code.create(params, method="random", trials=4, seed=1, name="mine")
    first, second = ours.ask(), ours.ask()
    kept = [trial["run"] for trial in ours.trials()]
    assert first is not None
    assert second is not None
    first.tell(first.params["x"])

    marks = tmp_path / "marks"
    marks.touch()
    line = f"sleep 0.2; echo :n: >> {marks}"
    code, out, err = cli(
        *("hyper", "random", "-n", "6", "-r", "2", "--seed", "3", "--param", "n=0:9999:int", line)
    )
    assert code == 0, err
    number = int(out)
    for done in (1, 3):
        wait_for(lambda done=done: len(marks.read_text().split()) >= done, f"{done} trials")
        shared_engine.kill()
        shared_engine.start()
    code, out, err = cli("hyper", "wait", str(number))
    assert (code, err) == (0, "")
    assert "Trial 6: complete" in out
    told = json.loads(cli("hyper", "describe", str(number), "--json")[1])
    expected = sorted(str(trial["params"]["n"]) for trial in told["trial_list"])
    assert sorted(marks.read_text().split()) == expected
    assert told["counts"] == {"complete": 6}

    again = by_code.create(params, method="random", trials=4, seed=1, name="mine", resume=True)
    assert again.number == ours.number
    trials = list(again)
    assert [trial.number for trial in trials] == [2, 3, 4]
    assert trials[0].params == second.params
    assert [trial["run"] for trial in again.trials()][:2] == kept
    for trial in trials:
        trial.tell(float("nan") if trial.number == 3 else trial.params["x"])
    states = [one["state"] for one in again.trials()]
    assert states == ["complete", "complete", "failed", "complete"]
    assert again.ask() is None
    assert again.best is not None
    with pytest.raises(ClientException):
        by_code.get(9999)
    assert by_code.current() is None


def test_a_pods_hyperparameters_are_searched_over_and_the_pod_stays_as_it_is(
    cli: Cli, shared_engine: EngineFixture
) -> None:
    sample, root = REPOSITORY / "sample_pods" / "gardener", shared_engine.location.root
    shutil.copytree(sample / "data", root / "data")
    (root / "spicepods").mkdir(exist_ok=True)
    text = (sample / "spicepods" / "gardener.yaml").read_text()
    manifest = root / "spicepods" / "gardener.yaml"
    manifest.write_text(text.replace("algorithm: auto", "algorithm: fqi"))

    def version() -> object:
        with shared_engine.client() as client, contextlib.suppress(NotFound):
            pod = client.call("pods.get", {"pod": "gardener"})
            return None if pod["training"] is not None else pod["policy_version"]
        return None

    wait_for(version, "a trained pod", 60)
    before = version()
    code, out, err = cli(
        *("hyper", "grid", "--pod", "gardener", "--score", "training", "--wait"),
        *("--param", "max_depth=1,12"),
    )
    assert code == 0, err
    assert "by trial 2: max_depth=12" in out
    number = json.loads(cli("hyper", "list", "--json")[1])[-1]["id"]
    found = json.loads(cli("hyper", "describe", str(number), "--json")[1])["trial_list"]
    for trial in found:
        info = json.loads(cli("info", str(trial["run"]), "--json")[1])
        assert (info["kind"], info["state"], info["params"]) == (
            "trial",
            "complete",
            trial["params"],
        )
        (series,) = json.loads(cli("metrics", str(trial["run"]), "--json")[1])
        assert series["last"] == trial["value"]
    assert version() == before
    code, _, err = cli("hyper", "random", "-n", "1", "--pod", "gardener", "--param", "leaf=1:2")
    assert code == 2
    assert "has no hyperparameter 'leaf'" in err
