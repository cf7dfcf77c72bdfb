"""What is posted: to a frame, to files, to Parquet, and out again as it is served."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.data import loader
from spice_engine.data.observation_frames import (
    Block,
    Frame,
    Head,
    decode,
    decode_head,
    encode,
    payload_digest,
)
from spice_engine.data.observation_pieces import Piece, without_replaced
from spice_engine.data.observation_reading import read_accepted
from spice_engine.data.table import Table
from spice_engine.errors import IncompatibleVersion, InvalidData, NotFound
from spice_engine.store.framedlog import FramedLog
from spice_engine.workers.child import LocalReport
from tests.examples import examples
from tests.unit.pod_specs import body, dataspace, feed, loader_params

GOLDEN = bytes.fromhex(
    "87a17601a26174cb41d954fc40000000a168c410000102030405060708090a0b0c0d0e0fa16ba36b2d31a166"
    "a468747470a1729205cd01f4a1629186a164a3652f73a174c4100a000000000000001400000000000000a16d"
    "81a161c410000000000000f83f000000000000f87fa16381a46b696e6492a178c0a16981a2696492c0a26931"
    "a1679291a17090"
)
FRAME = Frame(
    Head(1_700_000_000.0, bytes(range(16)), "k-1", "http", (5, 500), ("e/s",)),
    (
        Block(
            "e/s",
            np.array([10, 20], dtype=np.int64),
            {"a": np.array([1.5, np.nan])},
            {"kind": ["x", None]},
            {"id": [None, "i1"]},
            [["p"], []],
        ),
    ),
)


def ingest(*bodies: dict[str, Any]) -> list[dict[str, Any]]:
    return loader.ingest({"bodies": list(bodies)}, LocalReport())


def test_the_bytes_of_a_frame_stay_as_they_are() -> None:
    assert encode(FRAME) == GOLDEN
    frame = decode(GOLDEN)
    assert frame.head == decode_head(GOLDEN) == FRAME.head
    (block,) = frame.blocks
    assert block.times.tolist() == [10, 20]
    assert [repr(v) for v in block.measurements["a"].tolist()] == ["1.5", "nan"]
    assert (block.categories, block.identifiers) == ({"kind": ["x", None]}, {"id": [None, "i1"]})
    assert block.tags == [["p"], []]


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x01", GOLDEN[:-5], GOLDEN + b"x"])
def test_what_is_no_frame_is_said(data: bytes) -> None:
    with pytest.raises(InvalidData) as caught:
        decode(data)
    assert caught.value.hint


def test_a_frame_of_a_later_version_is_refused() -> None:
    with pytest.raises(IncompatibleVersion, match="version 2"):
        decode_head(GOLDEN.replace(b"\xa1v\x01", b"\xa1v\x02"))


@given(st.integers(0, len(GOLDEN) - 1), st.integers(1, 255))
def test_a_damaged_frame_is_a_clean_error_or_whole(position: int, change: int) -> None:
    data = bytearray(GOLDEN)
    data[position] ^= change
    try:
        frame = decode(bytes(data))
    except (InvalidData, IncompatibleVersion):
        return
    for block in frame.blocks:
        assert all(len(column) == len(block.times) for column in block.measurements.values())


def test_the_engine_reads_frames_without_polars() -> None:
    code = (
        "import sys; import spice_engine.data.observation_frames as f, "
        "spice_engine.data.time_formats, spice_engine.data.extensions, "
        "spice_engine.data.connectors.file\n"
        f"f.decode(bytes.fromhex('{GOLDEN.hex()}'))\n"
        "assert not {'polars', 'numba'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


SPACES = [
    dataspace(
        "e/s",
        ["a", "b"],
        feed("http", "json"),
        categories={"kind": ["x"]},
        identifiers=["id"],
        tags=["p"],
    ),
    dataspace("local/p", ["usd"]),
]


def test_observations_are_split_among_their_dataspaces() -> None:
    text = (
        "time,e.s.a,local.p.usd,e.s.kind,tags,other\n"
        "1,1.5,,x,p,z\n2,,7,,,\nbad,1,1,,,\n3,,,,p,\n4,oops,8,,,\n"
    )
    (answer,) = ingest(body(SPACES, text, key="k"))
    assert (answer["rows"], answer["bad_rows"], answer["bad_cells"]) == (4, 1, {"e.s.a": 1})
    assert answer["examples"][0] == {"line": 4, "reason": "'bad' is not a time"}
    frame = decode(answer["frame"])
    assert frame.head.key == "k"
    assert frame.head.digest == payload_digest(text.encode())
    assert [(b.dataspace, b.times.tolist()) for b in frame.blocks] == [
        ("e/s", [1]),
        ("local/p", [2, 4]),
    ]
    assert frame.blocks[0].categories == {"kind": ["x"]}
    assert frame.blocks[0].tags is None


def test_observations_as_they_are_served_can_be_posted() -> None:
    items = [
        {"time": 1, "measurements": {"e.s.a": 0}, "categories": {"e.s.kind": "x"}, "tags": ["p"]},
        {"time": 2, "local.p.usd": 5},
    ]
    (answer,) = ingest(body(SPACES, json.dumps(items), format="json"))
    frame = decode(answer["frame"])
    assert [(b.dataspace, b.times.tolist()) for b in frame.blocks] == [
        ("e/s", [1]),
        ("local/p", [2]),
    ]
    assert frame.blocks[0].measurements["a"].tolist() == [0.0]


def test_a_dataspaces_data_by_its_own_processor(tmp_path: Path) -> None:
    text = '[{"when": 5, "a": "2", "kind": 3, "_tags": ["p", "q"]}]'
    (tmp_path / "big.json").write_text(text)
    from_file = {**body(SPACES, "", "e/s"), "data": None, "path": str(tmp_path / "big.json")}
    for one in (body(SPACES, text, "e/s"), from_file):
        one |= {"format": "json", "params": {"time_selector": "when"}, "feed": "http"}
        (answer,) = ingest({**one, "replace": [0, 9]})
        frame = decode(answer["frame"])
        assert (frame.head.feed, frame.head.replace) == ("http", (0, 9))
        (block,) = frame.blocks
        assert (block.times.tolist(), block.measurements["a"].tolist()) == ([5], [2.0])
        assert np.isnan(block.measurements["b"]).all()
        assert (block.categories, block.tags) == ({"kind": ["3"]}, [["p", "q"]])


@pytest.mark.parametrize(
    ("changes", "code", "what"),
    [
        ({"data": b"when,a\n1,2\n"}, "invalid_data", "no column 'time'"),
        ({"data": b""}, "invalid_data", "empty"),
        ({"data": b"\x00\xff" * 50, "format": "json"}, "invalid_data", "no UTF-8"),
        ({"format": "xml"}, "invalid_data", "'xml'"),
        ({"only": "e/none", "mode": "dataspace"}, "not_found", "e/none"),
        ({"data": None, "path": "/no/such/file"}, "invalid_data", "read again"),
        ({"only": "e/s", "mode": "dataspace", "params": {"time_format": "?"}}, "invalid_data", "?"),
    ],
)
def test_a_bad_payload_spoils_no_other(changes: dict[str, Any], code: str, what: str) -> None:
    good = body(SPACES, "time,e.s.a\n1,2\n")
    first, bad, last = ingest(good, {**good, **changes}, good)
    assert (first["rows"], last["rows"]) == (1, 1)
    assert bad["error"]["code"] == code
    assert what in bad["error"]["message"]


def test_more_than_a_frame_can_hold_is_refused() -> None:
    text = "time,e.s.a\n" + "1,1\n" * 700_000
    (answer,) = ingest(body(SPACES, text))
    assert answer["error"]["code"] == "too_large"


def piece(feed: str, times: list[int], replaces: tuple[tuple[int, int], ...] = ()) -> Piece:
    values = {"a": np.array(times, dtype=np.float64)}
    return Piece(feed, "e/s", Table(np.array(times, dtype=np.int64), values), replaces)


def test_a_later_answer_of_a_feed_takes_the_place_of_earlier_rows() -> None:
    pieces = [
        piece("http", [1, 5, 9]),
        piece("", [5]),
        piece("other", [5]),
        piece("http", [4, 6], ((5, 8),)),
        piece("http", [], ((9, 9),)),
    ]
    kept = [(one.feed, one.table.times.tolist()) for one in without_replaced(pieces)]
    assert kept == [("http", [1]), ("", [5]), ("other", [5]), ("http", [4, 6]), ("http", [])]


ranges = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda r: (min(r), max(r)))
made = st.lists(
    st.tuples(
        st.sampled_from(["", "http"]),
        st.lists(st.integers(0, 12), max_size=4),
        st.lists(ranges, max_size=1).map(tuple),
    ),
    max_size=8,
)


def by_hand(pieces: list[Piece]) -> list[tuple[str, int]]:
    """One payload after the other, each taking out what it replaces."""
    rows: list[tuple[str, int]] = []
    for one in pieces:
        rows = [
            (feed, time)
            for feed, time in rows
            if feed != one.feed or not any(a <= time <= b for a, b in one.replaces)
        ]
        rows += [(one.feed, time) for time in one.table.times.tolist()]
    return sorted(rows)


@settings(deadline=None, max_examples=examples(60))
@given(made, st.integers(0, 8), st.integers(0, 8))
def test_sealing_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    content: list[tuple[str, list[int], tuple[tuple[int, int], ...]]],
    first: int,
    second: int,
) -> None:
    pieces = [piece(*one) for one in content]
    folder = tmp_path_factory.mktemp("sealed")
    cuts = sorted([0, min(first, len(pieces)), min(second, len(pieces)), len(pieces)])
    files: list[dict[str, Any]] = []
    for number, (start, end) in enumerate(pairwise(cuts)):
        log = FramedLog(folder / f"{number}.frames")
        frames = [
            encode(
                Frame(
                    Head(0.0, b"", "", one.feed, one.replaces[0] if one.replaces else None),
                    (Block("e/s", one.table.times, one.table.values),),
                )
            )
            for one in pieces[start:end]
        ]
        files.append({"path": str(log.path), "format": "frames", "bytes": log.append(frames)})
        log.close()
    expected = sorted(time for _, time in by_hand(pieces))
    mixed = [files, _sealed(files[:1], folder) + files[1:], _sealed(files[:2], folder) + files[2:]]
    mixed.append(_sealed(_sealed(files[:2], folder) + files[2:], folder))
    for some in mixed:
        tables = read_accepted(some)
        got = tables["e/s"].times.tolist() if "e/s" in tables else []
        assert sorted(got) == expected


def _sealed(files: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    out = folder / f"{len(list(folder.iterdir()))}.parquet"
    loader.seal({"files": [file["path"] for file in files], "out": str(out)}, LocalReport())
    return [{"path": str(out), "format": "parquet", "bytes": out.stat().st_size}]


def test_everything_of_a_row_survives_sealing(tmp_path: Path) -> None:
    texts = [
        '[{"time": 3, "a": 1, "kind": "x", "id": "i,1", "_tags": ["p", "q r"]}, {"time": 4}]',
        '[{"time": 5, "b": 0, "kind": "né"}]',
    ]
    answers = ingest(*(body(SPACES, text, "e/s", format="json") for text in texts))
    answers += ingest(body(SPACES, "time,local.p.usd\n9,8\n"))
    log = FramedLog(tmp_path / "1.frames")
    size = log.append([answer["frame"] for answer in answers])
    log.close()
    files = [{"path": str(log.path), "format": "frames", "bytes": size}]
    before, after = read_accepted(files), read_accepted(_sealed(files, tmp_path))
    assert before.keys() == after.keys() == {"e/s", "local/p"}
    for name, one in before.items():
        other = after[name]
        assert one.times.tolist() == other.times.tolist()
        assert repr({n: c.tolist() for n, c in one.values.items()}) == repr(
            {n: c.tolist() for n, c in other.values.items()}
        )
        for mine, theirs in (
            (one.categories, other.categories),
            (one.identifiers, other.identifiers),
        ):
            assert {n: c.cells() for n, c in mine.items()} == {
                n: c.cells() for n, c in theirs.items()
            }
        assert (one.tags and one.tags.cells()) == (other.tags and other.tags.cells())


def test_no_more_is_read_than_was_accepted(tmp_path: Path) -> None:
    log = FramedLog(tmp_path / "1.frames")
    first, second = ingest(body(SPACES, "time,e.s.a\n1,1\n"), body(SPACES, "time,e.s.a\n2,2\n"))
    size = log.append([first["frame"]])
    log.append([second["frame"]])
    log.close()
    file = {"path": str(log.path), "format": "frames", "bytes": size}
    assert read_accepted([file])["e/s"].times.tolist() == [1]
    with pytest.raises(NotFound):
        read_accepted([{**file, "path": str(tmp_path / "2.frames")}])
    (tmp_path / "x.parquet").write_bytes(b"PAR1 rubbish PAR1")
    with pytest.raises(InvalidData, match=r"x\.parquet"):
        read_accepted([{"path": str(tmp_path / "x.parquet"), "format": "parquet", "bytes": 1}])


def served(params: dict[str, Any], form: str = "csv", **changes: Any) -> str:
    """Observations as text."""
    out = Path(params["app_folder"]) / "served"
    asked = {"format": form, "start": None, "end": None, "limit": None, "out": str(out), **changes}
    answer = loader.observations({**params, **asked}, LocalReport())
    assert answer["path"] == str(out)
    return out.read_text()


def posted(folder: Path, spaces: list[dict[str, Any]], *texts: tuple[str, str]) -> dict[str, Any]:
    """Loader parameters with JSON that was posted to dataspaces."""
    answers = ingest(*(body(spaces, text, only, format="json") for only, text in texts))
    log = FramedLog(folder / "1.frames")
    size = log.append([answer["frame"] for answer in answers])
    log.close()
    files = [{"path": str(log.path), "format": "frames", "bytes": size}]
    return loader_params(folder, spaces, observations=files)


def test_rows_as_they_are_served(tmp_path: Path) -> None:
    params = posted(
        tmp_path,
        SPACES,
        (
            "e/s",
            '[{"time": 20, "a": 0, "b": 1e-7, "kind": "x", "id": "7,1", "_tags": ["p", "q"]},'
            '{"time": 10, "a": 2}, {"time": 20, "a": 3, "kind": "y"}, {"time": 2000, "a": 1}]',
        ),
        ("local/p", '{"time": 20, "usd": 12.5}'),
    )
    assert served(params) == (
        "time,e.s.id,e.s.a,e.s.b,local.p.usd,e_s_kind-x,tags\n"
        "10,,2,,,0,\n"
        '20,"7,1",0,1e-7,12.5,1,p q\n'
        "20,,3,,,0,\n"
    )
    assert json.loads(served(params, "json")) == [
        {"time": 10, "measurements": {"e.s.a": 2}},
        {
            "time": 20,
            "identifiers": {"e.s.id": "7,1"},
            "measurements": {"e.s.a": 0, "e.s.b": 1e-7, "local.p.usd": 12.5},
            "categories": {"e.s.kind": "x"},
            "tags": ["p", "q"],
        },
        {"time": 20, "measurements": {"e.s.a": 3}, "categories": {"e.s.kind": "y"}},
    ]
    assert served(params, limit=1).splitlines()[1:] == ["20,,3,,,0,"]
    assert served(params, end=19).splitlines()[1:] == ["10,,2,,,0,"]
    assert len(served(params, start=11, limit=5).splitlines()) == 3
    assert json.loads(served(params, "json", start=500)) == []
    assert served(params, limit=0) == "time,e.s.id,e.s.a,e.s.b,local.p.usd,e_s_kind-x,tags\n"


def test_columns_of_the_time_are_served(tmp_path: Path) -> None:
    params = posted(tmp_path, SPACES, ("local/p", '{"time": 20, "usd": 1}'))
    header, row = served({**params, "time_categories": ["hour"]}).splitlines()
    assert header.startswith("time,time_hour_00,time_hour_01,")
    assert row.startswith("20,1,0,0,")


def test_the_originals_answers_for_its_trader(tmp_path: Path, cases: Path) -> None:
    (tmp_path / "btcusd.csv").write_bytes((cases / "data" / "btcusd.csv").read_bytes())
    spaces = [
        dataspace("coinbase", ["close"], feed("file", path="btcusd.csv")),
        dataspace("local/portfolio", ["usd_balance", "btc_balance"]),
    ]
    spaces[0] |= {"from": "coinbase", "name": "btcusd"}
    params = loader_params(tmp_path, spaces, epoch=1605312000, period=31 * 86_400)
    fixtures = cases / "api_fixtures"
    wanted_text = (fixtures / "GET_observations_trader.csv").read_text()
    assert served(params).strip() == wanted_text.strip()
    wanted = json.loads((fixtures / "GET_observations_trader.json").read_text())
    assert json.loads(served(params, "json")) == wanted


def test_the_originals_answer_for_its_events(tmp_path: Path, cases: Path) -> None:
    """Its test gave times, but no selector that fits."""
    kinds = ["dinner", "party", "football_game", "concert", "dance"]
    audiences = ["employees", "investors", "cohort_a"]
    space = dataspace(
        "event/stream",
        ["duration", "guest_count", "ticket_price"],
        feed(None, "json"),
        categories={"event_type": kinds, "target_audience": audiences},
        tags=["tagA"],
    )
    wanted = (cases / "api_fixtures" / "GET_observations_event-categories.csv").read_text()
    times = [int(line.split(",")[0]) for line in wanted.splitlines()[1:] if line]
    text = json.dumps([{"time": time} for time in times])
    params = posted(tmp_path, [space], ("event/stream", text))
    assert served({**params, "epoch": times[0], "period": 86_400}).strip() == wanted.strip()


def test_the_originals_additional_observations(cases: Path) -> None:
    space = dataspace("coinbase/btcusd", ["close"], feed(None))
    data = (cases / "api_fixtures" / "e2e_additional_observations.csv").read_bytes()
    (answer,) = ingest(body([space], data))
    assert (answer["rows"], answer["bad_rows"]) == (8, 0)
