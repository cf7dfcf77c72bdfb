"""The v0.1 API's paths that read or write files, its loggers, and its diagnostics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from spice_engine import __version__
from spice_engine.api import json_text
from spice_engine.api.bodies import JSON_LIMIT, BodyReader
from spice_engine.api.replies import text_error, text_response
from spice_engine.api.v01_times import training_number
from spice_engine.errors import NotFound, SpiceError
from spice_engine.operations import Dispatcher

PACKAGE_TYPES = frozenset({"application/zip", "application/octet-stream"})
"""Content types of a body that is the package itself; the second is also that of no header."""


class SpiceV01Files:
    """Export, import, loggers, diagnostics."""

    def __init__(self, dispatcher: Dispatcher, bodies: BodyReader) -> None:
        self._call = dispatcher.call
        self._bodies = bodies

    def install(self, app: web.Application, prefix: str) -> None:
        """Add the routes; `prefix` is the path of the API."""
        pod = f"{prefix}/pods/{{pod}}"
        for base in (pod, f"{pod}/models/{{tag}}"):
            app.router.add_post(f"{base}/export", self.export)
            app.router.add_post(f"{base}/import", self.take_in)
        run = f"{pod}/training_runs/{{run}}"
        app.router.add_post(f"{run}/loggers/{{logger}}", self.logger)
        app.router.add_post(f"{run}/episodes", self.episode)
        app.router.add_get(f"{prefix}/diagnostics", self.diagnostics)

    async def export(self, request: web.Request) -> web.Response:
        """Write the pod with its policy to a `.spicepod` file in the app folder."""
        pod = request.match_info["pod"]
        try:
            await self._call("pods.get", {"pod": pod})
        except NotFound:
            return web.Response(status=404)
        try:
            body = await self._bodies.read(request, limit=JSON_LIMIT)
            given = json_text.parse_object(body)
            params = {
                "pod": pod,
                "alias": request.match_info.get("tag", "latest"),
                "directory": given.get("directory") or ".",
                "filename": given.get("filename") or "",
                # The original's server never refused to overwrite; its command did.
                "overwrite": given.get("overwrite", True),
            }
            await self._call("pods.export", params)
        except SpiceError as error:
            return text_error(error, prefix=f"{error.code}: ")
        return web.Response()

    async def take_in(self, request: web.Request) -> web.Response:
        """Replace or make the pod by a `.spicepod` file: of the app folder, or the body itself."""
        params: dict[str, Any] = {
            "pod": request.match_info["pod"],
            "alias": request.match_info.get("tag", "latest"),
            "overwrite": True,
        }
        try:
            may_be_package = request.content_type in PACKAGE_TYPES
            limit = None if may_be_package else JSON_LIMIT
            body = await self._bodies.read(request, limit=limit)
            if may_be_package and not body.lstrip().startswith(b"{"):
                params["data"] = body
            else:
                params["path"] = json_text.parse_object(body).get("archive_path") or ""
            await self._call("pods.import", params)
        except SpiceError as error:
            return text_error(error, prefix=f"{error.code}: ")
        return web.Response()

    async def logger(self, request: web.Request) -> web.Response:
        """Where a TensorBoard shows the training's curves; it is started where it does not run."""
        name, run = request.match_info["logger"], request.match_info["run"]
        if name != "tensorboard":
            return text_response(f"Invalid logger {name}", 404)
        try:
            params = {"pod": request.match_info["pod"], "number": training_number(run)}
            found = await self._call("pods.tensorboard", params)
        except NotFound:
            return web.Response(status=404)
        except SpiceError as error:
            return text_error(error)
        return text_response(found["url"])

    async def episode(self, request: web.Request) -> web.Response:
        """The original's learner called back here; ours has no use for it."""
        response = text_response("The engine records episodes itself.", 405)
        response.headers["Allow"] = ""
        return response

    async def diagnostics(self, request: web.Request) -> web.Response:
        """What is installed, which pods there are, and everything that is wrong with them."""
        status = await self._call("engine.status", {})
        pods = (await self._call("pods.list", {}))["pods"]
        feeds: dict[str, Any] = {}
        for pod in pods:
            try:
                feeds[pod["name"]] = (await self._call("pods.feeds", {"pod": pod["name"]}))["feeds"]
            except NotFound:
                continue  # removed in between
        return text_response("\n".join(_report(status, pods, feeds)) + "\n")


def _report(
    status: Mapping[str, Any], pods: list[dict[str, Any]], feeds: Mapping[str, Any]
) -> Iterator[str]:
    folder = status["app_folder"]
    yield "## Diagnostics Report"
    yield f"name: spice-tui {__version__}"
    yield f"app_dir: {folder}"
    yield f"pods_dir: {folder}/spicepods"
    for pod in pods:
        yield ""
        yield f"{pod['manifest']}: pod {pod['name']}, {pod['state']}"
        for problem in pod["problems"]:
            place = problem["file"]
            if problem["line"]:
                place = f"{place}:{problem['line']}:{problem['column']}"
            text = f"{place}: {problem['severity']} {problem['code']}: {problem['message']}"
            yield f"  {text} {problem['hint']}".rstrip()
        for feed in feeds.get(pod["name"], ()):
            line = f"  feed {feed['dataspace']} ({feed['connector']}): {feed['state']}"
            yield f"{line}, {feed['rows']} rows, {feed['failures']} failures in a row"
