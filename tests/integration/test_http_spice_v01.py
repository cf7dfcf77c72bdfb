"""The v0.1 API, field for field, as the original's clients read it."""

from __future__ import annotations

from typing import Any

import pytest
from http_doors import serve

from spice_engine.learning.catalog import ALGORITHMS
from spice_engine.protocol.pods import TrainPod
from spice_engine.settings import Settings

PODS = "/api/v0.1/pods"
STRICT = Settings(http_port=0, compat="strict")


async def test_pods() -> None:
    async with serve() as served:
        status, pods = await served.get(PODS)
        assert status == 200
        assert {pod["name"] for pod in pods} == {"trader", "new", "busy", "broken"}
        status, pod = await served.get(f"{PODS}/trader")
        assert (status, pod) == (
            200,
            {
                "name": "trader",
                "manifest_path": "spicepods/trader.yaml",
                "episodes": 10,
                "identifiers": [],
                "measurements": ["coinbase.btcusd.close"],
                "categories": [],
            },
        )
        assert await served.get(f"{PODS}/nobody") == (404, "")
    async with serve(STRICT) as served:
        _, pod = await served.get(f"{PODS}/trader")
        assert pod.keys() == {"name", "manifest_path", "episodes", "measurements"}


@pytest.mark.parametrize(
    ("body", "status", "text", "asked"),
    [
        (b"{}", 200, "ok", TrainPod("trader")),
        (b"null", 200, "ok", TrainPod("trader")),
        (b"", 200, "ok", TrainPod("trader")),
        (
            b'{"learning_algorithm": "vpg", "number_episodes": 7, "loggers": ["tensorboard"]}',
            200,
            "ok",
            TrainPod("trader", "vpg", 7, loggers=["tensorboard"]),
        ),
        (b'{"number_episodes": -1, "loggers": null}', 200, "ok", TrainPod("trader")),
        (b'{"episodes": 3}', 200, "ok", TrainPod("trader")),
        (b'{"learning_algorithm": 3}', 400, "learning_algorithm", None),
        (b'{"number_episodes": "7"}', 400, "number_episodes", None),
        (b'{"number_episodes": 9223372036854775808}', 400, "64 bits", None),
        (b'{"loggers": ["x"]}', 400, "Invalid logger x", None),
        (b'{"loggers": "x"}', 400, "list", None),
        (b"nonsense", 400, "not JSON", None),
    ],
)
async def test_train(body: bytes, status: int, text: str, asked: TrainPod | None) -> None:
    async with serve() as served:
        answered, said = await served.call("POST", f"{PODS}/trader/train", data=body)
        assert answered == status
        assert text in said
        assert served.pods.asked == ([asked] if asked else [])


async def test_training_is_refused_in_the_originals_words() -> None:
    text = "busy -> training is already in progress"
    async with serve() as served:
        assert await served.call("POST", f"{PODS}/busy/train", data=b"{}") == (409, text)
        assert await served.call("POST", f"{PODS}/nobody/train", data=b"{}") == (404, "")
    async with serve(STRICT) as served:
        assert await served.call("POST", f"{PODS}/busy/train", data=b"{}") == (500, text)
        for wrong, status in ((b"", 400), (b"{", 400), (b'{"loggers": ["x"]}', 500)):
            assert (await served.call("POST", f"{PODS}/trader/train", data=wrong))[0] == status
        assert await served.call("POST", f"{PODS}/nobody/train", data=b"") == (404, "")


async def test_training_runs() -> None:
    run = {
        "id": "2",
        "algorithm": "dql",
        "loggers": [],
        "start": 100,
        "end": -62135596800,
        "episodes": [
            {
                "episode": 1,
                "start": 100,
                "end": 101,
                "score": -560.8,
                "actions_taken": {"hold": 20},
                "error": "",
                "error_message": "",
            },
            {
                "episode": 2,
                "start": 101,
                "end": 102,
                "score": 0.0,
                "actions_taken": {},
                "error": "invalid_reward_function",
                "error_message": "NameError('x')",
            },
        ],
    }
    async with serve() as served:
        assert await served.get(f"{PODS}/trader/training_runs") == (200, [run])
        assert await served.get(f"{PODS}/trader/training_runs/2") == (200, run)
        for path in ("trader/training_runs/3", "trader/training_runs/x", "nobody/training_runs"):
            assert await served.get(f"{PODS}/{path}") == (404, "")
        big = f"{PODS}/trader/training_runs/{'9' * 40}"
        assert await served.get(big) == (404, "")
    async with serve(STRICT) as served:
        _, answer = await served.get(f"{PODS}/trader/training_runs/2")
        assert answer["episodes"][0].keys() == {"episode", "start", "end", "score", "actions_taken"}
        assert "score" not in answer["episodes"][1]


async def test_recommendation() -> None:
    good = {
        "response": {"result": "ok"},
        "start": 1_599_999_940,
        "end": 1_600_000_000,
        "action": "hold",
        "confidence": 0.813,
        "tag": "latest",
    }
    async with serve() as served:
        for path in ("recommendation", "models/latest/recommendation", "recommendation?time=0"):
            assert await served.get(f"{PODS}/trader/{path}") == (200, good), path
        for moment in ("1000", "0x3e8", "1970-01-01T00:16:40Z", "1970-01-01T01:16:40%2B01:00"):
            _, answer = await served.get(f"{PODS}/trader/recommendation?time={moment}")
            assert answer["end"] == 1000, moment
        _, answer = await served.get(f"{PODS}/trader/recommendation?explain=true")
        assert answer["values"] == {"hold": 0.5, "buy": 0.25}
        _, answer = await served.get(f"{PODS}/trader/recommendation?time=1")
        assert answer["confidence"] == 0.0
    async with serve(STRICT) as served:
        _, answer = await served.get(f"{PODS}/trader/recommendation?time=1")
        assert "confidence" not in answer


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("nobody/recommendation", "pod_not_initialized"),
        ("broken/recommendation", "pod_not_initialized"),
        ("new/recommendation", "training_not_complete"),
        ("trader/models/v9/recommendation", "tag_not_found"),
        ("trader/recommendation?state[nothing]=1", "invalid_request"),
        ("trader/recommendation?state[close]=high", "invalid_request"),
        ("trader/recommendation?state[close]=1&state[close]=2", "invalid_request"),
        ("trader/recommendation?time=soon", "invalid_recommendation_time"),
        ("trader/recommendation?time=99999999999999999999", "invalid_recommendation_time"),
        ("trader/recommendation?time=1970-01-01", "invalid_recommendation_time"),
    ],
)
async def test_a_refused_recommendation_is_400_in_the_envelope(path: str, result: str) -> None:
    async with serve() as served:
        status, answer = await served.get(f"{PODS}/{path}")
        assert status == 400
        assert answer.keys() == {"response"}
        assert (answer["response"]["result"], answer["response"]["error"]) == (result, True)
        assert answer["response"]["message"]


async def test_strict_knows_one_tag_only() -> None:
    async with serve(STRICT) as served:
        assert await served.get(f"{PODS}/trader/models/v9/recommendation") == (
            400,
            {
                "response": {
                    "result": "tag_not_yet_supported",
                    "message": "Support for multiple tags coming soon!",
                    "error": True,
                }
            },
        )


@pytest.mark.parametrize("base", ["/api/v0.1", "/api/v1"])
async def test_what_if_takes_fields_one_by_one_or_as_json(base: str) -> None:
    async with serve() as served:
        for query in (
            {"state[a.b]": "1.5", "state[c_d]": "-2"},
            {"state": '{"a.b": 1.5, "c_d": -2}'},
        ):
            path = f"{base}/pods/trader/recommendation"
            status, _ = await served.get(path, params=query)
            assert status == 200
            assert served.pods.supposed.pop() == {"a.b": 1.5, "c_d": -2.0}


async def test_algorithms_are_sorted_by_name_and_documented() -> None:
    async with serve() as served:
        status, found = await served.get("/api/v0.1/algorithms")
        assert status == 200
        names: list[Any] = [item["name"] for item in found]
        assert names == sorted(names)
        assert {item["algorithm_id"] for item in found} == ALGORITHMS.keys()
        _, page = await served.get("/docs")
        for item in found:
            anchor = item["docs_link"].partition("#")[2]
            assert f'id="{anchor}"' in page
