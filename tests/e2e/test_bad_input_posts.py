"""Posts of rubbish, and of good rows among rubbish: refused in words, and what is good is kept."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from spice_engine.errors import SpiceError
from tests.conftest import EngineFixture, wait_for
from tests.e2e.two_pods import (
    DATA,
    FROM_FILE,
    MEBIBYTE,
    answer,
    bomb,
    folder,
    learned,
    pod,
    rows_of,
    sample,
    save,
    settled,
)

pytestmark = pytest.mark.e2e

ROWS = DATA.splitlines()[1:]
POSTED = "posted"
NAMES = "time,hostmetrics.service.cpu,hostmetrics.service.memory"


@pytest.fixture
def posted(shared: EngineFixture) -> Iterator[EngineFixture]:
    """With a pod that is posted to; what it holds is the same after each test."""
    pushed = sample(POSTED).replace(FROM_FILE, "      processor:\n        name: csv\n")
    save(folder(shared) / f"{POSTED}.yaml", pushed)
    settled(shared, POSTED)
    if not rows_of(shared, POSTED):
        body = "\n".join([NAMES, *ROWS[:900]])
        assert post(shared, "observations", body.encode())[0] == 201
    learned(shared, POSTED)
    before, rows = answer(shared, POSTED), rows_of(shared, POSTED)
    yield shared
    assert rows_of(shared, POSTED) == rows
    assert answer(shared, POSTED) == before


def post(
    engine: EngineFixture, path: str, body: bytes, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Post to the pod by the v0.1 API; status, text and headers."""
    parts = urlsplit(engine.http)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    try:
        connection.request(
            "POST",
            f"/api/v0.1/pods/{POSTED}/{path}",
            body,
            {
                "Authorization": f"Bearer {engine.location.token.read_text().strip()}",
                "Content-Type": "text/csv",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        reply = connection.getresponse()
        return reply.status, reply.read().decode(), dict(reply.headers)
    finally:
        connection.close()


WIDE = ",".join(["time", *(f"a.b.c{k}" for k in range(10_000))])
JSON = {"Content_Type": "application/json"}
REFUSED_POSTS: dict[str, tuple[bytes, dict[str, str]]] = {
    "binary": (bytes(range(256)) * 100, {}),
    "zeros": (bytes(100_000), {}),
    "utf16": (f"{NAMES}\n{ROWS[0]}\n".encode("utf-16"), {}),
    "no-time": (b"hostmetrics.service.cpu\n1\n", {}),
    "json-as-csv": (b'[{"time": 1767225600, "data": {}}]', {}),
    "csv-as-json": (f"{NAMES}\n{ROWS[0]}\n".encode(), JSON),
    "half": (b'[{"time": "1767225600",', JSON),
    "deep": (b"[" * 100_000, JSON),
    "number": (b"5", JSON),
    "null": (b"null", JSON),
    "too-large": (b"x" * (17 * MEBIBYTE), {}),
    "bomb": (bomb(100), {"Content_Encoding": "gzip"}),
}


@pytest.mark.parametrize("case", REFUSED_POSTS)
@pytest.mark.parametrize("path", ["observations", "dataspaces/hostmetrics/service/data"])
def test_posts_that_cannot_be_read(posted: EngineFixture, path: str, case: str):
    body, headers = REFUSED_POSTS[case]
    if case == "csv-as-json" and path != "observations":
        pytest.skip("a dataspace reads what its processor reads, whatever it is called")
    code, text, told = post(posted, path, body, **headers)
    if code == 201:
        assert told["X-Rows"] == "0", (text, told)
    else:
        assert code in {400, 413}, (code, text)
        assert text
        assert len(text) < 2000
    assert "Traceback" not in text
    assert psutil.Process(posted.pid).memory_info().rss < 400 * MEBIBYTE


NO_ROWS: dict[str, bytes] = {
    "empty": b"",
    "header": NAMES.encode(),
    "header-and-end": NAMES.encode() + b"\r\n",
    "unknown-columns": b"time,x.y.z,a.b\n1767225600,1,2\n",
    "bad-times": f"{NAMES}\nnever,1,2\n1e400,1,2\nnan,1,2\n,1,2\n{'9' * 40},1,2\n".encode(),
    "bad-cells": f"{NAMES}\n1767225600,1e400,nan\n1767225630,x,\n".encode(),
    "wide": f"{WIDE}\n1767225600{',1' * 10_000}\n".encode(),
    "huge-cell": f"{NAMES}\n1767225600,{'9' * (2 * MEBIBYTE)},1e400\n".encode(),
    "blank": b"\n\n\n",
}


@pytest.mark.parametrize("case", NO_ROWS)
def test_posts_without_a_row_that_can_be_used(posted: EngineFixture, case: str):
    code, text, told = post(posted, "observations", NO_ROWS[case])
    assert code in {201, 400}, (code, text)
    if code == 201 and case == "bad-times":
        assert (told["X-Rows"], told["X-Bad-Rows"]) == ("0", "5")
    assert "Traceback" not in text


def test_times_far_out_are_kept_and_do_not_move_the_window(shared: EngineFixture):
    save(
        folder(shared) / f"{POSTED}.yaml",
        sample(POSTED).replace(FROM_FILE, "      processor:\n        name: csv\n"),
    )
    settled(shared, POSTED)
    if not rows_of(shared, POSTED):
        post(shared, "observations", "\n".join([NAMES, *ROWS[:900]]).encode())
    learned(shared, POSTED)
    before = answer(shared, POSTED)
    rows = [f"{moment},50,50" for moment in (0, -5, 1, 32503680000, 253402300799, 9e15)]
    code, _, _ = post(shared, "observations", "\n".join([NAMES, *rows]).encode())
    assert code == 201
    # Asked again and again, it says the same; the good pod goes on meanwhile.
    for _ in range(5):
        assert answer(shared, POSTED) == before
        assert answer(shared)["action"]
    wait_for(lambda: "outside" in str(pod(shared, POSTED)["problems"]), "the rows to be told")
    assert answer(shared, POSTED) == before


def test_good_rows_among_bad_ones_are_kept_and_a_repeat_counts_once(shared: EngineFixture):
    pushed = sample("mixed").replace(FROM_FILE, "      processor:\n        name: csv\n")
    save(folder(shared) / "mixed.yaml", pushed)
    settled(shared, "mixed")
    lines = [line for row in ROWS[:200] for line in (row, "never,1,2", row.split(",")[0] + ",x,y")]
    body = "\n".join(["time,cpu,memory", *lines]).encode()
    call = {"pod": "mixed", "data": body, "dataspace": "hostmetrics/service"}
    taken = shared.call("pods.observe", **call)
    assert taken["bad_rows"] == 200
    assert taken["bad_cells"]
    assert len(taken["examples"]) < 20
    assert all(item["line"] > 1 for item in taken["examples"])
    assert shared.call("pods.observe", **call)["duplicate"] is True
    learned(shared, "mixed")
    count = rows_of(shared, "mixed")
    keyed = {"pod": "mixed", "key": "one", "format": "csv"}
    late = f"{NAMES}\n{ROWS[300]}\n".encode()
    assert shared.call("pods.observe", data=late, **keyed)["rows"] == 1
    assert shared.call("pods.observe", data=late + b"1,2,3\n", **keyed)["duplicate"] is True
    assert rows_of(shared, "mixed") == count + 1


def test_posts_to_nothing(posted: EngineFixture):
    for path, expected in [
        ("dataspaces/no/such/data", 404),
        ("dataspaces/%00/x/data", 404),
        ("dataspaces/hostmetrics/service%2fdata/data", 404),
    ]:
        code, text, _ = post(posted, path, b"x")
        assert code in {expected, 400}, (path, code, text)
    with pytest.raises(SpiceError) as caught:
        posted.call("pods.observe", pod="nobody", data=b"x")
    assert caught.value.code == "not_found"
    with pytest.raises(SpiceError) as caught:
        posted.call("pods.observe", pod=POSTED, data=b"x", format="xml")
    assert caught.value.code == "invalid_request"
