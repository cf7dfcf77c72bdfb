"""The worker that the tests of the pool start: one method for each thing a child can do."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from spice_engine.errors import InvalidManifest, InvalidRewards, Place
from spice_engine.workers.arrays import ArrayRef, load, save
from spice_engine.workers.child import Report, serve


class OddReward(InvalidRewards):
    """A class of the child's own: the engine has never heard of it."""

    code = "odd_reward"


def echo(params: dict[str, Any], report: Report) -> Any:
    return params["value"]


def about(params: dict[str, Any], report: Report) -> Any:
    return {
        "pid": os.getpid(),
        "nice": os.nice(0),
        "omp": os.environ.get("OMP_NUM_THREADS"),
        "secret": os.environ.get("A_SECRET"),
        "extra": os.environ.get("EXTRA"),
        "path": sys.path,
        "session": os.getsid(0),
    }


def steps(params: dict[str, Any], report: Report) -> Any:
    for number in range(params["count"]):
        report.check()
        report.report({"step": number})
        time.sleep(params.get("seconds", 0))
    return params["count"]


def hang(params: dict[str, Any], report: Report) -> Any:
    report.report("hanging")
    time.sleep(60)


def die(params: dict[str, Any], report: Report) -> Any:
    print("these are my last words")
    os.kill(os.getpid(), signal.SIGKILL)


def leave(params: dict[str, Any], report: Report) -> Any:
    os._exit(3)


def fail(params: dict[str, Any], report: Report) -> Any:
    match params["how"]:
        case "rewards":
            place = Place("pod.yaml", 12, 3, 12, 9)
            raise InvalidRewards("no such field", hint="Use price.", place=place)
        case "manifest":
            raise InvalidManifest("two problems", problems=[{"code": "a"}, {"code": "b"}])
        case "odd":
            raise OddReward("odd")
        case "exit":
            sys.exit("enough")
        case "large":
            return b"x" * (17 * 2**20)
        case "unsendable":
            return object()
        case _:
            raise ZeroDivisionError("by nothing")


def double(params: dict[str, Any], report: Report) -> Any:
    array = load(ArrayRef.from_dict(params["array"]))
    return save(Path(params["folder"]), array * 2).as_dict()


def chatter(params: dict[str, Any], report: Report) -> Any:
    for _ in range(300):
        sys.stderr.write("x" * 10_000 + "\n")
    return True


def eat(params: dict[str, Any], report: Report) -> Any:
    return len(bytearray(params["bytes"]))


if __name__ == "__main__":
    serve(
        {
            "echo": echo,
            "about": about,
            "steps": steps,
            "hang": hang,
            "die": die,
            "leave": leave,
            "fail": fail,
            "double": double,
            "chatter": chatter,
            "eat": eat,
        }
    )
