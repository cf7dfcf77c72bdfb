"""The commands of servers, called in this process against a real engine and real replicas."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from spice_tui.cli.main import main
from tests.conftest import EngineFixture, wait_for
from tests.integration.test_environments import index_answers

Cli = Callable[..., tuple[int, str, str]]

SCRIPT = """\
from spice_runtime import BasePredictor

class Predictor(BasePredictor):
    def __init__(self, factor=2):
        self.factor = factor

    def predict(self, payload):
        print("asked for", payload["x"], flush=True)
        return {"product": payload["x"] * self.factor}
"""


@pytest.fixture(scope="module", autouse=True)
def index() -> None:
    if not index_answers():
        pytest.skip("no package index can be reached, and uv's cache is empty")


@pytest.fixture
def folder(shared_engine: EngineFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = shared_engine.location.root
    (root / "serve.py").write_text(SCRIPT)
    monkeypatch.chdir(root)
    yield root
    with shared_engine.client() as client:
        for server in client.call("servers.list")["servers"]:
            request = {"server": server["name"], "force": True, "wait": True}
            client.call("servers.remove", request)


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return int(code), out, err

    return call


def predict(cli: Cli, x: int, server: str = "times") -> object:
    code, out, err = cli("server", "predict", server, "--json", json.dumps({"x": x}))
    assert code == 0, err
    return json.loads(out)["product"]


def test_a_server_is_served_listed_asked_and_removed(cli: Cli, folder: Path) -> None:
    assert cli("server", "list")[1] == "There are no model servers to display.\n"
    assert cli("server", "list", "--raw") == (0, "", "")
    code, out, err = cli("server", "serve", "serve.py", "--name", "times")
    assert code == 0, err
    first, last = out.splitlines()
    assert first == "Starting server times..."
    assert re.fullmatch(r"Server times runs \(1/1 pods\): http://.*/local/times/predict", last)
    assert predict(cli, 4) == 8

    heading, row = cli("server", "list")[1].splitlines()
    assert re.split(r"\s{2,}", heading) == ["NAME", "URL", "PODS (READY/TOTAL)", "AGE"]
    assert re.match(r"times +http://\S+/local/times/predict +1/1 +\d+ seconds?$", row)
    heading, row, *_ = cli("server", "status", "times")[1].splitlines()
    assert re.split(r"\s{2,}", heading)[:3] == ["POD ID", "CREATED AT", "READY AT"]
    assert "ready" in row
    out = cli("server", "describe", "times")[1]
    assert re.search(r"^Predictor Class +Predictor$", out, re.MULTILINE)
    assert re.search(r"^Batching Enabled +No$", out, re.MULTILINE)
    assert cli("server", "healthcheck", "times")[:2] == (0, '{"status":"ok"}')

    code, _, err = cli("server", "rm", "times")
    assert code == 6
    assert "Model server must be stopped before it can be removed" in err
    assert cli("server", "rm", "times", "-f")[0] == 0
    assert cli("server", "status", "times")[0] == 5


def test_json_is_everywhere(cli: Cli) -> None:
    code, out, err = cli("server", "serve", "serve.py", "--name", "times", "--json")
    assert code == 0, err
    assert json.loads(out)["state"] == "running"
    assert json.loads(cli("server", "list", "--json")[1])[0]["name"] == "times"
    assert json.loads(cli("server", "describe", "times", "--json")[1])["token"] == ""
    assert json.loads(cli("server", "render", "times", "--json")[1])["entrypoint"] == "serve.py"
    assert json.loads(cli("server", "stop", "times", "--json")[1])["state"] == "stopped"
    code, _, err = cli("server", "status", "no-such", "--json")
    assert (code, json.loads(err)["error"]["code"]) == (5, "not_found")


def test_update_and_rollback(cli: Cli, folder: Path) -> None:
    assert cli("server", "serve", "serve.py", "--name", "times")[0] == 0
    (folder / "config.yaml").write_text("factor: 3\n")
    code, out, _ = cli("server", "update", "times", "--config", "config.yaml", "--dry-run")
    assert (code, predict(cli, 2)) == (0, 4)
    assert "config.factor: 3" in out
    assert cli("server", "update", "times", "--config", "config.yaml")[0] == 0
    assert predict(cli, 2) == 6
    (folder / "serve.py").write_text(SCRIPT.replace("* self", "+ self"))
    assert cli("server", "update", "times", "--update-repo")[0] == 0
    assert predict(cli, 2) == 5
    assert cli("server", "rollback", "times")[1] == "Server times runs version 2.\n"
    assert predict(cli, 2) == 6
    assert cli("server", "rollback", "times", "--to", "1")[0] == 0
    assert predict(cli, 2) == 4
    assert cli("server", "update", "times")[0] == 2
    assert cli("server", "update", "times", "--open")[0] == 2


def test_a_version_that_does_not_load_is_told_and_the_old_one_stays(cli: Cli, folder: Path) -> None:
    assert cli("server", "serve", "serve.py", "--name", "times")[0] == 0
    (folder / "serve.py").write_text("import nothing_of_that_name\n")
    code, _, err = cli("server", "update", "times", "--update-repo")
    assert code == 11
    assert "was rolled back: ModuleNotFoundError: No module named 'nothing_of_that_name'" in err
    assert predict(cli, 2) == 4
    code, _, err = cli("server", "serve", "serve.py", "--name", "other")
    assert code == 11
    assert "nothing_of_that_name" in err


def test_validate_says_why_before_anything_is_served(cli: Cli, folder: Path) -> None:
    (folder / "serve.py").write_text(SCRIPT.replace("factor=2", "factor"))
    code, _, err = cli("server", "serve", "serve.py", "--name", "times", "--validate")
    assert code == 11
    assert "missing 1 required positional argument: 'factor'" in err
    assert json.loads(cli("server", "list", "--json")[1]) == []
    (folder / "serve.py").write_text(SCRIPT)
    code, out, _ = cli("server", "serve", "serve.py", "--name", "x", "--validate", "--dry-run")
    assert (code, out.splitlines()[0]) == (0, "+ create server x")
    assert json.loads(cli("server", "list", "--json")[1]) == []


def test_stop_start_and_an_update_meanwhile(cli: Cli, folder: Path) -> None:
    assert cli("server", "serve", "serve.py", "--name", "times", "-b")[0] == 0
    assert cli("server", "stop", "times")[1].endswith("Server times is stopped.\n")
    assert cli("server", "predict", "times")[0] == 1
    code, out, _ = cli("server", "update", "times", "--num-processes", "1", "--threads", "2")
    assert code == 0
    assert "version 2 runs once it is started" in out
    code, out, err = cli("server", "start", "times")
    assert code == 0, err
    assert predict(cli, 1) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["serve", "serve.py"], 3, "A server name must be provided with --name"),
        (["serve"], 2, "ENTRYPOINT"),
        (["serve", "no.py", "--name", "x"], 3, "there is no file 'no.py'"),
        (["serve", "no", "serve.py", "--name", "x"], 3, "model_name:version"),
        (["serve", "nobody:v1", "serve.py"], 5, "nobody"),
        (["serve", "serve.py", "--name", "metrics"], 2, "metrics"),
        (["serve", "serve.py", "--name", "a_b"], 2, "letters"),
        (["serve", "serve.py", "--name", "x", "--min-pods", "9"], 2, "min_pods (9)"),
        (["serve", "serve.py", "--name", "x", "--apt", "a b"], 2, "no package of apt"),
        (["serve", "serve.py", "--name", "x", "--mount", "a:b:c"], 3, "Incorrect formatting"),
        (["serve", "serve.py", "--name", "x", "--mount", "uploads/none"], 5, "none"),
        (["serve", "serve.py", "--name", "x", "--node-group", "none"], 5, "none"),
        (["serve", "serve.py", "--name", "x", "--git", "./none"], 5, "no folder"),
        (["update", "none", "--debug"], 5, "none"),
        (["rm", "none"], 5, "none"),
        (["logs", "none"], 5, "none"),
        (["predict", "none"], 5, "none"),
        (["predict", "none", "--json", "{"], 3, "that is no JSON"),
    ],
)
def test_what_is_refused_and_why(cli: Cli, arguments: list[str], code: int, said: str) -> None:
    got, _, err = cli("server", *arguments)
    assert (got, said in err) == (code, True), err
    assert json.loads(cli("server", "list", "--json")[1]) == []


def test_environment_variables_packages_and_files(cli: Cli, folder: Path) -> None:
    (folder / "serve.py").write_text(
        "import os\nfrom spice_runtime import BasePredictor\n"
        "class Predictor(BasePredictor):\n"
        "    def predict(self, payload):\n"
        "        import idna\n"
        "        return [os.environ['LEVEL'], os.path.exists(os.environ['MADE']), idna.__name__]\n"
    )
    made = folder / "made"
    (folder / "command.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "vars",
                "entrypoint": "serve.py",
                "env": {"LEVEL": 3, "MADE": str(made)},
                "pip": ["idna"],
                "setup": [f"'touch {made}'"],
            }
        )
    )
    code, _, err = cli("server", "serve", "--from-file", "command.yaml", "--name", "times")
    assert code == 0, err
    assert cli("server", "predict", "times")[1] == '["3",true,"idna"]'
    code, _, err = cli("server", "serve", "serve.py", "--from-file", "command.yaml")
    assert (code, "All positional arguments must either" in err) == (2, True)
    (folder / "change.yaml").write_text("server-name: times\nenv: [LEVEL=4, MADE=/none]\n")
    assert cli("server", "update", "--from-file", "change.yaml")[0] == 0
    assert cli("server", "predict", "times")[1] == '["4",false,"idna"]'


def test_render_apply_and_plans(cli: Cli, folder: Path) -> None:
    options = ["--enable-batching", "--ram-limit", "512", "-e", "A=b", "--deadline", "5"]
    assert cli("server", "serve", "serve.py", "--name", "times", *options)[0] == 0
    text = cli("server", "render", "times")[1]
    assert yaml.safe_load(text) == {
        "name": "times",
        "entrypoint": "serve.py",
        "env": {"A": "b"},
        "batching": {"enabled": True},
        "limits": {"memory_limit": "512M"},
        "door": {"deadline": 5.0},
    }
    # It lies in the app folder, and yet is no change of the servers' code.
    file = folder / "servers.yaml"
    file.write_text(text)
    assert cli("server", "apply", "servers.yaml")[1] == "Nothing to change.\n"
    file.write_text(text.replace("A: b", "A: c") + "---\nname: other\nentrypoint: serve.py\n")
    code, out, _ = cli("server", "apply", "servers.yaml", "--dry-run")
    assert code == 0
    assert out.splitlines()[0] == "+ create server other"
    assert "~ update server times" in out
    assert out.splitlines()[-1] == "Plan: create 1, update 1."
    code, _, err = cli("server", "apply", "servers.yaml")
    assert (code, "-y" in err) == (2, True)
    code, out, _ = cli("server", "apply", "servers.yaml", "-y")
    assert (code, out.splitlines()[-1]) == (0, "Done: create 1, update 1.")
    file.write_text("name: other\nentrypoint: serve.py\n")
    code, out, _ = cli("server", "apply", "servers.yaml", "-y", "--delete")
    assert (code, "- delete server times" in out) == (0, True)
    assert [one["name"] for one in json.loads(cli("server", "list", "--json")[1])] == ["other"]
    file.write_text("name: other\nentrypont: serve.py\n")
    code, _, err = cli("server", "apply", "servers.yaml", "-y")
    assert (code, "servers.yaml:2:1" in err) == (3, True)


def test_models_and_mounts_are_added_and_taken_away(cli: Cli, folder: Path) -> None:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "words.txt").write_text("one two")
    assert cli("upload", "data", "--name", "words")[0] == 0
    assert cli("model", "create", "lexicon:first", "uploads/words")[0] == 0
    assert cli("model", "create", "lexicon", "uploads/words")[0] == 0
    (folder / "serve.py").write_text(
        "from pathlib import Path\nimport os\nfrom spice_runtime import BasePredictor\n"
        "def read(root, path):\n"
        "    file = Path(os.environ.get(root, '/none')) / path\n"
        "    return file.read_text() if file.exists() else None\n"
        "class Predictor(BasePredictor):\n"
        "    def predict(self, payload):\n"
        "        return {'product': [read('SPICE_MODEL_DIR', 'words.txt'),\n"
        "                            read('SPICE_MOUNTS_DIR', 'in/words.txt')]}\n"
    )
    assert cli("server", "serve", "serve.py", "--name", "times")[0] == 0
    assert predict(cli, 1) == [None, None]
    assert cli("server", "mounts", "add", "times", "uploads/words:in")[0] == 0
    assert cli("server", "models", "add", "times", "lexicon:first")[0] == 0
    assert predict(cli, 1) == ["one two", "one two"]
    code, _, err = cli("server", "models", "add", "times", "lexicon:v2")
    assert (code, "has a version of model 'lexicon' already" in err) == (6, True)
    assert cli("server", "mounts", "rm", "times", "/mounts/in")[0] == 0
    assert cli("server", "models", "rm", "times", "lexicon")[0] == 0
    assert predict(cli, 1) == [None, None]
    assert cli("server", "models", "rm", "times", "lexicon")[0] == 5
    code, _, err = cli("server", "serve", "lexicon:first")
    assert (code, "what serves it is missing" in err) == (2, True)


def test_logs_of_pods(cli: Cli) -> None:
    assert cli("server", "serve", "serve.py", "--name", "times")[0] == 0
    for x in (1, 2, 3):
        predict(cli, x)
    code, out, err = cli("server", "logs", "times")
    assert code == 0, err
    assert [line for line in out.splitlines() if "asked" in line] == [
        "asked for 1",
        "asked for 2",
        "asked for 3",
    ]
    assert cli("server", "logs", "times", "-n", "1")[1] == "asked for 3\n"
    assert "asked for 2" in json.loads(cli("server", "logs", "times", "--json")[1])[0]["text"]
    assert cli("server", "logs", "times", "-p", "77")[0] == 5


def test_the_log_of_requests(cli: Cli) -> None:
    assert cli("server", "serve", "serve.py", "--name", "times")[0] == 0
    code, _, err = cli("server", "logs", "times", "--requests")
    assert (code, "server update times --request-log" in err) == (5, True)
    code, _, err = cli("server", "update", "times", "--request-log")
    assert code == 0, err
    predict(cli, 1)
    wait_for(lambda: cli("server", "logs", "times", "--requests")[1], "the line")
    assert json.loads(cli("server", "logs", "times", "--requests", "-n", "1")[1])["status"] == 200


def test_logs_are_followed_from_pod_to_pod(cli: Cli, folder: Path) -> None:
    assert cli("server", "serve", "serve.py", "--name", "times")[0] == 0
    predict(cli, 1)
    with running("logs", "times", "-f", folder=folder) as (child, said):
        wait_for(lambda: "asked for 1\n" in said, "what was there")
        predict(cli, 2)
        wait_for(lambda: "asked for 2\n" in said, "what came")
        assert cli("server", "update", "times", "--threads", "2")[0] == 0
        predict(cli, 3)
        wait_for(lambda: any(line.endswith("| asked for 3\n") for line in said), "the next pod")
        child.send_signal(2)
        assert child.wait(30) == 130


@contextmanager
def running(*words: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A command of servers as a process, and the lines it has printed so far."""
    command = [sys.executable, "-m", "spice_tui.cli.main", "server", *words]
    child = subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert child.stdout is not None
    said: list[str] = []
    reader = threading.Thread(target=said.extend, args=(child.stdout,), daemon=True)
    reader.start()
    try:
        yield child, said
    finally:
        child.kill()
        child.wait(30)
        reader.join(10)
        child.stdout.close()


def test_curl_asks_the_same(cli: Cli) -> None:
    options = ["--name", "times", "--token"]
    assert cli("server", "serve", "serve.py", *options)[0] == 0
    code, out, _ = cli("server", "predict", "times", "--json", '{"x": 21}', "--curl")
    assert code == 0
    done = subprocess.run(out, shell=True, capture_output=True, text=True, timeout=30)
    assert json.loads(done.stdout) == {"product": 42}
    token = json.loads(cli("server", "describe", "times", "--token", "--json")[1])["token"]
    assert token in out
    assert predict(cli, 21) == 42


def test_payloads_from_files_and_answers_that_are_errors(cli: Cli, folder: Path) -> None:
    assert cli("server", "serve", "serve.py", "--name", "times")[0] == 0
    (folder / "payload.json").write_text('{"x": 5}')
    for named in ("payload.json", "@payload.json"):
        assert cli("server", "predict", "times", "--json", named)[1] == '{"product":10}'
    code, out, err = cli("server", "predict", "times", "--json", "{}")
    assert (code, out) == (1, "Internal Server Error")
    assert err.startswith("500 text/plain")


def test_metrics_as_csv(cli: Cli, folder: Path) -> None:
    assert cli("server", "serve", "serve.py", "--name", "times")[0] == 0
    predict(cli, 1)
    wait_for(lambda: json.loads(cli("server", "download-metrics", "times", "--json")[1]), "series")
    code, out, _ = cli("server", "download-metrics", "times", "-d", "m.csv")
    assert code == 0
    assert "values of" in out
    with (folder / "m.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"index", "metric_name", "tag", "value", "timestamp"}
    assert {"rate", "replicas"} <= {row["metric_name"] for row in rows}
    assert all(float(row["value"]) >= 0 for row in rows if row["metric_name"] == "replicas")
    assert cli("server", "download-metrics", "times", "-d", "m.csv")[0] == 2
    assert cli("server", "download-metrics", "times", "-d", "m.csv", "-f")[0] == 0


def test_node_groups(cli: Cli) -> None:
    assert cli("node-group", "add", "small", "--cpu", "1", "--memory", "512M")[0] == 0
    code, _, err = cli("node-group", "add", "small")
    assert code == 6
    options = ["--name", "times", "--node-group", "small"]
    code, _, err = cli("server", "serve", "serve.py", *options, "--cpu-request", "2")
    assert (code, "node group 'small' has" in err) == (2, True)
    code, _, err = cli("server", "serve", "serve.py", *options)
    assert code == 0, err
    assert cli("node-group", "delete", "small")[0] == 6
    groups = {g["name"]: g for g in json.loads(cli("node-group", "list", "--json")[1])}
    assert (groups["small"]["replicas"], groups["small"]["cpu_used"]) == (1, 0.9)
    assert cli("node-group", "scale", "small", "--cpu", "1.5")[0] == 0
    assert cli("node-group", "scale", "none", "--cpu", "1")[0] == 5
    assert "Servers   1" in cli("cluster")[1]
    assert cli("server", "rm", "times", "-f")[0] == 0
    assert cli("node-group", "delete", "small")[0] == 0


def test_dev_serves_each_save_and_sends_the_last_request_again(cli: Cli, folder: Path) -> None:
    # A line that comes in two pieces is not torn by what is printed of the answer.
    slowly = """print("asked for", end=" ", flush=True)
        __import__("time").sleep(0.1)
        print(payload["x"], flush=True)"""
    said_once = 'print("asked for", payload["x"], flush=True)'
    (folder / "serve.py").write_text(SCRIPT.replace(said_once, slowly))
    with running("dev", "serve.py", "--json", '{"x": 3}', folder=folder) as (child, said):
        wait_for(lambda: any("Watching" in line for line in said), "the first version")
        assert '  "product": 6\n' in said
        assert predict(cli, 5, "dev-serve") == 10
        time.sleep(0.3)  # the watcher of files begins a moment after it says so
        (folder / "serve.py").write_text(SCRIPT.replace("* self", "+ self"))
        wait_for(lambda: any("Answer changed" in line for line in said), "the second version")
        wait_for(lambda: '+  "product": 7\n' in said, "the difference")
        assert '-  "product": 10\n' in said
        (folder / "serve.py").write_text("def broken(:\n")
        wait_for(lambda: any("SyntaxError" in line for line in said), "the reason")
        assert predict(cli, 5, "dev-serve") == 7
        child.send_signal(2)
        assert child.wait(30) == 0
    assert "asked for 3\n" in said
    assert said[-1] == "Server dev-serve is removed.\n"
    assert json.loads(cli("server", "list", "--json")[1]) == []
