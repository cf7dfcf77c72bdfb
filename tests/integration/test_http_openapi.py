"""The OpenAPI document is valid, complete and kept to; fuzzing by it finds no server error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from http_doors import TABLE, TOKEN, serve

from spice_engine.api import openapi
from tests.examples import examples
from tests.fuzzing import CHECKS, door_session, fuzz


def test_the_document_names_every_operation_and_resolves_every_reference() -> None:
    document = openapi.build(TABLE)
    assert document["openapi"] == "3.1.0"
    found = {
        entry.get("operationId"): (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, entry in methods.items()
    }
    for operation in TABLE:
        assert found[operation.name] == (operation.method, operation.path)
    for path in ("/", "/health", "/ready", "/metrics", "/api/v1/events", "/api/v0.1/algorithms"):
        assert path in document["paths"]
    for reference in references(document):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(
            {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"}
        )


def test_parameters_are_where_the_door_takes_them() -> None:
    paths = openapi.build(TABLE)["paths"]
    listing = {it["name"]: it for it in paths["/api/v1/things"]["get"]["parameters"]}
    assert {it["in"] for it in listing.values()} == {"query"}
    assert listing["number"]["schema"]["default"] == 50
    assert listing["ratio"]["schema"]["type"] == "number"
    assert (listing["match"]["style"], listing["match"]["explode"]) == ("deepObject", True)
    weigh = paths["/api/v1/things/weigh"]["post"]["requestBody"]["content"]["application/json"]
    assert weigh["schema"]["properties"]["data"]["contentEncoding"] == "base64"
    text = weigh["schema"]["properties"]["text"]
    assert (text["type"], text.keys() & {"contentEncoding", "format"}) == ("string", set())
    rename = paths["/api/v1/things/{id}/name"]["put"]
    assert [it["in"] for it in rename["parameters"]] == ["path"]
    body = rename["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"].keys() == {"name", "labels"}
    assert body["required"] == ["name"]
    assert body["additionalProperties"] is False
    add = paths["/api/v1/things"]["post"]
    assert (add["summary"], add["description"]) == (
        "Add a thing.",
        "Without an id it gets the next one.",
    )
    assert {"400", "401", "404", "429", "500"} <= add["responses"].keys()


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


class Links(HTMLParser):
    """Collects anchors, links inside the page, and whatever would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name == "href" and value and value.startswith("#"):
                self.targets.add(value[1:])
            if name == "src" or (tag in {"script", "link"}):
                self.loaded.append(f"{tag} {value}")


async def test_the_docs_page_stands_alone_and_its_links_lead_somewhere() -> None:
    async with serve() as served:
        status, html = await served.get("/docs")
        assert status == 200
        links = Links()
        links.feed(html)
        assert not links.loaded
        assert links.targets <= links.ids
        for operation in TABLE:
            assert operation.path in html
        assert "Authorization: Bearer $(cat .spice/token)" in html
        status, document = await served.get("/api/openapi.json")
        assert (status, document) == (200, openapi.build(TABLE))


@pytest.fixture(scope="module")
def live() -> Iterator[str]:
    """The base URL of a door on a loop of its own, for a client that blocks."""
    ready: list[str] = []
    up, down = threading.Event(), threading.Event()

    async def run() -> None:
        async with serve() as served:
            served.machine.released.set()
            ready.append(served.door.url)
            up.set()
            await asyncio.to_thread(down.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert up.wait(10)
    yield ready[0]
    down.set()
    thread.join(10)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(300)
def test_fuzzing_by_the_document_finds_nothing(live: str, subtests: pytest.Subtests) -> None:
    def call(case: schemathesis.Case) -> None:
        case.call_and_validate(
            base_url=live,
            headers={"Authorization": f"Bearer {TOKEN}"},
            checks=CHECKS,
            session=session,
        )

    schema = schemathesis.openapi.from_dict(openapi.build(TABLE)).exclude(
        # The second one tells of services that these doors do not have.
        path=["/api/v1/events", "/api/v0.1/diagnostics"]
    )
    with door_session() as session:
        assert fuzz(schema, call, examples(40, in_ci=4), subtests) > 20
