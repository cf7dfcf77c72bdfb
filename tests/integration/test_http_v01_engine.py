"""The v0.1 API of a real engine: every path, and its errors."""

from __future__ import annotations

import csv
import io

import pytest
from v01_world import EPOCH, ROWS, ask, furnish, state, url

from tests.conftest import EngineFixture, wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shop(shared_engine: EngineFixture) -> EngineFixture:
    """An engine whose `shop` is trained, `sleeper` has too little data and `broken` is wrong."""
    furnish(shared_engine.location.root)
    wait_for(lambda: len(shared_engine.call("pods.list")["pods"]) == 3, "the pods")
    wait_for(lambda: state(shared_engine, "shop") == "ready", "the policy of shop")
    wait_for(lambda: state(shared_engine, "sleeper") in {"failed", "untrained"}, "sleeper")
    return shared_engine


def rows(engine: EngineFixture, query: str = "") -> list[dict[str, str]]:
    reply = ask(url(engine, f"pods/shop/observations{query}"))
    assert (reply.status, reply.kind) == (200, "text/csv")
    return list(csv.DictReader(io.StringIO(reply.text)))


@pytest.fixture
def token(shop: EngineFixture) -> dict[str, str]:
    return {"Authorization": f"Bearer {shop.location.token.read_text().strip()}"}


def test_pods(shop: EngineFixture) -> None:
    pods = {pod["name"]: pod for pod in ask(url(shop, "pods")).json}
    assert pods.keys() == {"shop", "sleeper", "broken"}
    assert pods["shop"] == {
        "name": "shop",
        "manifest_path": "spicepods/shop.yaml",
        "episodes": 3,
        "identifiers": ["till.sales.branch"],
        "measurements": [
            "till.sales.price",
            "till.sales.zero",
            "news.feed.mood",
            "local.purse.coins",
        ],
        "categories": ["till.sales.kind"],
    }
    assert ask(url(shop, "pods/shop")).json == pods["shop"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("pods/nobody", None),
        ("pods/nobody/train", "{}"),
        ("pods/nobody/train", "nonsense"),
        ("pods/nobody/observations", None),
        ("pods/nobody/observations", "time,a\n1,2\n"),
        ("pods/nobody/dataspaces/till/sales/data", "time,price\n1,2\n"),
        ("pods/shop/dataspaces/till/nothing/data", "time,price\n1,2\n"),
        ("pods/nobody/training_runs", None),
        ("pods/nobody/training_runs/1", None),
        ("pods/shop/training_runs/99", None),
        ("pods/shop/training_runs/-1", None),
        ("pods/shop/training_runs/99/loggers/tensorboard", ""),
        ("pods/nobody/interpretations", None),
        ("pods/nobody/interpretations", "[]"),
        ("pods/nobody/export", "{}"),
        ("pods/nobody/models/latest/export", "{}"),
    ],
)
def test_what_there_is_not_is_404_without_a_body(
    shop: EngineFixture, token: dict[str, str], path: str, body: str | None
) -> None:
    reply = ask(url(shop, path), body, **token)
    assert (reply.status, reply.text) == (404, "")


def test_an_unknown_path_is_404(shop: EngineFixture) -> None:
    for path in ("api/v0.1/nothing", "api/v0.1/pods/shop/models", "nothing"):
        assert ask(f"{shop.http}/{path}").status == 404


def test_training(shop: EngineFixture) -> None:
    before = len(ask(url(shop, "pods/shop/training_runs")).json)
    body = {"learning_algorithm": "linear", "number_episodes": 2, "loggers": ["tensorboard"]}
    reply = ask(url(shop, "pods/shop/train"), body)
    assert (reply.status, reply.kind, reply.text) == (200, "text/plain", "ok")
    wait_for(lambda: state(shop, "shop") == "ready", "the end of the training")
    runs = ask(url(shop, "pods/shop/training_runs")).json
    assert len(runs) == before + 1
    run = next(run for run in runs if run["id"] == str(before + 1))
    assert ask(url(shop, f"pods/shop/training_runs/{before + 1}")).json == run
    assert run["algorithm"] == "linear"
    assert run["end"] >= run["start"] > 0
    assert [episode["episode"] for episode in run["episodes"]] == [1, 2]
    assert run["episodes"][0].keys() == {
        "episode",
        "start",
        "end",
        "score",
        "actions_taken",
        "error",
        "error_message",
    }
    assert run["loggers"] == ["tensorboard"]


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("shop/train", "{", 400, "not JSON"),
        ("shop/train", '{"learning_algorithm": "x"}', 400, "Learning algorithm x not found"),
        ("shop/train", '{"loggers": ["x"]}', 400, "Invalid logger x"),
        ("sleeper/train", "{}", 409, "sleeper -> insufficient data for training"),
        ("broken/train", "{}", 400, "errors"),
        ("shop/training_runs/1/loggers/x", "", 404, "Invalid logger x"),
        ("shop/training_runs/1/episodes", "{}", 405, "itself"),
        ("shop/observations", "no\n1\n", 400, "error processing csv: "),
        ("shop/observations", "", 400, "error processing csv: "),
        ("shop/dataspaces/till/sales/data", "zeit\n1\n", 400, "error processing data: "),
        ("shop/dataspaces/news/feed/data", "time,feeling\n1,2\n", 400, "error processing data: "),
        ("broken/observations", "time,a\n1,2\n", 400, "errors"),
        ("shop/interpretations", "{}", 400, "array"),
        ("shop/interpretations", "[1]", 400, "an interpretation is an object"),
        ("shop/interpretations", '[{"Start": 1}]', 400, "end is a time"),
        ("shop/interpretations", '[{"start": 1, "end": 2, "x": 3}]', 400, "no 'x'"),
        (
            "shop/interpretations",
            f'[{{"start": {EPOCH + 9}, "end": {EPOCH}}}]',
            400,
            "start must be same or before end",
        ),
        (
            "shop/interpretations",
            f'[{{"start": 5, "end": {EPOCH}}}]',
            400,
            f"interpretation start '5' must be same or later than pod epoch '{EPOCH}'",
        ),
        (
            "shop/interpretations",
            f'[{{"start": {EPOCH}, "end": {EPOCH + 21601}}}]',
            400,
            f"interpretation end '{EPOCH + 21601}' must be same or before pod end",
        ),
        ("sleeper/export", "{}", 400, "pod_not_trained: Unable to export a model"),
        ("shop/export", '{"directory": "/"}', 400, "invalid_request: "),
        ("shop/export", '{"directory": "nowhere"}', 404, "does not exist"),
        ("shop/export", '{"filename": "x.zip"}', 400, ".spicepod"),
        ("shop/models/v99/export", "{}", 400, "v99"),
        ("shop/import", '{"archive_path": "nothing.spicepod"}', 404, "nothing.spicepod"),
        ("shop/import", '{"archive_path": "../x.spicepod"}', 400, "outside"),
        ("shop/import", "{}", 400, "invalid_request: "),
    ],
)
def test_refusals_are_plain_text(
    shop: EngineFixture, token: dict[str, str], path: str, body: str, status: int, text: str
) -> None:
    reply = ask(url(shop, f"pods/{path}"), body, **token)
    assert (reply.status, reply.kind) == (status, "text/plain")
    assert text in reply.text


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("observations?start=soon", 400, "invalid start"),
        ("interpretations?end=soon", 400, "invalid end"),
        ("interpretations?start=5", 400, f"start '5' cannot be before pod epoch '{EPOCH}'"),
        ("interpretations?end=9999999999", 400, "end '9999999999' cannot be after pod period"),
    ],
)
def test_wrong_bounds_are_refused(shop: EngineFixture, path: str, status: int, text: str) -> None:
    reply = ask(url(shop, f"pods/shop/{path}"))
    assert (reply.status, reply.kind) == (status, "text/plain")
    assert text in reply.text


def test_recommendation(shop: EngineFixture) -> None:
    reply = ask(url(shop, "pods/shop/recommendation"))
    assert (reply.status, reply.kind) == (200, "application/json")
    answer = reply.json
    assert answer.keys() == {"response", "start", "end", "action", "confidence", "tag"}
    assert answer["response"] == {"result": "ok"}
    assert answer["end"] - answer["start"] == 300
    assert answer["action"] in {"buy", "wait"}
    assert answer["tag"] == "latest"
    assert ask(url(shop, "pods/shop/models/latest/recommendation")).json == answer
    assert ask(url(shop, "pods/shop/models/v1/recommendation")).json["tag"] == "v1"
    early = ask(url(shop, f"pods/shop/recommendation?time={EPOCH + 600}")).json
    assert (early["start"], early["end"]) == (EPOCH + 300, EPOCH + 600)
    supposed = ask(url(shop, "pods/shop/recommendation?explain=true&state[till.sales.price]=1e6"))
    assert supposed.json["values"].keys() == {"buy", "wait"}


@pytest.mark.parametrize(
    ("path", "result", "message"),
    [
        ("nobody/recommendation", "pod_not_initialized", "nobody"),
        ("broken/recommendation", "pod_not_initialized", ""),
        ("sleeper/recommendation", "pod_not_initialized", "insufficient data"),
        ("shop/models/nothing/recommendation", "tag_not_found", "nothing"),
        ("shop/recommendation?time=soon", "invalid_recommendation_time", "soon"),
        (
            "shop/recommendation?time=1",
            "invalid_recommendation_time",
            f"The time specified (1) is outside of the allowed range: ({EPOCH + 300}, ",
        ),
        ("shop/recommendation?state[nothing]=1", "invalid_request", "nothing"),
    ],
)
def test_a_refused_recommendation(
    shop: EngineFixture, path: str, result: str, message: str
) -> None:
    reply = ask(url(shop, f"pods/{path}"))
    assert reply.status == 400
    said = reply.json["response"]
    assert said["error"] is True
    assert message in said["message"]
    assert said["result"] == result


def test_observations_are_served_as_csv_and_json(shop: EngineFixture) -> None:
    found = rows(shop, f"?start={EPOCH}&end={EPOCH + 60}")
    assert found[0].keys() == {
        "time",
        "till.sales.branch",
        "local.purse.coins",
        "news.feed.mood",
        "till.sales.price",
        "till.sales.zero",
        "till_sales_kind-card",
        "till_sales_kind-cash",
        "tags",
    }
    assert next(iter(found[0])) == "time"
    assert list(found[0])[-1] == "tags"
    assert found[0]["till.sales.branch"] == "b0"
    assert (found[0]["till.sales.zero"], found[0]["tags"]) == ("0", "late")
    assert (found[0]["till_sales_kind-card"], found[0]["till_sales_kind-cash"]) == ("1", "0")
    query = f"observations?start=0x{EPOCH:x}&end={EPOCH + 60}"
    reply = ask(url(shop, f"pods/shop/{query}"), Accept="application/json")
    assert reply.kind == "application/json"
    assert reply.json[0] == {
        "time": EPOCH,
        "identifiers": {"till.sales.branch": "b0"},
        "measurements": {"till.sales.price": 10, "till.sales.zero": 0},
        "categories": {"till.sales.kind": "card"},
        "tags": ["late"],
    }
    both = ask(url(shop, f"pods/shop/{query}"), Accept="application/json, text/csv")
    assert both.kind == "text/csv"


def test_posted_observations_are_served_and_recommended_by(shop: EngineFixture) -> None:
    before = ask(url(shop, "pods/shop/recommendation")).json["end"]
    moments = [EPOCH + 60 * (ROWS + number) for number in range(3)]
    body = "time,till.sales.price,local.purse.coins,not.known\n"
    body += "".join(f"{moment},12.5,7,x\n" for moment in moments)
    reply = ask(url(shop, "pods/shop/observations"), body + "never,1,1,1\n")
    assert (reply.status, reply.text) == (201, "")
    assert (reply.headers["X-Rows"], reply.headers["X-Bad-Rows"]) == ("3", "1")
    again = ask(url(shop, "pods/shop/observations"), body + "never,1,1,1\n")
    assert (again.status, again.headers["X-Duplicate"]) == (201, "true")
    added = rows(shop, f"?start={moments[0]}")
    assert [(row["till.sales.price"], row["local.purse.coins"]) for row in added] == [
        ("12.5", "7")
    ] * 3
    assert ask(url(shop, "pods/shop/recommendation")).json["end"] >= before + 120


def test_json_as_it_is_served_can_be_posted(shop: EngineFixture) -> None:
    moment = EPOCH + 60 * (ROWS + 20)
    item = {
        "time": moment,
        "identifiers": {"till.sales.branch": "b9"},
        "measurements": {"till.sales.price": 3, "news.feed.mood": 0.5},
        "categories": {"till.sales.kind": "cash"},
    }
    reply = ask(url(shop, "pods/shop/observations"), [item], Content_Type="application/json")
    assert (reply.status, reply.headers["X-Rows"]) == (201, "1")
    query = f"pods/shop/observations?start={moment}&end={moment + 1}"
    assert ask(url(shop, query), Accept="application/json").json == [item]


def test_data_of_a_dataspace_come_in_its_processors_form(shop: EngineFixture) -> None:
    moment = EPOCH + 60 * (ROWS + 40)
    reply = ask(
        url(shop, "pods/shop/dataspaces/news/feed/data"), [{"time": moment, "feeling": 0.25}]
    )
    assert (reply.status, reply.headers["X-Rows"]) == (201, "1")
    reply = ask(url(shop, "pods/shop/dataspaces/local/purse/data"), f"time,coins\n{moment},9\n")
    assert reply.status == 201
    found = rows(shop, f"?start={moment}&end={moment + 1}")
    assert [(row["news.feed.mood"], row["local.purse.coins"]) for row in found] == [("0.25", "9")]


def test_an_idempotency_key_counts_once(shop: EngineFixture) -> None:
    moment = EPOCH + 60 * (ROWS + 60)
    address = url(shop, "pods/shop/observations")
    key = {"Idempotency_Key": "the-same"}
    first = ask(address, f"time,till.sales.price\n{moment},1\n", **key)
    second = ask(address, f"time,till.sales.price\n{moment},2\n", **key)
    assert (first.status, second.status) == (201, 201)
    assert "X-Duplicate" not in first.headers
    assert second.headers["X-Duplicate"] == "true"
    found = rows(shop, f"?start={moment}&end={moment + 1}")
    assert [row["till.sales.price"] for row in found] == ["1"]
    long = ask(address, "time,till.sales.price\n1,1\n", Idempotency_Key="x" * 300)
    assert long.status == 400
    assert "key" in long.text


def test_interpretations(shop: EngineFixture) -> None:
    address = url(shop, "pods/shop/interpretations")
    said = {
        "Start": EPOCH + 60,
        "End": EPOCH + 120,
        "Name": "dip",
        "Actions": ["buy"],
        "Tags": ["a", "b"],
    }
    moment = {"START": EPOCH + 300, "end": EPOCH + 300, "name": "moment"}
    assert ask(address, [said, moment]).status == 201
    found = ask(address).json
    assert found == [
        said,
        {"Start": EPOCH + 300, "End": EPOCH + 300, "Name": "moment", "Actions": [], "Tags": []},
    ]
    for query, names in (
        (f"?start={EPOCH + 110}&end={EPOCH + 111}", ["dip"]),
        (f"?start={EPOCH + 120}", ["moment"]),
        (f"?end={EPOCH + 60}", []),
        (f"?start={EPOCH + 300}&end={EPOCH + 301}", ["moment"]),
    ):
        assert [one["Name"] for one in ask(address + query).json] == names, query
    wrong = [{**said, "Name": "kept?"}, {"Start": 5, "End": 6}]
    assert ask(address, wrong).status == 400
    assert len(ask(address).json) == 2


def test_export_and_import_need_the_token_and_move_a_pod(
    shop: EngineFixture, token: dict[str, str]
) -> None:
    for path in ("pods/shop/export", "pods/shop/import", "pods/shop/models/latest/export"):
        assert ask(url(shop, path), "{}").status == 401
    body = {"directory": "data", "filename": "shop.spicepod"}
    for path in ("pods/shop/export", "pods/shop/models/latest/export"):
        reply = ask(url(shop, path), body, **token)
        assert (reply.status, reply.text) == (200, "")
    archive = shop.location.root / "data" / "shop.spicepod"
    assert archive.stat().st_size > 0
    reply = ask(url(shop, "pods/shop/import"), {"archive_path": "data/shop.spicepod"}, **token)
    assert (reply.status, reply.text) == (200, "")
    tagged = url(shop, "pods/shop/models/backup/import")
    reply = ask(tagged, archive.read_bytes(), Content_Type="application/zip", **token)
    assert (reply.status, reply.text) == (200, "")
    answer = ask(url(shop, "pods/shop/models/backup/recommendation")).json
    assert answer["tag"] == "backup"
    bad = ask(tagged, b"PK no package", Content_Type="application/zip", **token)
    assert (bad.status, bad.kind) == (400, "text/plain")


def test_algorithms_are_described(shop: EngineFixture) -> None:
    found = ask(url(shop, "algorithms")).json
    assert {"auto", "linear"} <= {one["algorithm_id"] for one in found}
    page = ask(f"{shop.http}/docs").text
    for one in found:
        assert f'id="{one["docs_link"].partition("#")[2]}"' in page


def test_diagnostics_tell_what_is_wrong(shop: EngineFixture) -> None:
    reply = ask(url(shop, "diagnostics"))
    assert (reply.status, reply.kind) == (200, "text/plain")
    lines = reply.text.splitlines()
    assert lines[0] == "## Diagnostics Report"
    assert f"app_dir: {shop.location.root}" in lines
    assert "spicepods/shop.yaml: pod shop, ready" in lines
    assert any(line.startswith("  spicepods/broken.yaml:2:") for line in lines)


def test_health(shop: EngineFixture) -> None:
    assert ask(f"{shop.http}/health").text == "ok"
