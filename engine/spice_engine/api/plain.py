"""The plain paths: `/`, `/health`, `/ready`, `/metrics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Protocol

from aiohttp import web

from spice_engine import __version__
from spice_engine.api.metrics import CONTENT_TYPE, EngineMetrics
from spice_engine.api.page import curve, page
from spice_engine.api.replies import page_response, text_response
from spice_engine.errors import NotFound
from spice_engine.operations import Dispatcher

MOST_CURVES = 24
"""Pods whose last curve the front page draws; the others are listed without."""


class HealthSource(Protocol):
    """Who knows whether the engine is ready."""

    def readiness(self) -> str:
        """Empty when everything is up, else one sentence with what is missing."""
        ...


class PlainRoutes:
    """The handlers of the plain paths. `title` names the app folder on the front page."""

    def __init__(
        self, dispatcher: Dispatcher, health: HealthSource, metrics: EngineMetrics, title: str
    ) -> None:
        self._dispatcher = dispatcher
        self._health = health
        self._metrics = metrics
        self._title = title

    def install(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/", self.front)
        app.router.add_get("/health", self.health)
        app.router.add_get("/ready", self.ready)
        app.router.add_get("/metrics", self.metrics)

    async def health(self, request: web.Request) -> web.Response:
        """`ok` as long as the loop answers; the original's clients compare the whole body."""
        return text_response("ok")

    async def ready(self, request: web.Request) -> web.Response:
        """200 `ready`, or 503 with the reason."""
        reason = self._health.readiness()
        return text_response(reason or "ready", 503 if reason else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text."""
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def front(self, request: web.Request) -> web.Response:
        """One self-contained page: the pods with their last curves, and where to go on."""
        pods: Sequence[Mapping[str, Any]] = ()
        if "pods.list" in self._dispatcher.table:
            pods = (await self._dispatcher.call("pods.list", {}))["pods"]
        cards = [await self._card(pod, drawn=index < MOST_CURVES) for index, pod in enumerate(pods)]
        body = "".join(cards) or (
            "<p>No pods yet. Put a manifest into <code>spicepods/</code>, or take a sample with "
            "<code>spice-tui add samples/serverops</code>.</p>"
        )
        return page_response(
            page(
                f"spice-tui · {self._title}",
                f"<h1>{escape(self._title)}</h1><section class=cards>{body}</section>"
                "<h2>Attach</h2><p>Run <code>spice-tui</code> in this app's folder; over SSH, run "
                "it there. Scripts send the text of <code>.spice/token</code> as "
                "<code>Authorization: Bearer …</code>.</p>"
                "<h2>API</h2><ul><li><a href=/docs>Documentation</a>"
                "<li><a href=/api/openapi.json>OpenAPI document</a>"
                "<li><a href=/api/v0.1/pods>Pods as JSON</a>"
                "<li><a href=/metrics>Metrics</a> · <a href=/ready>Readiness</a></ul>"
                f"<footer>Engine {escape(__version__)}</footer>",
            )
        )

    async def _card(self, pod: Mapping[str, Any], *, drawn: bool) -> str:
        scores: list[float] = []
        number = pod["last_training"]
        if drawn and number is not None and "pods.training" in self._dispatcher.table:
            params = {"pod": pod["name"], "number": number}
            try:
                training = await self._dispatcher.call("pods.training", params)
                scores = [float(episode["score"]) for episode in training["episodes"]]
            except NotFound:
                pass  # pruned in between: the card has no curve
        name = escape(str(pod["name"]))
        label = f"Score per episode of {pod['name']}"
        caption = f"{pod['episodes']} episodes"
        if scores:
            caption = f"last score {scores[-1]:.6g} after {len(scores)} episodes"
        return (
            f"<article><h3>{name}</h3><p class=state>{escape(str(pod['state']))}</p>"
            f"{curve(scores, label)}<p>{escape(caption)}</p>"
            f"<p><small>{escape(str(pod['manifest']))}</small></p></article>"
        )
