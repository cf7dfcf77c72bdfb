"""A replica as a process: lanes, deadlines, cancellation, control, drain, several workers."""

from __future__ import annotations

import os
import signal
import time

import pytest

from spice_runtime import wire
from spice_runtime.process import identity
from tests.conftest import wait_for
from tests.integration.replica_client import call_frame
from tests.integration.replica_fixture import Starter, kept, running, start

__all__ = ["kept", "running", "start"]

ECHO = """
from spice_runtime import BasePredictor
class Echo(BasePredictor):
    def predict(self, payload):
        return {"got": payload}
"""
SLOW = """
import time
from spice_runtime import BasePredictor
class Slow(BasePredictor):
    def predict(self, payload):
        time.sleep(payload)
        return payload
    def health(self):
        return {"status": "fine"}
"""


def test_a_call_is_answered_and_the_replica_drains(start: Starter) -> None:
    replica = start(ECHO)
    told = replica.ready()
    assert (told["class"], told["lanes"], told["async"], told["batch"]) == ("Echo", 1, False, False)
    lane = replica.lane()
    assert lane.hello.json == {"pid": replica.process.pid, "lane": 0, "concurrency": 1}
    answer = lane.call({"a": [1, "é"]})
    assert (answer.status, answer.codec, answer.text) == (
        200,
        wire.AS_JSON,
        '{"got":{"a":[1,"é"]}}',
    )
    assert replica.ask(wire.HEALTH).json == {"status": "ok"}
    assert replica.drain() == 0


def test_many_calls_in_one_read_are_answered_in_order(kept: Starter) -> None:
    replica = kept(ECHO)
    lane = replica.lane()
    lane.send(*(call_frame(ident, ident) for ident in range(1, 501)))
    assert [lane.read().json["got"] for _ in range(500)] == list(range(1, 501))


def test_frames_may_come_in_any_pieces_and_sizes(kept: Starter) -> None:
    replica = kept(ECHO)
    lane = replica.lane()
    for byte in (data := call_frame(1, "x")):
        lane.send(bytes([byte]))
    assert lane.read().json == {"got": "x"}
    large = "y" * 3_000_000
    lane.send(data, call_frame(2, large), data)
    assert [lane.read().json["got"] for _ in range(3)] == ["x", large, "x"]


def test_an_answer_is_not_kept_back_by_a_slow_call_behind_it(start: Starter) -> None:
    replica = start(SLOW)
    replica.ready()
    lane = replica.lane()
    lane.call(0.05)  # it knows now that the predictor is slow
    lane.begin(0)
    lane.begin(5)
    began = time.monotonic()
    lane.read()
    assert time.monotonic() - began < 4


def test_what_is_too_late_or_cancelled_is_not_begun(kept: Starter) -> None:
    replica = kept(SLOW)
    lane = replica.lane()
    begun, late, unwanted = 101, 102, 103
    lane.send(
        call_frame(begun, 0.5),
        call_frame(late, 0, milliseconds=100),
        call_frame(unwanted, 0),
    )
    replica.connect().send(wire.frame(wire.CANCEL, unwanted))
    answers = [lane.read() for _ in range(3)]
    assert [(each.ident, each.status) for each in answers] == [
        (begun, 200),
        (late, 504),
        (unwanted, 499),
    ]


def test_health_and_metrics_are_answered_while_the_worker_is_busy(start: Starter) -> None:
    replica = start(SLOW)
    replica.ready()
    lane = replica.lane()
    ident = lane.begin(30)
    wait_for(lambda: replica.started()[0] == ident, "the call to begin")
    assert replica.ask(wire.HEALTH).json == {"status": "fine"}
    ((slot, busy, seconds),) = replica.ask(wire.METRICS).json["busy"]
    assert (slot, busy) == (0, ident)
    assert seconds >= 0


def test_the_page_says_what_was_begun_when_a_replica_dies(start: Starter) -> None:
    replica = start(SLOW)
    replica.ready()
    lane = replica.lane()
    lane.begin(0)
    begun = lane.begin(30)
    lane.begin(0)
    wait_for(lambda: replica.started()[0] == begun, "the call to begin")
    replica.process.kill()
    replica.process.wait()
    assert lane.read().status == 200
    with pytest.raises(ConnectionResetError):
        lane.read()
    assert replica.started()[0] == begun


def test_the_page_is_clear_when_all_is_answered(kept: Starter) -> None:
    replica = kept(ECHO)
    replica.lane().call(1)
    wait_for(lambda: replica.started() == [0] * wire.STARTED_SLOTS, "the page to be clear")


def test_a_new_engine_connects_anew(start: Starter) -> None:
    replica = start(ECHO)
    replica.ready()
    for _ in range(3):
        lane = replica.lane()
        assert lane.call(1).status == 200
        lane.close()
    assert replica.control is not None
    replica.control.close()
    replica.control = None
    assert replica.ready()["class"] == "Echo"


def test_the_drain_ends_what_is_under_way(start: Starter) -> None:
    replica = start(SLOW)
    replica.ready()
    lane = replica.lane()
    ident = lane.begin(0.5)
    wait_for(lambda: replica.started()[0] == ident, "the call to begin")
    assert replica.drain() == 0
    assert lane.read().json == 0.5


def test_sigterm_drains_as_well(start: Starter) -> None:
    replica = start(ECHO, threads=2)
    replica.ready()
    replica.lane().call(1)
    replica.process.send_signal(signal.SIGTERM)
    assert replica.process.wait(10) == 0


def test_threads_work_side_by_side(start: Starter) -> None:
    replica = start(SLOW, threads=3)
    assert replica.ready()["lanes"] == 3
    lanes = [replica.lane() for _ in range(3)]
    assert sorted(lane.hello.json["lane"] for lane in lanes) == [0, 1, 2]
    busy = [lane.begin(30) for lane in lanes[:2]]
    wait_for(lambda: set(busy) <= set(replica.started()), "both to begin")
    assert lanes[2].call(0).status == 200


PIDS = """
import os, time
from spice_runtime import BasePredictor, send_metric
class Pids(BasePredictor):
    loaded_in = os.getpid()
    def predict(self, payload):
        if payload == "die":
            os._exit(9)
        send_metric("calls", 1.5, tag=str(payload))
        return [os.getpid(), self.loaded_in, payload]
"""


def test_workers_are_forked_from_the_loaded_predictor(start: Starter) -> None:
    replica = start(PIDS, num_processes=2)
    assert replica.ready()["lanes"] == 2
    lanes = [replica.lane() for _ in range(2)]
    answers = [lane.call(number).json for number, lane in enumerate(lanes)]
    pids = {answer[0] for answer in answers}
    assert len(pids) == 2
    assert {answer[1] for answer in answers} == {replica.process.pid}
    assert {lane.hello.json["pid"] for lane in lanes} == pids
    note = replica.ask(wire.METRICS).json
    assert sorted(note["values"]) == [["calls", "0", 1.5], ["calls", "1", 1.5]]
    assert note["prometheus"].count("# TYPE") == 1
    assert all(f'pid="{pid}"' in note["prometheus"] for pid in pids)
    assert replica.drain() == 0
    wait_for(lambda: not any(identity(pid) for pid in pids), "the workers to be gone")


def test_a_dead_worker_is_replaced_and_the_others_go_on(start: Starter) -> None:
    replica = start(PIDS, num_processes=2)
    replica.ready()
    first, second = replica.lane(), replica.lane()
    ident = first.begin("die")
    with pytest.raises(ConnectionResetError):
        first.read()
    assert ident in replica.started()
    assert second.call(1).status == 200
    third = replica.lane()
    assert third.call(2).json[0] not in (first.hello.json["pid"], second.hello.json["pid"])
    assert "exit code 9" in replica.output()


def test_workers_end_with_the_process_that_forked_them(start: Starter) -> None:
    replica = start(PIDS, num_processes=2)
    replica.ready()
    pid = replica.lane().hello.json["pid"]
    os.kill(replica.process.pid, signal.SIGKILL)
    wait_for(lambda: not identity(pid), "the worker to be gone")


def test_cancellation_reaches_forked_workers(start: Starter) -> None:
    replica = start(SLOW, num_processes=2)
    replica.ready()
    lane = replica.lane()
    lane.begin(0.5)
    unwanted = lane.begin(0)
    replica.connect().send(wire.frame(wire.CANCEL, unwanted))
    assert lane.read().status == 200
    assert lane.read().status == 499
