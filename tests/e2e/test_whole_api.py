"""The whole engine's HTTP API, fuzzed by its own OpenAPI document: no server error, no surprise."""

from __future__ import annotations

import json
import urllib.request

import pytest
import schemathesis

from spice_engine.api import openapi
from spice_engine.app import TABLE
from tests.conftest import EngineFixture, wait_for
from tests.examples import examples
from tests.fuzzing import CHECKS, door_session, fuzz

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LEFT_OUT = {
    "runs.start": "would run arbitrary commands",
    "workspaces.start": "would start notebook servers",
    "searches.start": "would run arbitrary commands",
    "workflows.create": "would run arbitrary commands",
    "workflows.start_run": "would run arbitrary commands",
    "engine.stop": "ends the engine",
    "engine.restart": "ends the engine",
    "samples.add": "writes into the folder",
    "store.export": "writes into the folder",
    "runs.export": "writes a file anywhere",
    "runs.export_metrics": "writes a file anywhere",
    "runs.export_run": "writes a file anywhere",
    "runs.import": "would add runs",
    "runs.import_table": "would add runs",
    "runs.import_events": "looks through whole disks",
    "tracking.import": "looks through whole disks",
}
document = openapi.build(TABLE)


@pytest.fixture(scope="module")
def whole(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with a trained pod and some runs, so that ids and names hit something."""
    shared_engine.call("samples.add", name="samples/serverops")
    for code in range(3):
        run = shared_engine.call("runs.start", command=f"echo {code}; exit {code}", labels=["a"])
        point = {"name": "loss", "value": code / 7}
        shared_engine.call("runs.add_metrics", id=run["id"], points=[point])
    wait_for(lambda: shared_engine.call("pods.list")["pods"], "the pod")
    wait_for(
        lambda: shared_engine.call("pods.get", pod="serverops")["state"] == "ready", "its policy"
    )
    return shared_engine


def test_the_engine_serves_the_document_that_is_fuzzed(whole: EngineFixture):
    with urllib.request.urlopen(f"{whole.http}/api/openapi.json", timeout=20) as reply:
        assert json.load(reply) == document
    known = {
        entry.get("operationId") for item in document["paths"].values() for entry in item.values()
    }
    assert LEFT_OUT.keys() <= known
    assert {operation.name for operation in TABLE} <= known


def aim(case: schemathesis.Case) -> None:
    """Let about every second case hit something that is there; trainings could take long."""
    if case.path.endswith("/train"):
        return
    for name, real in (("pod", "serverops"), ("id", 1), ("number", 1)):
        if name in case.path_parameters and len(str(case.path_parameters[name])) % 2:
            case.path_parameters[name] = real


@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(600)
def test_fuzzing_every_operation_finds_nothing(whole: EngineFixture, subtests: pytest.Subtests):
    token = whole.location.token.read_text().strip()

    def call(case: schemathesis.Case) -> None:
        aim(case)
        case.call_and_validate(
            base_url=whole.http,
            headers={"Authorization": f"Bearer {token}"},
            checks=CHECKS,
            session=session,
        )

    schema = (
        schemathesis.openapi.from_dict(document)
        .exclude(operation_id=list(LEFT_OUT))
        .exclude(path="/api/v1/events")
    )
    with door_session() as session:
        assert fuzz(schema, call, examples(40, in_ci=3), subtests) > 100


def test_the_engine_is_as_it_was(whole: EngineFixture):
    assert whole.call("pods.get", pod="serverops")["state"] in {"ready", "training", "loading"}
    runs = [run for away in (False, True) for run in whole.call("runs.list", archived=away)["runs"]]
    assert sorted(run["exit_code"] for run in runs) == [0, 1, 2]
    assert "Traceback" not in whole.location.log.read_text()
