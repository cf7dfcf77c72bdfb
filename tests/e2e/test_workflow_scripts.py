"""Scripts of workflows on a real engine: Spell's names, the command line, a killed engine."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import EngineUnavailable
from spice_runtime import client as spice
from spice_runtime.client import errors
from spice_tui.cli.creating import created
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.session import Session
from tests.conftest import EngineFixture, wait_for

pytestmark = pytest.mark.e2e

TUI = str(Path(sys.executable).with_name("spice-tui"))

SPELL_SCRIPT = """
import json, os, sys
import spell.client
from spell.api.exceptions import BadRequest, WaitError
from spell.api.models import RangeSpec, ValueSpec

client = spell.client.from_environment()
told = {"workflow": client.active_workflow.id}
train = client.runs.new(
    command="%(python)s train.py :lr:", machine_type="CPU", params={"lr": 0.5}, labels=["first"],
    envvars={"WHO": "me"},
)
train.wait_metric("accuracy", client.runs.GREATER_THAN_EQUALS, 0.5)
train.wait_status(*client.runs.FINAL)
train.refresh()
told["train"] = [train.status, train.user_exit_code, train.labels]
told["metrics"] = [[index, value] for _, index, value in train.metrics("accuracy", follow=True)]
told["log"] = [str(line) for line in train.logs(follow=True)]
told["tail"] = [str(line) for line in train.logs(offset=-1)]
test = client.runs.new(
    command="cat model/model.txt; exit 4", attached_resources={"runs/%%d" %% train.id: "model"}
)
test.wait_status(client.runs.COMPLETE)
told["test"] = [test.user_exit_code, [str(line) for line in test.logs()]]
told["mounts"] = test.attached_resources
try:
    test.wait_status(client.runs.FAILED)
except WaitError as error:
    told["wait"] = str(error)
try:
    client.runs.new(command="true", colour="red")
except BadRequest as error:
    told["bad"] = error.message
labelled = client.runs.new(command="cat note", commit_label="lib")
labelled.wait_status(client.runs.COMPLETE)
told["labelled"] = [str(line) for line in labelled.logs()]
search = client.hyper.new_grid_search(
    {"lr": ValueSpec([1, 2])}, command="%(python)s train.py :lr:", machine_type="cpu"
)
for run in search.runs:
    run.wait_status(*client.runs.FINAL)
told["search"] = sorted(run.hyper_params["lr"] for run in search.runs)
told["names"] = search.metric_names()
client.resources.cp("runs/@best:keras/val_acc/model.txt", "best")
told["best"] = open("best/model.txt").read()
model = client.models.new("demo", "runs/%%d" %% train.id, files=["model.txt"])
told["model"] = [model.name, model.formatted_version, len(client.models.get("demo").model_versions)]
told["files"] = [line.path for line in client.resources.ls("runs/%%d" %% train.id)]
other = spell.client.SpellClient(os.environ["SPELL_TOKEN"], workflow_id=told["workflow"])
told["other"] = [other.runs.get(train.id).status, other.active_workflow.id]
client.runs.new(command="true", project="p")
for name, of in (("of p", {"project": "p"}), ("all", {}), ("of none", {"show_uncategorized": True}),
                 ("both", {"project": "p", "show_uncategorized": True})):
    told[name] = sorted({run.project for run in client.runs.list(**of)})
train.cp("model.txt", "copied")
told["copied"] = open("copied/model.txt").read()
told["runs"] = len(client.active_workflow.runs)
json.dump(told, open("told.json", "w"))
"""

TRAIN = """
import os, sys
from spice_runtime import send_metric
for step in range(3):
    send_metric("accuracy", float(sys.argv[1]) * step, step)
send_metric("keras/val_acc", float(sys.argv[1]))
open("model.txt", "w").write(sys.argv[1])
print("trained by", os.environ.get("WHO", "nobody"))
"""


def tui(engine: EngineFixture, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TUI, *words],
        cwd=engine.location.root,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def client_of(engine: EngineFixture) -> spice.Client:
    token = engine.location.token.read_text().strip()
    return spice.Client(engine.http, token, state=str(engine.location.state))


def test_a_script_written_for_spell_makes_runs(
    shared_engine: EngineFixture, tmp_path: Path
) -> None:
    root = shared_engine.location.root
    (root / "flow.py").write_text(SPELL_SCRIPT % {"python": sys.executable})
    (root / "train.py").write_text(TRAIN)
    (tmp_path / "note").write_text("labelled")
    shared_engine.call("projects.create", name="p")
    done = tui(shared_engine, "workflow", "--repo", f"lib={tmp_path}", sys.executable, "flow.py")
    assert done.returncode == 0, done
    (found,) = shared_engine.call("workflows.list")["workflows"]  # type: ignore[index]
    outputs = shared_engine.location.state / "runs" / str(found["run"]) / "outputs"
    told = json.loads((outputs / "told.json").read_text())
    assert told == {
        "workflow": found["id"],
        "train": ["complete", 0, ["first"]],
        "metrics": [[0, 0.0], [1, 0.5], [2, 1.0]],
        "log": ["trained by me"],
        "tail": ["trained by me"],
        "test": [4, ["0.5"]],
        "mounts": {"runs/2": "model"},
        "wait": "Run 3 is complete and will not be failed.",
        "bad": "A run has no argument 'colour'.",
        "labelled": ["labelled"],
        "search": [1, 2],
        "names": ["accuracy", "keras/val_acc"],
        "best": "2",
        "model": ["demo", "v1", 1],
        "files": ["runs/2/model.txt"],
        "other": ["complete", found["id"]],
        "of p": ["p"],
        "of none": [""],
        "both": ["", "p"],
        "all": ["", "p"],
        "copied": "0.5",
        "runs": 4,
    }
    drawn = tui(shared_engine, "workflow", "describe", str(found["id"]))
    assert "3: cat model/model.txt" in drawn.stdout


def test_here_in_a_terminal_it_ends_as_its_script(shared_engine: EngineFixture) -> None:
    line = f"{TUI} run echo made; exit 5"
    done = tui(shared_engine, "workflow", "create", "--local", line)
    assert (done.returncode, done.stdout) == (5, "made\n")
    found = shared_engine.call("workflows.list")["workflows"][-1]  # type: ignore[index]
    assert (found["kind"], found["state"]) == ("local", "failed")
    made = shared_engine.call("runs.list", made_by=f"workflow:{found['id']}")
    assert [one["command"] for one in made["runs"]] == [["echo", "made"]]  # type: ignore[index]


def test_a_script_in_the_folder_finds_its_engine_and_serves(
    shared_engine: EngineFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = shared_engine.location.root
    (root / "doubles.py").write_text(
        "from spell.serving import BasePredictor\n"
        "class Doubles(BasePredictor):\n"
        "    def predict(self, payload):\n"
        "        print('asked for', payload, flush=True)\n"
        "        return 2 * payload\n"
    )
    for name in ("SPICE_URL", "SPICE_TOKEN", "SPELL_BASE_URL", "SPELL_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.ClientException, match="nor is this a folder whose engine runs"):
        spice.from_environment()
    inner = root / "inner"
    inner.mkdir(exist_ok=True)
    monkeypatch.chdir(inner)
    client = spice.from_environment()
    server = client.servers.serve("doubles.py", name="doubles", min_pods=1, max_pods=1)
    server.wait_status("running")
    assert [server.predict(number).json() for number in (2, 3)] == [4, 6]
    followed = server.logs(follow=True)  # what it prints takes its time to get there
    assert [str(next(followed)) for _ in range(2)] == ["asked for 2", "asked for 3"]
    assert [str(line) for line in server.logs(offset=1)] == ["asked for 3"]
    assert [str(line) for line in server.logs(server.pods[0], offset=-1)] == ["asked for 3"]
    server.stop()
    assert list(followed) == []
    server.wait_status("stopped")
    with pytest.raises(errors.BadRequest, match="no active pods"):
        next(server.logs())
    client.servers.rm("doubles")
    run = client.runs.new(command="true", envvars={"A": 1})
    assert run.environment_vars == {"A": "1"}


def test_a_script_in_a_terminal_ends_with_its_workflow(shared_engine: EngineFixture) -> None:
    last = len(shared_engine.call("workflows.list")["workflows"])  # type: ignore[index]
    (shared_engine.location.root / "note").write_text("before")
    script = (
        f"echo since > note; {TUI} hyper grid 'cat note; sleep 300; echo :n:' --param n=1,2; "
        "sleep 300; echo never"
    )
    command = [TUI, "workflow", "create", "--local", script]
    with subprocess.Popen(
        command, cwd=shared_engine.location.root, stdout=subprocess.PIPE, text=True
    ) as terminal:

        def begun() -> list[dict[str, Any]]:
            return shared_engine.call("workflows.list")["workflows"][last:]  # type: ignore[index]

        def search() -> dict[str, Any]:
            return shared_engine.call("searches.list")["searches"][-1]  # type: ignore[index]

        def trials_saw() -> str:
            mark = f"search:{search()['id']}"
            trials: Any = shared_engine.call("runs.list", made_by=mark)
            return "".join(
                shared_engine.call("runs.log", id=one["id"])["text"]  # type: ignore[index]
                for one in trials["runs"][:1]
            )

        wait_for(lambda: search()["state"] == "running" and trials_saw(), "a trial of the search")
        assert trials_saw() == "before"  # as it was when the workflow began
        shared_engine.call("workflows.stop", id=begun()[0]["id"])
        assert terminal.communicate(timeout=60) == (f"{search()['id']}\n", None)
    assert terminal.returncode == 143
    assert begun()[0]["state"] == "stopped"
    wait_for(lambda: search()["state"] == "stopped", "the search to end with its workflow")


def test_what_the_client_is_refused(shared_engine: EngineFixture) -> None:
    client = client_of(shared_engine)
    with pytest.raises(errors.NotFound, match="there is no run 999"):
        client.runs.get(999)
    with pytest.raises(errors.BadRequest, match="needs a command"):
        client.runs.new()
    with pytest.raises(errors.UnauthorizedRequest):
        spice.Client(shared_engine.http, "wrong" * 8).runs.list()
    with pytest.raises(errors.BadRequest, match="search has no argument 'commit_label'"):
        client.hyper.new_grid_search({"a": [1]}, command="true", commit_label="lib")
    with pytest.raises(errors.BadRequest, match="cannot be read"):
        client.runs.new(command="true", requirements_file="/nowhere.txt")
    with pytest.raises(errors.NotFound, match="no workflow 'nothing'"):
        client.workflows.run("nothing")
    with pytest.raises(errors.BadRequest, match="param 'n' must be a text, a number or a truth"):
        client.workflows.run("nothing", {"n": [1]})
    # A file's faults are told once each, at their places.
    workflows = shared_engine.location.root / "workflows"
    workflows.mkdir(exist_ok=True)
    (workflows / "circle.yaml").write_text(
        "steps:\n  a: {command: x, needs: b}\n  b: {command: x, needs: a}\n"
    )
    told = tui(shared_engine, "workflow", "check", "circle")
    assert (told.returncode, told.stderr.count("\n")) == (4, 1)
    assert told.stderr.startswith("workflows/circle.yaml:2:3: error invalid_workflow: Steps wait")
    for source in ("~nobody-here/x", "/nowhere", "\0"):
        with pytest.raises(errors.BadRequest, match=r"no directory|no repository"):
            client.workflows.new("true", repos={"a": source})


def test_a_script_and_steps_outlive_an_engine_that_is_killed(shared_engine: EngineFixture) -> None:
    root = shared_engine.location.root
    (root / "go").unlink(missing_ok=True)
    (root / "patient.py").write_text(
        "from spice_runtime import client\n"
        "spice = client.from_environment()\n"
        f"run = spice.runs.new(command='until test -e {root}/go; do sleep 0.05; done')\n"
        "run.wait_status(*spice.runs.FINAL)\n"
        "again = spice.runs.new(command='echo after')\n"
        "again.wait_status(spice.runs.COMPLETE)\n"
    )
    (root / "workflows").mkdir(exist_ok=True)
    (root / "workflows" / "w.yaml").write_text(
        "steps:\n"
        f"  wait: {{command: 'until test -e {root}/go; do sleep 0.05; done'}}\n"
        "  after: {command: 'echo after', needs: wait}\n"
    )
    script: Any = shared_engine.call("workflows.create", command=f"{sys.executable} patient.py")
    declared: Any = {"id": script["id"] + 1}
    follower = subprocess.Popen(
        [TUI, "workflow", "run", "w"], cwd=root, stdout=subprocess.PIPE, text=True
    )

    def under_way() -> bool:
        runs = [
            one["state"]
            for number in (script["id"], declared["id"])
            for one in shared_engine.call("runs.list", made_by=f"workflow:{number}")["runs"]  # type: ignore[index]
        ]
        return runs == ["running", "running", "running"]

    wait_for(under_way, "both to have made a run")
    shared_engine.kill()
    with suppress(EngineUnavailable):  # who follows it starts one, too
        shared_engine.start()
    (root / "go").touch()

    client = client_of(shared_engine)
    for one in (script, declared):
        assert client.workflows.get(one["id"]).wait() == "complete"
    for one, count in ((script, 3), (declared, 2)):
        made: Any = shared_engine.call("runs.list", made_by=f"workflow:{one['id']}")
        assert [run["outcome"] for run in made["runs"]] == ["success"] * count
    told, _ = follower.communicate(timeout=60)
    assert follower.returncode == 0
    assert told.endswith(f"Workflow {declared['id']} is complete.\n")


@contextmanager
def answers_lost(engine: EngineFixture, then: Callable[[], object]) -> Iterator[str]:
    """An address at which one request gets to the engine, which carries it out; but its answer is
    thrown away, `then` is called, and nobody listens there any more."""
    address = engine.http.removeprefix("http://")

    class Thief(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            connection = http.client.HTTPConnection(address, timeout=60)
            connection.request("POST", self.path, body, dict(self.headers))
            status.append(connection.getresponse().status)
            connection.close()
            server.socket.close()
            then()
            self.close_connection = True

    status: list[int] = []
    server = HTTPServer(("127.0.0.1", 0), Thief)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        thread.join(60)
    assert status == [200]


def test_what_is_made_is_made_once_though_the_engine_dies_before_it_answers(
    shared_engine: EngineFixture,
) -> None:
    token = shared_engine.location.token.read_text().strip()
    state = str(shared_engine.location.state)

    def at(url: str) -> spice.Client:
        return spice.Client(url, token, state=state)

    def dies() -> None:
        shared_engine.kill()
        shared_engine.start()

    def runs() -> list[dict[str, Any]]:
        return shared_engine.call("runs.list", number=1000)["runs"]  # type: ignore[index]

    last = len(runs())
    with answers_lost(shared_engine, dies) as url:
        run = at(url).runs.new(command="echo once; echo made > made")
    run.wait_status("complete")
    assert run.id == len(runs()) == last + 1
    assert [str(line) for line in run.logs()] == ["once"]

    # One that has only lost the answer is told of what there is, whatever was to be made.
    (shared_engine.location.root / "workflows").mkdir(exist_ok=True)
    (shared_engine.location.root / "workflows" / "one.yaml").write_text(
        "steps: {a: {command: 'true', cache: false}}"
    )
    for make, listed in (
        (lambda client: client.workflows.run("one"), "workflows"),
        (lambda client: client.workflows.new("true"), "workflows"),
        (lambda client: client.hyper.new_grid_search({"n": [1]}, command="true :n:"), "searches"),
    ):
        before = len(shared_engine.call(f"{listed}.list")[listed])  # type: ignore[index]
        with answers_lost(shared_engine, lambda: None) as url:
            made = make(at(url))
        after = shared_engine.call(f"{listed}.list")[listed]  # type: ignore[index]
        assert (len(after), after[-1]["id"]) == (before + 1, made.id)
    with answers_lost(shared_engine, lambda: None) as url:
        version = at(url).models.new("once", f"runs/{run.id}", version="first")
    assert (version.number, len(at(url).models.get("once").model_versions)) == (1, 1)

    # What is over by the time that it is asked for again has been ended by the first request.
    client = client_of(shared_engine)
    long = client.runs.new(command="sleep 300")
    with answers_lost(shared_engine, lambda: long.wait_status("killed")) as url:
        other = spice.Run(at(url).api, {"id": long.id})
        other.kill()
    assert other.status == "killed"


def test_a_shell_script_chains_runs_and_workflows(shared_engine: EngineFixture) -> None:
    root = shared_engine.location.root
    (root / "sub").mkdir(exist_ok=True)
    (root / "sub" / "note").write_text("in the folder below")
    (root / "chain.sh").write_text(
        f"set -e; cd sub; {TUI} run cat note; {TUI} workflow create cat note\n"
    )
    done = tui(shared_engine, "workflow", "create", "sh", "chain.sh")
    assert (done.returncode, done.stdout) == (0, 2 * "in the folder below")
    inner, outer = shared_engine.call("workflows.list")["workflows"][:-3:-1]  # type: ignore[index]
    assert (inner["within"], inner["state"], outer["within"]) == (outer["id"], "complete", None)
    hidden = tui(shared_engine, "workflow", "create", "--cwd", ".spice", "ls")
    assert hidden.returncode != 0
    assert "left out of what a run gets" in hidden.stderr


def test_runs_made_by_hand_are_a_graph_of_their_mounts(shared_engine: EngineFixture) -> None:
    client = client_of(shared_engine)

    def made(command: str, **mounts: str) -> spice.Run:
        run = client.runs.new(
            command=command, attached_resources={at: place for place, at in mounts.items()}
        )
        run.wait_status("complete")
        return run

    first = made("echo 1 > a")
    second = made("cat in/a > b", **{"in": f"runs/{first.id}"})
    third = made("cat b > c", b="runs/@latest/b")
    other = made("ls", a=f"runs/{first.id}/a")
    assert third.came_from == [second.id]
    found: Any = shared_engine.call("store.lineage", run=second.id)
    edges = {(one["source"], one["target"]) for one in found["edges"]}
    assert edges == {
        (f"run/{first.id}", f"data/runs/{first.id}"),
        (f"data/runs/{first.id}", f"run/{second.id}"),
        (f"run/{second.id}", f"data/runs/{second.id}"),
        (f"data/runs/{second.id}", f"run/{third.id}"),
        (f"run/{third.id}", f"data/runs/{third.id}"),
    }
    whole: Any = shared_engine.call("store.lineage")
    assert {"source": f"data/runs/{first.id}", "target": f"run/{other.id}"} in whole["edges"]


def test_a_command_that_lost_its_answer_has_begun_one_run(shared_engine: EngineFixture) -> None:
    class Deaf(FollowingClient):
        def call(self, *asked: Any, **more: Any) -> Any:
            super().call(*asked, **more)
            raise EngineUnavailable("the connection broke.")

    session = Session(str(shared_engine.location.root))
    before = shared_engine.call("runs.list", number=1)["runs"][-1]["id"]  # type: ignore[index]
    client, run = created(
        session, Deaf(shared_engine.location), "runs.start", {"command": ["true"]}
    )
    with client:
        assert client.call("runs.list", {"number": 1})["runs"][-1]["id"] == run["id"] == before + 1


@pytest.mark.parametrize("status", [401, 404])
def test_whoever_else_took_the_engines_address_is_not_taken_for_it(
    shared_engine: EngineFixture, status: int
) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            if status == 401:  # the engine of another folder
                self.send_header("X-Request-Id", "1")
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    asked: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        found = spice.Client(url, "lost", state=str(shared_engine.location.state))
        assert found.workflows.list(1)
        thread.join(60)
    assert asked == ["/api/v1/workflows?number=1"]
