"""The Open Inference Protocol, version 2, over HTTP: a model of its is a server of ours.

https://github.com/open-inference/open-inference-protocol (REST). Tensors, JSON or binary, are
read and written in the replica; here are the paths, and errors in the protocol's form.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web

from spice_engine import __version__
from spice_engine.api.bodies import BodyReader
from spice_engine.api.plain import HealthSource
from spice_engine.api.predict import predict, served_of
from spice_engine.api.replies import error_response, json_response
from spice_engine.api.server_paths import INFER
from spice_engine.errors import NotFound, SpiceError
from spice_engine.serving.directory import Directory, Served
from spice_runtime import wire

MODEL = "/v2/models/{server}"
VERSION = MODEL + "/versions/{version}"
EXTENSIONS = ["binary_tensor_data"]

Response = TypeVar("Response", bound=web.StreamResponse)


class InferRoutes:
    """The handlers of `/v2/…`."""

    def __init__(self, directory: Directory, bodies: BodyReader, health: HealthSource) -> None:
        self._directory = directory
        self._bodies = bodies
        self._health = health

    def install(self, app: web.Application) -> None:
        """Add the routes."""
        router = app.router
        router.add_get("/v2", self.about)
        router.add_get("/v2/health/live", self.live)
        router.add_get("/v2/health/ready", self.ready)
        for path in (MODEL, VERSION):
            router.add_get(path, _in_form(self.metadata))
            router.add_get(f"{path}/ready", _in_form(self.model_ready))
        for path in (INFER, f"{VERSION}/infer"):
            router.add_post(path, _in_form(self.infer))

    async def about(self, request: web.Request) -> web.Response:
        """What this is, and which extensions it has."""
        return json_response(
            {"name": "spice-tui", "version": __version__, "extensions": EXTENSIONS}
        )

    async def live(self, request: web.Request) -> web.Response:
        """200 as long as the loop answers."""
        return json_response({"live": True})

    async def ready(self, request: web.Request) -> web.Response:
        """200 when every server can predict, else 503."""
        ready = not self._health.readiness()
        ready = ready and all(served.endpoint.is_ready() for served in self._directory)
        return json_response({"ready": ready}, 200 if ready else 503)

    async def metadata(self, request: web.Request) -> web.Response:
        """What the server says of itself. Tensors are listed where its predictor declares them."""
        served = self._served(request)
        return json_response(
            {
                "name": served.name,
                "versions": [str(served.version)],
                "platform": f"spice-tui_{served.predictor.get('class', 'python')}",
                "inputs": _tensors(served.predictor.get("inputs")),
                "outputs": _tensors(served.predictor.get("outputs")),
                "parameters": {"models": ",".join(served.models)},
            }
        )

    async def model_ready(self, request: web.Request) -> web.Response:
        """200 when the server can predict, else 503."""
        served = self._served(request)
        ready = served.endpoint.is_ready()
        return json_response({"name": served.name, "ready": ready}, 200 if ready else 503)

    async def infer(self, request: web.Request) -> web.StreamResponse:
        """Tensors to the server, and its answer."""
        return await predict(request, self._served(request), self._bodies, wire.INFER)

    def _served(self, request: web.Request) -> Served:
        served = served_of(self._directory, request)
        version = request.match_info.get("version")
        if version is not None and version.removeprefix("v") != str(served.version):
            raise NotFound(
                f"the server {served.name!r} has no version {version[:40]!r} that runs.",
                hint=f"It runs version {served.version}.",
            )
        return served


def _tensors(declared: Any) -> list[Any]:
    return list(declared) if isinstance(declared, list | tuple) else []  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _in_form(
    handler: Callable[[web.Request], Awaitable[Response]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler with its errors as `{"error": "text"}`, the protocol's form."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except SpiceError as error:
            response = error_response(error)
            response.body = json_response({"error": str(error)}).body
            return response

    return answer
