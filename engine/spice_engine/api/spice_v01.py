"""The Spice.ai v0.1 API, field for field, over this engine's operations.

Clients written for the original keep working: same paths, same fields, same envelopes, plain
text for errors. What it left out when zero or empty is sent; `compat: strict` leaves it out too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from aiohttp import web

from spice_engine.api import json_text
from spice_engine.api.algorithms import AlgorithmInfo
from spice_engine.api.bodies import JSON_LIMIT, BodyReader
from spice_engine.api.replies import json_response, text_response
from spice_engine.errors import Conflict, InvalidRequest, NotFound, SpiceError
from spice_engine.operations import Dispatcher

PREFIX = "/api/v0.1"
NOT_ENDED = -62135596800
"""How the original wrote the end of a run that has not ended: Go's zero time."""
LOGGERS = frozenset({"tensorboard"})
PASS_ON = frozenset(
    {"tag_not_found", "invalid_recommendation_time", "not_enough_data", "pod_not_initialized"}
    | {"invalid_data_shape", "training_not_complete"}
)
RESULTS = {
    "insufficient_data": "not_enough_data",
    "invalid_manifest": "pod_not_initialized",
    "invalid_data": "pod_not_initialized",
    "invalid_request": "invalid_recommendation_time",
}


class SpiceV01:
    """The handlers; `strict` answers exactly as the original did."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        bodies: BodyReader,
        algorithms: Sequence[AlgorithmInfo],
        *,
        strict: bool,
    ) -> None:
        self._call = dispatcher.call
        self._bodies = bodies
        self._algorithms = sorted(algorithms, key=lambda item: item.name)
        self._strict = strict

    def install(self, app: web.Application) -> None:
        """Add the routes."""
        pod = f"{PREFIX}/pods/{{pod}}"
        add = app.router.add_get
        add(f"{PREFIX}/pods", self.pods)
        add(pod, self.pod)
        add(f"{pod}/training_runs", self.training_runs)
        add(f"{pod}/training_runs/{{run}}", self.training_run)
        add(f"{pod}/recommendation", self.recommendation)
        add(f"{pod}/models/{{tag}}/recommendation", self.recommendation)
        add(f"{PREFIX}/algorithms", self.algorithms)
        app.router.add_post(f"{pod}/train", self.train)

    # -- pods

    async def pods(self, request: web.Request) -> web.Response:
        """Every pod."""
        answer = await self._call("pods.list", {})
        return json_response([self._pod(info) for info in answer["pods"]])

    async def pod(self, request: web.Request) -> web.Response:
        """One pod; 404 without a body for an unknown one."""
        try:
            return json_response(self._pod(await self._call("pods.get", _pod_of(request))))
        except NotFound:
            return web.Response(status=404)

    def _pod(self, info: Mapping[str, Any]) -> dict[str, Any]:
        answer = {
            "name": info["name"],
            "manifest_path": info["manifest"],
            "episodes": info["episodes"],
            "measurements": info["fields"],
        }
        return self._thin(answer) if self._strict else answer

    # -- training

    async def train(self, request: web.Request) -> web.Response:
        """Begin a training; answers `ok` at once."""
        try:
            params = {**_pod_of(request), **await self._training_request(request)}
            await self._call("pods.train", params)
        except NotFound:
            return web.Response(status=404)
        except (Conflict, InvalidRequest) as error:
            refused = 500 if self._strict and isinstance(error, Conflict) else error.http_status
            return text_response(str(error), refused)
        return text_response("ok")

    async def _training_request(self, request: web.Request) -> dict[str, Any]:
        body = await self._bodies.read(request, limit=JSON_LIMIT)
        if self._strict and not body.strip():
            raise InvalidRequest("EOF")
        data = None if body.strip() == b"null" else json_text.parse_object(body)
        params: dict[str, Any] = {"wait": False}
        match data or {}:
            case {"learning_algorithm": str(algorithm)}:
                params["algorithm"] = algorithm
            case {"learning_algorithm": wrong} if wrong is not None:
                raise InvalidRequest("learning_algorithm must be text.")
            case _:
                pass
        episodes = (data or {}).get("number_episodes")
        if episodes is not None:
            if not isinstance(episodes, int) or isinstance(episodes, bool):
                raise InvalidRequest("number_episodes must be a whole number.")
            json_text.check_integers(episodes, "number_episodes")
            if episodes > 0:
                params["episodes"] = episodes
        loggers: object = (data or {}).get("loggers") or []
        if not isinstance(loggers, list):
            raise InvalidRequest("loggers must be a list.")
        for logger in cast("list[object]", loggers):
            if not isinstance(logger, str) or logger not in LOGGERS:
                raise InvalidRequest(f"Invalid logger {logger}")
        return params

    async def training_runs(self, request: web.Request) -> web.Response:
        """Every training run of a pod, oldest first."""
        try:
            answer = await self._call("pods.trainings", _pod_of(request))
        except NotFound:
            return web.Response(status=404)
        return json_response([self._training(info) for info in answer["trainings"]])

    async def training_run(self, request: web.Request) -> web.Response:
        """One training run."""
        text = request.match_info["run"]
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            return web.Response(status=404)
        try:
            params = {**_pod_of(request), "number": int(text)}
            return json_response(self._training(await self._call("pods.training", params)))
        except NotFound:
            return web.Response(status=404)

    def _training(self, info: Mapping[str, Any]) -> dict[str, Any]:
        ended = info["ended"]
        return {
            "id": str(info["number"]),
            "algorithm": info["algorithm"],
            "loggers": [],
            "start": int(info["started"]),
            "end": NOT_ENDED if ended is None else int(ended),
            "episodes": [self._episode(episode) for episode in info["episodes"]],
        }

    def _episode(self, episode: Mapping[str, Any]) -> dict[str, Any]:
        score = episode["score"]
        answer = {
            "episode": episode["episode"],
            "start": int(episode["start"]),
            "end": int(episode["end"]),
            "score": round(score, 2) if math.isfinite(score) else None,
            "actions_taken": episode["actions_taken"],
            "error": episode["error"],
            "error_message": episode["error_message"],
        }
        return self._thin(answer) if self._strict else answer

    def _thin(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Without the members that are zero or empty."""
        return {name: value for name, value in answer.items() if value}

    # -- recommendation

    async def recommendation(self, request: web.Request) -> web.Response:
        """What to do now, or at `?time=`; errors are 400 in the original's envelope."""
        pod = request.match_info["pod"]
        try:
            params: dict[str, Any] = {"pod": pod, "alias": request.match_info.get("tag", "latest")}
            if moment := parse_time(request.query.get("time", "")):
                params["time"] = moment
            if request.query.get("explain") in {"true", "1"}:
                params["explain"] = True
            info = await self._call("pods.recommend", params)
        except SpiceError as error:
            return await self._refusal(pod, error)
        confidence = round(info["confidence"], 3)
        answer: dict[str, Any] = {
            "response": {"result": "ok"},
            "start": info["start"],
            "end": info["end"],
            "action": info["action"],
            "confidence": confidence,
            "tag": info["tag"],
        }
        if self._strict and not confidence:
            del answer["confidence"]
        for name in ("values", "features"):
            if info[name] is not None:
                answer[name] = info[name]
        return json_response(answer)

    async def _refusal(self, pod: str, error: SpiceError) -> web.Response:
        if error.http_status >= 500:
            return text_response(str(error), error.http_status)
        result = error.code if error.code in PASS_ON else RESULTS.get(error.code, error.code)
        try:
            failed = (await self._call("pods.get", {"pod": pod}))["state"] == "failed"
        except NotFound:
            failed = True
        if failed:
            result = "pod_not_initialized"
        elif isinstance(error, NotFound):
            result = "tag_not_found"
        envelope = {"result": result, "message": str(error), "error": True}
        return json_response({"response": envelope}, status=400)

    # -- algorithms

    async def algorithms(self, request: web.Request) -> web.Response:
        """What can be trained with, by name."""
        return json_response(
            [
                {"algorithm_id": item.id, "name": item.name, "docs_link": item.docs_link}
                for item in self._algorithms
            ]
        )


def parse_time(text: str) -> int:
    """Unix seconds from decimal or hexadecimal digits or RFC 3339; 0 for empty text.

    Raises:
        InvalidRequest: it is none of these, or beyond 64 bits.
    """
    text = text.strip()
    try:
        if not text:
            return 0
        if text[:2].lower() == "0x" and len(text) <= 18:
            moment = int(text[2:], 16)
        elif text.lstrip("+-").isdigit() and len(text) <= 20:
            moment = int(text)
        else:
            parsed = datetime.fromisoformat(text)
            if parsed.tzinfo is None:
                raise ValueError("no time zone")
            moment = int(parsed.timestamp())
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"the time {text[:50]!r} cannot be read.",
            hint="Give Unix seconds, or RFC 3339 with a time zone.",
        ) from None
    json_text.check_integers(moment, "time")
    return moment


def _pod_of(request: web.Request) -> dict[str, Any]:
    return {"pod": request.match_info["pod"]}
