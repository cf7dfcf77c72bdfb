"""MLflow's tracking door: its genuine client in a run of ours, bad requests, and `import`."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from spice_engine.events import Bus
from spice_engine.runs.projects import Projects
from spice_engine.runs.service import Runs
from spice_engine.runs.tracking import Tracking
from spice_tui.cli.main import main as command_line
from tests.conftest import EngineFixture, wait_for
from tests.integration.run_services import runs_of

CLIENT = Path(__file__).with_name("tracking_client.py")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def told(shared_engine: EngineFixture) -> dict[str, Any]:
    """What the client was told, which ran as run 1."""
    shutil.copy(CLIENT, shared_engine.location.root)
    run = shared_engine.call(
        "runs.start", command=[sys.executable, CLIENT.name], env=QUIET, name="script"
    )
    assert run["id"] == 1
    wait_for(lambda: info(shared_engine, 1)["ended"], "the client", 110)
    log = shared_engine.call("runs.log", id=1, tail=40)["text"]
    assert info(shared_engine, 1)["exit_code"] == 0, log
    return json.loads((shared_engine.location.state / "runs/1/outputs/told.json").read_text())


def info(engine: EngineFixture, number: int) -> Any:
    return engine.call("runs.get", id=number)


def ask(
    engine: EngineFixture,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = None,
) -> tuple[int, Any]:
    place = urlsplit(engine.http)
    link = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    token = engine.location.token.read_text().strip() if token is None else token
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        link.request(method, path, data, headers)
        answer = link.getresponse()
        text = answer.read()
        kind = answer.headers.get_content_type()
        return answer.status, json.loads(text) if kind == "application/json" else text
    finally:
        link.close()


@pytest.fixture
def made(shared_engine: EngineFixture) -> Iterator[tuple[int, str]]:
    """A run that some client makes: its number and its id."""
    status, answer = ask(shared_engine, "POST", f"{API}/runs/create", {"experiment_id": "0"})
    assert status == 200
    run = answer["run"]["info"]
    yield int(run["artifact_uri"].rpartition("/")[2]), run["run_id"]
    ask(shared_engine, "POST", f"{API}/runs/update", {"run_id": run["run_id"], "status": "KILLED"})


# -- the genuine client


def test_code_in_a_run_attaches_to_that_run(shared_engine: EngineFixture, told: dict[str, Any]):
    attached = told["attached"]
    assert attached["id"] == f"{1:032d}"
    assert attached["status"] == "RUNNING"  # its process ran on
    assert attached["experiment"] == "orchard"
    run = info(shared_engine, 1)
    assert (run["kind"], run["state"], run["project"]) == ("run", "complete", "orchard")
    assert run["params"] == {"depth": "3"}
    (series,) = shared_engine.call("runs.read_metrics", id=1, name="height")["series"]
    assert (series["indexes"], series["values"]) == ([4], [2.5])
    more = info(shared_engine, int(attached["more"]))
    assert (more["kind"], more["state"], more["parent"]) == ("external", "failed", 1)
    outputs = shared_engine.location.state / "runs/1/outputs"
    assert (outputs / "notes/fruit.txt").read_text() == "pears"
    assert run["output_files"] == 2


def test_a_clients_run_is_a_run_of_ours(shared_engine: EngineFixture, told: dict[str, Any]):
    found = told["tracked"]
    number = int(found["tags"]["spice.run"])
    run = info(shared_engine, number)
    assert (run["kind"], run["name"], run["description"]) == ("external", "oak", "the big one")
    assert (run["state"], run["outcome"], run["exit_code"]) == ("complete", "success", 0)
    assert run["project"] == "woods"  # renamed since
    assert run["params"] == {"lr": "0.1", "model": "tree", "more": "1"}
    assert run["ended"] >= run["started"]
    child = next(
        one for one in shared_engine.call("runs.list", number=50)["runs"] if one["name"] == "acorn"
    )
    assert child["parent"] == number
    (series,) = shared_engine.call("runs.read_metrics", id=number, name="loss")["series"]
    assert series["indexes"] == [-2, 0, 1, 2]
    assert series["values"] == [9, 1, 0.5, pytest.approx(1 / 3)]


def test_a_client_reads_back_what_it_sent(told: dict[str, Any]):
    found = told["tracked"]
    assert found["info"]["status"] == "FINISHED"
    assert found["info"]["experiment_id"] == found["experiment"]
    assert found["metrics"] == {
        "loss": repr(1 / 3),
        "odd": "nan",
        "far": "-inf",
        "tight": "3.0",
    }
    assert found["params"] == {"lr": "0.1", "model": "tree", "more": "1"}
    assert found["tags"]["mlflow.note.content"] == "the big one"
    assert found["tags"]["kind"] == "old"
    assert found["history"] == [[-2, 9.0], [0, 1.0], [1, 0.5], [2, 1 / 3]]
    assert found["tight"] == [[1_700_000_000_000, value] for value in (1.0, 2.0, 3.0)]


def test_files_are_outputs_and_can_become_a_model(
    shared_engine: EngineFixture, told: dict[str, Any]
):
    found = told["tracked"]
    assert found["read"] == '{\n  "x": 1\n}'
    assert found["files"] == ["late", "models", "more", "x.json"]
    assert found["deep"] == ["more/deep/big file"]
    assert found["model"] == [["bark/weights"], "READY"]
    assert (found["outputs"], found["inputs"]) == ([True], ["rows"])
    # What was logged for the model is found at it, its newest value.
    assert found["density"] == [["density", 0.8, 3, True]]
    assert found["dense"] == [["bark"], []]
    number = int(found["tags"]["spice.run"])
    outputs = shared_engine.location.state / f"runs/{number}/outputs"
    assert (outputs / "more/deep/big file").stat().st_size == 3_000_000
    assert info(shared_engine, number)["output_files"] == 4
    made = shared_engine.call("models.create", name="oak", resource=f"runs/{number}")
    assert (made["model"], made["run"]) == ("oak", number)


def test_registered_models_are_models_of_ours(shared_engine: EngineFixture, told: dict[str, Any]):
    found = told["registered"]
    uri = told["tracked"]["info"]["artifact_uri"]
    assert found["empty"] == []
    assert found["files"] == ["weights"]
    assert found["found"] == [["timber", {"champion": "1"}]]
    assert found["versions"] == [
        ["1", f"{uri}/models/bark", "the first"],
        ["2", f"{uri}/more", "all"],
    ]
    assert (found["runs"], found["latest"]) == (True, ["2"])
    assert found["named"][:2] == ["timber", "short"]
    assert found["gone"] == ["RESOURCE_DOES_NOT_EXIST", "RESOURCE_DOES_NOT_EXIST"]
    (version,) = shared_engine.call("models.get", name="timber")["versions"]
    number = int(told["tracked"]["tags"]["spice.run"])
    assert (version["number"], version["run"]) == (1, number)
    assert (version["aliases"], version["description"]) == (["champion"], "the first")


def test_runs_are_searched(told: dict[str, Any]):
    found = told["searched"]
    assert found["all"] == ["acorn", "oak"]
    assert found["metric"] == found["tag"] == found["dataset"] == ["oak"]
    assert found["attribute"] == ["acorn"]
    assert found["nothing"] == []
    assert found["pages"] == [["acorn"], ["oak"]]
    assert found["experiments"] == ["trees"]
    assert found["bad"][0] == found["or"][0] == "INVALID_PARAMETER_VALUE"


def test_what_cannot_be_is_refused_in_the_clients_words(told: dict[str, Any]):
    found = told["refused"]
    assert found["run"][0] == found["nobody"][0] == "RESOURCE_DOES_NOT_EXIST"
    for case in ("change", "name", "huge", "elsewhere", "step"):
        assert found[case][0] == "INVALID_PARAMETER_VALUE", case
    assert "already logged with value='tree'" in found["change"][1]
    assert "6000" in found["huge"][1]
    assert found["there"][0] == "RESOURCE_ALREADY_EXISTS"
    assert found["registry"][0] == found["local"][0] == "NOT_IMPLEMENTED"
    assert "spice-tui model create" in found["local"][1]
    assert found["again"][0] == "RESOURCE_ALREADY_EXISTS"
    assert found["nameless"][0] == "INVALID_PARAMETER_VALUE"
    assert found["missing"]


def test_runs_and_experiments_are_put_away_and_taken_back(
    shared_engine: EngineFixture, told: dict[str, Any]
):
    found = told["away"]
    assert (found["status"], found["deleted"]) == ("KILLED", "deleted")
    assert found["late"][0] == "INVALID_PARAMETER_VALUE"
    assert not found["tag"]
    assert found["renamed"] == ["woods", {"area": "north", "owner": "me"}]
    assert (found["gone"], found["into_gone"]) == ("deleted", "RESOURCE_CONFLICT")


async def test_an_unfinished_run_outlives_the_engine_and_is_ended_here(tmp_path: Path):
    (tmp_path / ".spice").mkdir()
    async with runs_of(tmp_path) as runs:
        tracking = tracking_of(runs)
        assert not tracking.busy
        made = await tracking.create(0, name="long", user="me", started=None, tags={})
    async with runs_of(tmp_path) as runs:
        tracking = tracking_of(runs)
        assert await runs.adopt_all() == 0
        await tracking.open()
        assert tracking.busy
        assert (await tracking.get(made.row.uuid)).status == "RUNNING"
        run = await runs.end(made.row.number, kill=False)
        assert (run.state, run.outcome) == ("stopped", "stopped")
        assert (await tracking.get(made.row.uuid)).status == "KILLED"
        assert not tracking.busy
        # Its client may go on all the same.
        again = await tracking.update(made.row.uuid, status="RUNNING", ended=None, name="")
        assert (again.status, again.row.ended) == ("RUNNING", None)
        assert tracking.busy


def tracking_of(runs: Runs) -> Tracking:
    return Tracking(runs, Projects(runs.database, runs.metrics, runs.known, Bus()))


# -- bad requests


def test_the_door_needs_the_token(shared_engine: EngineFixture):
    for path in (f"{API}/experiments/get?experiment_id=0", f"/api/runs/1{API}/runs/get?run_id=1"):
        assert ask(shared_engine, "GET", path)[0] == 200
        for token in ("", "wrong"):
            status, answer = ask(shared_engine, "GET", path, token=token)
            assert (status, answer["error_code"]) == (401, "UNAUTHENTICATED")
            assert "MLFLOW_TRACKING_TOKEN" in answer["message"]
    assert ask(shared_engine, "PUT", f"{ARTIFACTS}/runs/1/x", b"x", token="")[0] == 401


@pytest.mark.parametrize(
    "path",
    [
        "runs/{}/../../../evil",
        "runs/{}/%2e%2e/%2e%2e/evil",
        "runs/{}/a/..%2f..%2f..%2fevil",
        "runs/{}/a\\..\\evil",
        "runs/{}/a%00b",
        "runs/{}/" + "n" * 300,
        "runs/{}/link/evil",
        "experiments/0/evil",
        "../evil",
        "%2fetc/evil",
    ],
)
def test_no_path_leads_out_of_a_runs_outputs(
    shared_engine: EngineFixture, made: tuple[int, str], path: str
):
    number, _ = made
    outputs = shared_engine.location.state / f"runs/{number}/outputs"
    outputs.mkdir(parents=True)
    (outputs / "link").symlink_to(shared_engine.location.root)
    for method in ("PUT", "GET", "DELETE"):
        body = b"evil" if method == "PUT" else None
        status, answer = ask(shared_engine, method, f"{ARTIFACTS}/{path.format(number)}", body)
        assert status in {400, 404}, (method, answer)
    assert not list(shared_engine.location.root.rglob("*evil*"))


def test_an_upload_that_is_cut_off_leaves_nothing(
    shared_engine: EngineFixture, made: tuple[int, str]
):
    number, uuid = made
    place = urlsplit(shared_engine.http)
    token = shared_engine.location.token.read_text().strip()
    with socket.create_connection((place.hostname, place.port)) as link:
        link.sendall(
            f"PUT {ARTIFACTS}/runs/{number}/cut HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: 5000000\r\n\r\n".encode()
            + bytes(2_000_000)
        )
        waiting = shared_engine.location.state / "tmp"
        wait_for(lambda: list(waiting.glob("artifact-*")), "the file to come in")
    wait_for(lambda: not list(waiting.glob("artifact-*")), "it to be removed")
    assert ask(shared_engine, "GET", f"{API}/artifacts/list?run_id={uuid}")[1]["files"] == []
    assert ask(shared_engine, "PUT", f"{ARTIFACTS}/runs/{number}/cut", b"whole")[0] == 200
    assert ask(shared_engine, "GET", f"{ARTIFACTS}/runs/{number}/cut") == (200, b"whole")
    assert ask(shared_engine, "PUT", f"{ARTIFACTS}/runs/{number}/cut/in", b"x")[0] == 409
    assert ask(shared_engine, "DELETE", f"{ARTIFACTS}/runs/{number}/cut")[0] == 200
    assert ask(shared_engine, "GET", f"{ARTIFACTS}/runs/{number}/cut")[0] == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs/log-metric", {"key": "a", "value": "much"}),
        ("runs/log-metric", {"key": "a", "value": True}),
        ("runs/log-metric", {"key": "a", "value": 1, "step": 1.5}),
        ("runs/log-metric", {"key": "a", "value": 1, "step": 2**53 + 1}),
        ("runs/log-metric", {"key": "../a", "value": 1}),
        ("runs/log-batch", {"metrics": [1]}),
        ("runs/log-batch", {"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}),
        ("runs/log-batch", {"tags": {"key": "a"}}),
        ("runs/update", {"status": "PERHAPS"}),
        ("runs/search", {"max_results": 0}),
        ("runs/search", {"page_token": "!"}),
        ("experiments/create", {"name": " "}),
        ("experiments/create", {"name": ["a"]}),
    ],
)
def test_bad_values_are_refused(
    shared_engine: EngineFixture, made: tuple[int, str], path: str, body: dict[str, Any]
):
    status, answer = ask(shared_engine, "POST", f"{API}/{path}", {"run_id": made[1], **body})
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
    _, answer = ask(shared_engine, "GET", f"{API}/runs/get?run_id={made[1]}")
    assert answer["run"]["data"]["metrics"] == answer["run"]["data"]["params"] == []


def test_an_unknown_path_is_told_as_such(shared_engine: EngineFixture):
    status, answer = ask(shared_engine, "POST", f"{API}/traces", {})
    assert (status, answer["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    status, answer = ask(shared_engine, "GET", "/api/3.0/mlflow/server-info")
    assert (status, answer["workspaces_enabled"]) == (200, False)


# -- import


def store(folder: Path) -> str:
    """A folder as MLflow's file store writes it; the id of its run."""
    uuid = "a1" * 16
    run = folder / "77" / uuid
    for name in ("metrics/val", "params/net", "tags", "artifacts/model"):
        (run / name).mkdir(parents=True)
    (folder / "77/meta.yaml").write_text("experiment_id: '77'\nname: meadow\n")
    (run / "meta.yaml").write_text(
        f"run_id: {uuid}\nrun_name: clover\nexperiment_id: '77'\nuser_id: me\nstatus: 3\n"
        "start_time: 1600000000000\nend_time: 1600000060000\nlifecycle_stage: active\n"
    )
    (run / "metrics/val/loss").write_text(
        "1600000000001 0.5 0\n1600000000001 nan 0\n1600000000002 inf 7\nnonsense\n"
        "1600000000000 9 -2\n"
    )
    (run / "params/net/depth").write_text("4")
    (run / "tags/colour").write_text("green")
    (run / "artifacts/model/w.bin").write_bytes(b"w")
    (run / "artifacts/out").symlink_to("/etc/passwd")
    model = folder / "77/models/m-1"
    (model / "artifacts").mkdir(parents=True)
    (model / "artifacts/MLmodel").write_text("flavors: {}")
    (model / "meta.yaml").write_text(f"model_id: m-1\nname: bark\nsource_run_id: {uuid}\n")
    broken = folder / "77" / ("b2" * 16)
    broken.mkdir()
    (broken / "meta.yaml").write_text("[")
    gone = folder / ".trash" / "88"
    (gone / ("c3" * 16)).mkdir(parents=True)
    (gone / "meta.yaml").write_text("experiment_id: '88'\nname: fen\n")
    (gone / ("c3" * 16) / "meta.yaml").write_text(
        f"run_id: {'c3' * 16}\nrun_name: rush\nexperiment_id: '88'\nuser_id: me\nstatus: 3\n"
        "start_time: 1600000000001\nend_time: 1600000060000\nlifecycle_stage: deleted\n"
    )
    lost = folder / "99" / ("d4" * 16)
    lost.mkdir(parents=True)
    (lost / "meta.yaml").write_text(f"run_id: {'d4' * 16}\nstart_time: 1600000000000\n")
    return uuid


def test_a_folder_is_taken_in_once(
    shared_engine: EngineFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    uuid = store(tmp_path / "mlruns")
    folder = ["--folder", str(shared_engine.location.root)]
    assert command_line([*folder, "import", "mlflow", str(tmp_path / "mlruns")]) == 0
    assert "Imported 2 runs of 2 experiments; 0 were here already." in capsys.readouterr().out
    _, answer = ask(shared_engine, "GET", f"{API}/runs/get?run_id={uuid}")
    found = answer["run"]
    number = int(found["info"]["artifact_uri"].rpartition("/")[2])
    run = info(shared_engine, number)
    assert (run["name"], run["project"], run["state"]) == ("clover", "meadow", "complete")
    assert (run["started"], run["ended"]) == (1_600_000_000.0, 1_600_000_060.0)
    assert run["params"] == {"net/depth": "4"}
    assert found["data"]["metrics"] == [
        {"key": "val/loss", "value": "Infinity", "timestamp": 1_600_000_000_002, "step": 7}
    ]
    _, answer = ask(
        shared_engine,
        "GET",
        f"{API}/metrics/get-history?run_id={uuid}&metric_key={quote('val/loss', safe='')}",
    )
    assert [one["value"] for one in answer["metrics"]] == [9.0, 0.5, "NaN", "Infinity"]
    # What was deleted there is put away here, an experiment as its runs.
    gone = shared_engine.call("projects.get", name="fen")["project"]
    assert gone["archived"] is not None
    _, answer = ask(shared_engine, "GET", f"{API}/runs/get?run_id={'c3' * 16}")
    assert answer["run"]["info"]["lifecycle_stage"] == "deleted"
    outputs = shared_engine.location.state / f"runs/{number}/outputs"
    files = [path for path in outputs.rglob("*") if path.is_file() or path.is_symlink()]
    assert sorted(str(path.relative_to(outputs)) for path in files) == [
        "model/w.bin",
        "models/bark/MLmodel",
    ]
    _, answer = ask(shared_engine, "GET", f"{API}/logged-models/m-1")
    uri = answer["model"]["info"]["artifact_uri"]
    assert uri == f"mlflow-artifacts:/runs/{number}/models/bark"

    assert command_line([*folder, "import", str(tmp_path / "mlruns"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["new"], again["known"]) == (0, 2)
    assert again["notes"] == [
        "99: its meta.yaml is not that of an experiment.",
        f"{'b2' * 16}: its meta.yaml is not that of a run.",
    ]

    # One whose import was cut short is taken in anew, and nothing of it twice.
    tag = {"run_id": uuid, "key": "spice.import", "value": "not finished"}
    assert ask(shared_engine, "POST", f"{API}/runs/set-tag", tag)[0] == 200
    assert command_line([*folder, "import", str(tmp_path / "mlruns"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["new"] == 1
    _, answer = ask(shared_engine, "GET", f"{API}/runs/get?run_id={uuid}")
    assert answer["run"]["info"]["artifact_uri"] == found["info"]["artifact_uri"]
    assert answer["run"]["data"]["metrics"] == found["data"]["metrics"]
    assert (outputs / "model/w.bin").read_bytes() == b"w"


TABLES = """
CREATE TABLE experiments (experiment_id, name, artifact_location, lifecycle_stage);
CREATE TABLE experiment_tags (key, value, experiment_id);
CREATE TABLE runs (run_uuid, name, user_id, status, start_time, end_time, lifecycle_stage,
                   artifact_uri, experiment_id);
CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan);
CREATE TABLE params (key, value, run_uuid);
CREATE TABLE tags (key, value, run_uuid);
CREATE TABLE logged_models (model_id, experiment_id, name, artifact_location, lifecycle_stage,
                            source_run_id);
"""


def database(folder: Path) -> tuple[str, str]:
    """Runs as MLflow keeps them where nobody says otherwise; the ids of two of them."""
    one, other = "e5" * 16, "f6" * 16
    place = folder / "mlruns/7" / one / "artifacts"
    place.mkdir(parents=True)
    (place / "w.bin").write_bytes(b"w")
    model = folder / "mlruns/7/models/m-7/artifacts"
    model.mkdir(parents=True)
    (model / "MLmodel").write_text("flavors: {}")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        connection.executescript(TABLES)
        connection.execute("INSERT INTO experiments VALUES (7, 'heath', '', 'active')")
        connection.execute("INSERT INTO experiment_tags VALUES ('area', 'west', 7)")
        connection.executemany(
            "INSERT INTO runs VALUES (?, ?, 'me', ?, 1600000000000, 1600000060000, ?, ?, 7)",
            [
                (one, "ling", "FINISHED", "active", str(place)),
                (other, "", "FAILED", "deleted", "/etc"),
                ("07" * 16, "", "FAILED", "active", "s3://far/away"),
            ],
        )
        connection.execute("UPDATE runs SET start_time = NULL WHERE run_uuid LIKE '07%'")
        connection.executemany(
            "INSERT INTO metrics VALUES ('loss', ?, 1600000000001, ?, ?, ?)",
            [
                (0.5, one, -1, 0),
                (0, one, 2, 1),
                (-sys.float_info.max, one, 3, 0),
                ("much", one, 4, 0),
            ],
        )
        connection.execute("INSERT INTO params VALUES ('depth', '4', ?)", (one,))
        connection.execute("INSERT INTO params VALUES ('a$b', '4', ?)", (one,))
        connection.execute("INSERT INTO tags VALUES ('c', CAST(x'67ff' AS TEXT), ?)", (one,))
        connection.execute(
            "INSERT INTO logged_models VALUES ('m-7', 7, 'bark', ?, 'active', ?)",
            (f"file://{model}", one),
        )
    return one, other


@pytest.mark.parametrize("named", ["mlruns", "mlflow.db"])
def test_a_database_is_taken_in_with_the_files_beside_it(
    shared_engine: EngineFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str], named: str
):
    one, other = database(tmp_path)
    folder = ["--folder", str(shared_engine.location.root)]
    assert command_line([*folder, "import", "--json", str(tmp_path / named)]) == 0
    taken = json.loads(capsys.readouterr().out)
    assert taken["new"] + taken["known"] == 2
    assert taken["notes"][:2] == [
        f"{one}: Invalid param name: 'a$b'.",
        f"{other}: its files are left out: '/etc' is elsewhere.",
    ]
    assert taken["notes"][2] == f"{'07' * 16}: it has no begin."
    _, answer = ask(shared_engine, "GET", f"{API}/runs/get?run_id={one}")
    data = {kind: pairs_of(answer["run"]["data"][kind]) for kind in ("params", "tags")}
    assert data["params"] == {"depth": "4"}
    assert data["tags"]["c"] == "g\ufffd"
    number = int(data["tags"]["spice.run"])
    assert info(shared_engine, number)["project"] == "heath"
    history = f"{API}/metrics/get-history?run_id={one}&metric_key=loss"
    _, answer = ask(shared_engine, "GET", history)
    points = [(point["step"], point["value"]) for point in answer["metrics"]]
    assert points == [(-1, 0.5), (2, "NaN"), (3, "-Infinity")]
    outputs = shared_engine.location.state / f"runs/{number}/outputs"
    files = sorted(str(path.relative_to(outputs)) for path in outputs.rglob("*") if path.is_file())
    assert files == ["models/bark/MLmodel", "w.bin"]
    _, answer = ask(shared_engine, "GET", f"{API}/runs/get?run_id={other}")
    found = answer["run"]["info"]
    assert (found["lifecycle_stage"], found["status"]) == ("deleted", "FAILED")


def pairs_of(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in pairs}


def test_what_is_no_store_is_refused(shared_engine: EngineFixture, tmp_path: Path):
    folder = ["--folder", str(shared_engine.location.root)]
    (tmp_path / "empty").mkdir()
    assert command_line([*folder, "import", "mlflow", str(tmp_path / "empty")]) == 2
    with closing(sqlite3.connect(tmp_path / "empty/other.db")) as connection, connection:
        connection.execute("CREATE TABLE runs (run_uuid)")
    (tmp_path / "empty/text.db").write_text("no database at all")
    for name in ("other.db", "text.db"):
        assert command_line([*folder, "import", "mlflow", str(tmp_path / "empty" / name)]) == 2
    assert command_line([*folder, "import", "mlflow", str(tmp_path / "nowhere")]) == 5
