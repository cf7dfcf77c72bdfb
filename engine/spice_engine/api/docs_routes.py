"""`/api/openapi.json` and `/docs`: built at first use, in a thread, then kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from spice_engine.api import docs_page, json_text, openapi
from spice_engine.api.replies import page_response
from spice_engine.learning.catalog import Algorithm
from spice_engine.operations import OperationTable
from spice_engine.records import record


@record
class _Documents:
    openapi: bytes
    page: str


class DocsRoutes:
    """The two handlers."""

    def __init__(self, table: OperationTable, algorithms: Sequence[Algorithm]) -> None:
        self._table = table
        self._algorithms = algorithms
        self._documents: _Documents | None = None
        self._building = asyncio.Lock()

    def install(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/api/openapi.json", self.openapi)
        app.router.add_get("/docs", self.docs)

    async def openapi(self, request: web.Request) -> web.Response:
        """The OpenAPI document."""
        documents = await self._get()
        return web.Response(
            body=documents.openapi, content_type="application/json", charset="utf-8"
        )

    async def docs(self, request: web.Request) -> web.Response:
        """The same as a page."""
        return page_response((await self._get()).page)

    async def _get(self) -> _Documents:
        async with self._building:
            if self._documents is None:
                self._documents = await asyncio.to_thread(self._build)
            return self._documents

    def _build(self) -> _Documents:
        document = openapi.build(self._table)
        page = docs_page.render(document, self._algorithms)
        return _Documents(json_text.dumps(document), page)
