"""The Spice.ai v0.1 API, field for field, over this engine's operations.

Clients written for the original keep working: same paths, same fields, same envelopes, plain
text for errors. What it left out when zero or empty is sent; `compat: strict` leaves it out too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from spice_engine.api import json_text
from spice_engine.api.bodies import JSON_LIMIT, BodyReader
from spice_engine.api.docs_page import algorithm_link
from spice_engine.api.queries import read_map
from spice_engine.api.replies import json_response, text_error, text_response
from spice_engine.api.v01_times import parse_moment, training_number
from spice_engine.errors import InvalidRequest, NotFound, SpiceError
from spice_engine.learning.catalog import Algorithm
from spice_engine.operations import Dispatcher
from spice_engine.protocol.pods import Recommendation

PREFIX = "/api/v0.1"
NOT_ENDED = -62135596800
"""How the original wrote the end of a run that has not ended: Go's zero time."""
ENCODED_ANSWERS = 256
LOGGERS = frozenset({"tensorboard"})
PASS_ON = frozenset(
    {"tag_not_found", "invalid_recommendation_time", "not_enough_data", "pod_not_initialized"}
    | {"invalid_data_shape", "training_not_complete"}
)
RESULTS = {
    "insufficient_data": "not_enough_data",
    "invalid_manifest": "pod_not_initialized",
    "invalid_data": "pod_not_initialized",
    "invalid_time": "invalid_recommendation_time",
}


class SpiceV01:
    """The handlers; `strict` answers exactly as the original did."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        bodies: BodyReader,
        algorithms: Sequence[Algorithm],
        *,
        strict: bool,
    ) -> None:
        self._dispatcher = dispatcher
        self._call = dispatcher.call
        self._encoded: dict[int, tuple[Recommendation, bytes]] = {}
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
            "identifiers": info["identifiers"],
            "measurements": info["measurements"],
            "categories": info["categories"],
        }
        return self._thin(answer) if self._strict else answer

    # -- training

    async def train(self, request: web.Request) -> web.Response:
        """Begin a training; answers `ok` at once."""
        try:
            await self._call("pods.get", _pod_of(request))
            params = await self._training_request(request)
        except NotFound:
            return web.Response(status=404)
        except SpiceError as error:
            return text_error(error)
        try:
            _check_loggers(params["loggers"])
            await self._call("pods.train", {**_pod_of(request), **params})
        except SpiceError as error:
            return text_error(error, status=500 if self._strict else None)
        return text_response("ok")

    async def _training_request(self, request: web.Request) -> dict[str, Any]:
        body = await self._bodies.read(request, limit=JSON_LIMIT)
        if self._strict and not body.strip():
            raise InvalidRequest("EOF")
        data = None if body.strip() == b"null" else json_text.parse_object(body)
        params: dict[str, Any] = {"wait": False, "loggers": (data or {}).get("loggers") or []}
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
        if not isinstance(params["loggers"], list):
            raise InvalidRequest("loggers must be a list.")
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
        try:
            number = training_number(request.match_info["run"])
            params = {**_pod_of(request), "number": number}
            return json_response(self._training(await self._call("pods.training", params)))
        except NotFound:
            return web.Response(status=404)

    def _training(self, info: Mapping[str, Any]) -> dict[str, Any]:
        ended = info["ended"]
        return {
            "id": str(info["number"]),
            "algorithm": info["algorithm"],
            "loggers": info["loggers"],
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
            if request.query_string:
                if moment := parse_moment(request.query.get("time", "")):
                    params["time"] = moment
                if request.query.get("explain") in {"true", "1"}:
                    params["explain"] = True
                if state := read_map(request, "state"):
                    params["state"] = state
            _, outcome = self._dispatcher.begin("pods.recommend", params)
            given: Recommendation = await outcome
        except SpiceError as error:
            return await self._refusal(pod, error)
        return web.Response(
            body=self._encode(given, asked=request.query_string),
            content_type="application/json",
            charset="utf-8",
        )

    def _encode(self, given: Recommendation, *, asked: str) -> bytes:
        """The answer's text; where nothing special is asked, made once for the same answer.

        It is the same object then, which the entry keeps, so that its id is no other's.
        """
        known = self._encoded.get(id(given))
        if known is not None:
            return known[1]
        confidence = round(given.confidence, 3)
        answer: dict[str, Any] = {
            "response": {"result": "ok"},
            "start": given.start,
            "end": given.end,
            "action": given.action,
            "confidence": confidence,
            "tag": given.tag,
        }
        if self._strict and not confidence:
            del answer["confidence"]
        for name in ("action_value", "values", "features", "rule"):
            value = getattr(given, name)
            if value is not None:
                answer[name] = value
        text = json_text.dumps(answer)
        if not asked:
            if len(self._encoded) >= ENCODED_ANSWERS:
                self._encoded.clear()
            self._encoded[id(given)] = (given, text)
        return text

    async def _refusal(self, pod: str, error: SpiceError) -> web.Response:
        if error.http_status >= 500:
            return text_error(error)
        result = error.code if error.code in PASS_ON else RESULTS.get(error.code, error.code)
        try:
            failed = (await self._call("pods.get", {"pod": pod}))["state"] == "failed"
        except NotFound:
            failed = True
        if failed:
            result = "pod_not_initialized"
        elif isinstance(error, NotFound):
            result = "tag_not_found"
        message = str(error)
        if self._strict and result == "tag_not_found":
            result = "tag_not_yet_supported"
            message = "Support for multiple tags coming soon!"
        envelope = {"result": result, "message": message, "error": True}
        return json_response({"response": envelope}, status=400)

    # -- algorithms

    async def algorithms(self, request: web.Request) -> web.Response:
        """What can be trained with, by name."""
        return json_response(
            [
                {"algorithm_id": item.id, "name": item.name, "docs_link": algorithm_link(item)}
                for item in self._algorithms
            ]
        )


def _pod_of(request: web.Request) -> dict[str, Any]:
    return {"pod": request.match_info["pod"]}


def _check_loggers(loggers: list[object]) -> None:
    for logger in loggers:
        if not isinstance(logger, str) or logger not in LOGGERS:
            raise InvalidRequest(f"Invalid logger {logger}")
