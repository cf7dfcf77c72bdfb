"""Scripts as they were written for Spell, served unmodified by the commands of a user."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EngineFixture, wait_for
from tests.e2e.serving_neighbour import Place
from tests.integration.server_world import Clients

pytestmark = pytest.mark.e2e

CLASSIFIER = '''
"""A classifier with files at absolute places, the request, tasks and metrics."""
import json
import logging
from pathlib import Path
from typing import Any, Dict

import numpy as np
import spell.serving.metrics as m
from spell.serving import BasePredictor, with_background_tasks, with_full_request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

logger = logging.getLogger(__name__)


class PythonPredictor(BasePredictor):
    def __init__(self, threshold=0.5, labels="/model/labels.json"):
        self.weights = np.loadtxt("/model/weights.txt")
        self.labels = json.loads(Path(labels).read_text())
        self.threshold = threshold
        self.seen = []

    @with_background_tasks(name="tasks")
    @with_full_request(name="request")
    def predict(self, payload: Dict[str, Any], request, tasks):
        if "x" not in payload:
            raise HTTPException(422, "x is missing")
        score = float(np.dot(self.weights, payload["x"]))
        m.send_metric("score", score, tag=self.labels[0])
        tasks.add_task(self.log, score)
        return JSONResponse(
            {
                "label": self.labels[score > self.threshold],
                "agent": request.headers.get("user-agent"),
                "query": dict(request.query_params),
                "seen": self.seen,
                "model": self.model_info.name,
                "path": str(self.model_path()),
            },
            status_code=201,
            headers={"x-score": str(score)},
        )

    def log(self, score):
        self.seen.append(score)
        print("score", score)

    def health(self):
        return {"status": "fine", "threshold": self.threshold}
'''
BATCHED = """
import numpy as np
from spell.serving import BasePredictor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response


class Predictor(BasePredictor):
    def prepare(self, payload, request: Request):
        if payload == "teapot":
            raise HTTPException(418)
        if payload == "refused":
            return Response("not this", status_code=403)
        return np.array(payload) * int(request.query_params.get("times", 1))

    def predict(self, batch):
        return [(rows.sum() + 0.5, len(batch))[0] for rows in batch]
"""
ASYNC = """
import asyncio

from spell.serving import BasePredictor
from starlette.background import BackgroundTasks
from starlette.requests import Request


class AsyncPredictor(BasePredictor):
    async def predict(self, request: Request, tasks: BackgroundTasks):
        form = await request.body()
        await asyncio.sleep(0.001)
        tasks.add_task(self.fail)
        return {"bytes": len(form), "type": request.headers["content-type"], "m": request.method}

    async def fail(self):
        raise RuntimeError("logging elsewhere failed")

    async def health(self):
        return None
"""
INSTRUMENTED = """
from spell.serving import BasePredictor, metrics

DIGITS = [
    metrics.prometheus.Histogram(
        "digits", "What was seen", labelnames=["digit"], labelvalues=[str(digit)]
    )
    for digit in range(10)
]


class Base(BasePredictor):
    @staticmethod
    def predict(payload):
        return None


class Digits(Base):
    @classmethod
    def predict(cls, payload: dict) -> dict:
        DIGITS[payload["digit"]].observe(0.25)
        metrics.send_metric("a name!", 1)
        return payload
"""


@pytest.fixture(scope="module")
def place(shared_engine: EngineFixture) -> Place:
    place = Place(shared_engine)
    for name, text in (
        ("classify.py", CLASSIFIER),
        ("batched.py", BATCHED),
        ("asynchronous.py", ASYNC),
        ("servers/digits.py", INSTRUMENTED),
    ):
        place.write(name, text)
    return place


def serve(place: Place, *arguments: str) -> None:
    code, _, err = place.cli("server", "serve", "--python", sys.executable, *arguments)
    assert code == 0, err


def ask(place: Place, path: str, body: bytes, kind: str = "") -> tuple[int, dict[str, str], Any]:
    """Status, headers and the decoded answer of a call by Spell's own form of URL."""
    request = urllib.request.Request(f"{place.engine.http}/local/{path}", data=body)
    if kind:
        request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, dict(answer.headers), json.loads(answer.read())


def metrics_of(place: Place, server: str) -> list[str]:
    with urllib.request.urlopen(f"{place.engine.http}/servers/{server}/metrics") as answer:
        return answer.read().decode().splitlines()


def test_a_classifier_with_files_request_tasks_and_metrics(place: Place, tmp_path: Path) -> None:
    trained = tmp_path / "run"
    trained.mkdir()
    (trained / "weights.txt").write_text("1 2 3\n")
    (trained / "labels.json").write_text('["cat", "dog"]')
    assert place.cli("model", "create", "cats", str(trained))[0] == 0
    place.write("config.yaml", "threshold: 5\n")
    serve(place, "--config", "config.yaml", "cats:v1", "classify.py")
    status, headers, answer = ask(place, "cats/predict?a=b", b'{"x": [1, 1, 1]}')
    assert (status, headers["x-score"]) == (201, "6.0")
    assert answer["label"] == "dog"
    assert answer["query"] == {"a": "b"}
    assert answer["agent"].startswith("Python-urllib")
    assert answer["model"] == "cats"
    wait_for(
        lambda: ask(place, "cats/predict", b'{"x": [0, 0, 0]}')[2]["seen"][:1] == [6.0],
        "the task after the answer",
    )
    assert place.post("/local/cats/predict", b"{}") == (422, "x is missing")
    assert place.cli("server", "healthcheck", "cats")[:2] == (
        0,
        '{"status":"fine","threshold":5}',
    )
    # Two tasks may print at once, each its words and its line end.
    assert " 6.0\n" in place.cli("server", "logs", "cats")[1]
    wait_for(
        lambda: any(
            line.startswith("spell:custom:score{") and 'spell_tag="cat"' in line
            for line in metrics_of(place, "cats")
        ),
        "its metric",
    )


def test_prepare_and_a_batch(place: Place) -> None:
    serve(place, "--name", "sums", "--max-batch-size", "8", "--request-timeout", "20", "batched.py")
    with Clients(place, "sums", 4, payload=[1, 2]) as clients:
        clients.wait_more()
        # Scalars of NumPy are text, as they were.
        assert ask(place, "sums/predict?times=2", b"[1, 2, 3]")[2] == 12.5
        assert place.post("/local/sums/predict", b'"teapot"') == (418, "I'm a Teapot")
        assert place.post("/local/sums/predict", b'"refused"') == (403, "not this")
    assert clients.failures == []


def test_an_async_predictor_that_takes_the_request_whole(place: Place) -> None:
    serve(place, "--name", "whole", "asynchronous.py")
    status, _, answer = ask(place, "whole/predict", b"no json", "image/png")
    assert (status, answer) == (200, {"bytes": 7, "type": "image/png", "m": "POST"})
    assert place.cli("server", "healthcheck", "whole")[:2] == (0, "null")
    wait_for(
        lambda: "logging elsewhere failed" in place.cli("server", "logs", "whole")[1],
        "what its task raised",
    )
    assert ask(place, "whole/predict", b"x" * 300_000)[2]["bytes"] == 300_000


def test_one_of_several_classes_with_metrics_of_its_own(place: Place) -> None:
    code, _, err = place.cli(
        "server", "serve", "--name", "digits", "--python", sys.executable, "servers/digits.py"
    )
    assert code == 11
    assert "More than one predictor found, but no classname was specified." in err
    assert place.cli("server", "update", "digits", "--classname", "Digits")[0] == 0
    assert ask(place, "digits/predict", b'{"digit": 3}')[2] == {"digit": 3}
    wait_for(
        lambda: any(
            line.startswith("digits_count{") and 'digit="3"' in line and line.endswith(" 1.0")
            for line in metrics_of(place, "digits")
        ),
        "its histogram",
    )
