"""What the genuine MLflow client does in a run of an engine, and what it is told; as JSON.

It costs seconds to import, so that one process does all of it.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException


def refused(work: Callable[[], object]) -> list[str]:
    try:
        return ["done", repr(work())]
    except MlflowException as error:
        return [error.error_code, error.message]


def attached(client: MlflowClient) -> dict[str, Any]:
    """The code of a run of ours: its `start_run` is that run, in the experiment it names."""
    mlflow.set_experiment("orchard")
    with mlflow.start_run() as run:
        mlflow.log_param("depth", 3)
        mlflow.log_metric("height", 2.5, step=4)
        mlflow.log_text("pears", "notes/fruit.txt")
        # Where the command leaves a file of its own at its end.
        mlflow.log_text("gone", "told.json/clash.txt")
    again = client.get_run(run.info.run_id)
    more = client.create_run("0", run_name="made inside")
    client.set_terminated(more.info.run_id, "FAILED")
    return {
        "more": more.data.tags["spice.run"],
        "id": run.info.run_id,
        "status": again.info.status,
        "experiment": client.get_experiment(again.info.experiment_id).name,
        "params": again.data.params,
    }


def tracked(client: MlflowClient) -> dict[str, Any]:
    experiment = client.create_experiment("trees", tags={"area": "north"})
    with mlflow.start_run(
        experiment_id=experiment, run_name="oak", tags={"kind": "old"}, description="the big one"
    ) as run:
        mlflow.log_params({"lr": 0.1, "model": "tree"})
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metric("loss", 9.0, step=-2)
        mlflow.log_metrics({"odd": math.nan, "far": -math.inf})
        # Many in one millisecond, and one of them sent twice.
        points = [Metric("tight", value, 1_700_000_000_000, 0) for value in (1.0, 2.0, 3.0, 2.0)]
        client.log_batch(run.info.run_id, points, [Param("more", "1")], [RunTag("t", "u")])
        mlflow.log_dict({"x": 1}, "x.json")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "deep").mkdir()
            Path(folder, "deep", "big file").write_bytes(bytes(3_000_000))
            mlflow.log_artifacts(folder, "more")
        with mlflow.start_run(experiment_id=experiment, nested=True, run_name="acorn"):
            mlflow.log_metric("loss", 0.9)
    found = client.get_run(run.info.run_id)
    data = Dataset("rows", "abc", "local", "rows.csv", schema="{}")
    given = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
    client.log_inputs(run.info.run_id, [given])
    model = client.create_logged_model(experiment, "bark", run.info.run_id, params={"a": "b"})
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "weights").write_text("w")
        client.log_model_artifacts(model.model_id, folder)
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 1)])
    client.finalize_logged_model(model.model_id, "READY")
    for value, step in ((0.4, 1), (0.8, 3), (0.6, 2)):
        client.log_metric(run.info.run_id, "density", value, step=step, model_id=model.model_id)
    dense = client.search_logged_models(
        [experiment],
        filter_string="metrics.density > 0.7",
        order_by=[{"field_name": "metrics.density", "ascending": False}],
    )
    light = client.search_logged_models([experiment], filter_string="metrics.density < 0.7")
    client.log_artifact(run.info.run_id, __file__, "late")
    names = lambda path=None: [  # noqa: E731
        one.path for one in client.list_artifacts(run.info.run_id, path)
    ]
    read = mlflow.artifacts.load_text(f"{found.info.artifact_uri}/x.json")
    read_again = client.get_run(run.info.run_id)
    return {
        "experiment": experiment,
        "id": run.info.run_id,
        "info": dict(found.info),
        "metrics": {key: repr(value) for key, value in found.data.metrics.items()},
        "params": found.data.params,
        "tags": found.data.tags,
        "history": [
            [one.step, one.value] for one in client.get_metric_history(run.info.run_id, "loss")
        ],
        "tight": sorted(
            [one.timestamp, one.value]
            for one in client.get_metric_history(run.info.run_id, "tight")
        ),
        "files": names(),
        "deep": names("more/deep"),
        "logged": model.model_id,
        "dense": [[one.name for one in found] for found in (dense, light)],
        "density": [
            [one.key, one.value, one.step, one.run_id == run.info.run_id]
            for one in client.get_logged_model(model.model_id).metrics or ()
        ],
        "model": [names("bark"), client.get_logged_model(model.model_id).status.value],
        "outputs": [one.model_id == model.model_id for one in read_again.outputs.model_outputs],
        "inputs": [one.dataset.name for one in read_again.inputs.dataset_inputs],
        "read": read,
    }


def registered(client: MlflowClient, told: dict[str, Any]) -> dict[str, Any]:
    """Models of the registry: versions are made of a logged model and of a run's folder."""
    uri = told["info"]["artifact_uri"]
    empty = client.create_registered_model("timber").latest_versions
    first = client.create_model_version("timber", f"models:/{told['logged']}", told["id"])
    second = client.create_model_version("timber", f"{uri}/more", told["id"], description="all")
    client.set_registered_model_alias("timber", "champion", first.version)
    with tempfile.TemporaryDirectory() as folder:
        fetched = mlflow.artifacts.download_artifacts("models:/timber@champion", dst_path=folder)
        files = sorted(path.name for path in Path(fetched).rglob("weights"))
    client.update_model_version("timber", first.version, "the first")
    client.create_registered_model("short")
    found = client.search_registered_models(filter_string="name LIKE 'ti%'")
    versions = client.search_model_versions("name = 'timber'", order_by=["version_number ASC"])
    answer = {
        "empty": list(empty),
        "files": files,
        "found": [[one.name, one.aliases] for one in found],
        "versions": [[one.version, one.source, one.description] for one in versions],
        "runs": {one.run_id for one in versions} == {told["id"]},
        "latest": [one.version for one in client.get_latest_versions("timber")],
        "named": [one.name for one in client.search_registered_models(order_by=["name DESC"])],
    }
    client.delete_model_version("timber", second.version)
    client.delete_registered_model("short")
    answer["gone"] = [
        refused(lambda: client.get_model_version("timber", second.version))[0],
        refused(lambda: client.get_registered_model("short"))[0],
    ]
    return answer


def searched(client: MlflowClient, experiment: str) -> dict[str, Any]:
    def names(text: str = "", **more: Any) -> list[str]:
        return [run.info.run_name for run in client.search_runs([experiment], text, **more)]

    pages = []
    token = None
    while True:
        page = client.search_runs(
            [experiment], "", max_results=1, order_by=["metrics.loss DESC"], page_token=token
        )
        pages.append([run.info.run_name for run in page])
        token = page.token
        if not token:
            break
    return {
        "all": sorted(names()),
        "metric": names("metrics.loss < 0.5 AND params.model = 'tree'"),
        "tag": names("tags.kind LIKE 'o%'"),
        "attribute": names("attributes.run_name ILIKE 'ACO%' and status = 'FINISHED'"),
        "dataset": names("datasets.name = 'rows' and dataset.context IN ('training')"),
        "nothing": names("params.model IS NULL and tags.kind IS NOT NULL"),
        "pages": pages,
        "experiments": [
            one.name for one in client.search_experiments(filter_string="tags.area = 'north'")
        ],
        "bad": refused(lambda: names("metrics.loss < 'x'")),
        "or": refused(lambda: names("metrics.loss < 1 OR metrics.loss > 2")),
    }


def turned_down(client: MlflowClient, run: str, experiment: str) -> dict[str, Any]:
    return {
        "run": refused(lambda: client.get_run("f" * 32)),
        "change": refused(lambda: client.log_param(run, "model", "bush")),
        "name": refused(lambda: client.log_metric(run, "a;b", 1.0)),
        "huge": refused(lambda: client.log_param(run, "huge", "x" * 6001)),
        "there": refused(lambda: client.create_experiment("trees")),
        "elsewhere": refused(lambda: client.create_experiment("far", "s3://bucket/x")),
        "registry": refused(lambda: client.set_model_version_tag("timber", "1", "a", "b")),
        "local": refused(lambda: client.create_model_version("timber", "file:///tmp/x")),
        "nobody": refused(lambda: client.log_metric(run, "a", 1.0, model_id="m-1234")),
        "again": refused(lambda: client.create_registered_model("timber")),
        "nameless": refused(lambda: client.create_registered_model("a b")),
        "step": refused(lambda: client.log_metric(run, "back", 1.0, step=2**60)),
        "missing": client.get_experiment_by_name("nowhere") is None,
    }


def put_away(client: MlflowClient, experiment: str) -> dict[str, Any]:
    one = client.create_run(experiment, run_name="short")
    client.set_terminated(one.info.run_id, "KILLED")
    status = client.get_run(one.info.run_id).info.status
    client.delete_run(one.info.run_id)
    deleted = client.get_run(one.info.run_id).info.lifecycle_stage
    late = refused(lambda: client.set_tag(one.info.run_id, "a", "b"))
    client.restore_run(one.info.run_id)
    client.set_tag(one.info.run_id, "a", "b")
    client.delete_tag(one.info.run_id, "a")
    tags = client.get_run(one.info.run_id).data.tags
    client.rename_experiment(experiment, "woods")
    client.set_experiment_tag(experiment, "owner", "me")
    renamed = client.get_experiment(experiment)
    client.delete_experiment(experiment)
    gone = client.get_experiment(experiment).lifecycle_stage
    into_gone = refused(lambda: client.create_run(experiment))
    client.restore_experiment(experiment)
    return {
        "status": status,
        "deleted": deleted,
        "late": late,
        "tag": "a" in tags,
        "renamed": [renamed.name, renamed.tags],
        "gone": gone,
        "into_gone": into_gone[0],
    }


def main() -> None:
    told: dict[str, Any] = {"attached": attached(MlflowClient())}
    base, _, _ = os.environ["MLFLOW_TRACKING_URI"].partition("/api/runs/")
    mlflow.set_tracking_uri(base)
    client = MlflowClient()
    told["tracked"] = tracked(client)
    experiment, run = told["tracked"]["experiment"], told["tracked"]["id"]
    told["registered"] = registered(client, told["tracked"])
    told["searched"] = searched(client, experiment)
    told["refused"] = turned_down(client, run, experiment)
    told["away"] = put_away(client, experiment)
    Path("told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
