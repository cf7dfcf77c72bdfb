"""Predictors and commands no server should be made of: the right word, and nobody else suffers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import EngineFixture, wait_for
from tests.e2e.serving_neighbour import PREDICTOR, PROGRAM, STEADY, Place, begin, unharmed, words_of
from tests.integration.server_world import ECHO, Clients

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made(shared_engine: EngineFixture) -> Place:
    return begin(shared_engine)


@pytest.fixture
def place(made: Place) -> Iterator[Place]:
    with unharmed(made) as found:
        yield found


# -- predictors that cannot be had


NOT_LOADED = {
    "no-module": ("import nosuchmodule\n", "error: server no-module has failed: ModuleNotFound"),
    "no-syntax": ("class P(\n", "error: server no-syntax has failed: SyntaxError: '(' was never"),
    "no-text": ("\0", "error: server no-text has failed: SyntaxError: source code string cannot"),
    "no-class": (
        "x = 1\n",
        "error: server no-class has failed: No predictors found. Make sure your predictors extend "
        "BasePredictor. Its log: spice-tui server logs no-class\n",
    ),
    "two-classes": (
        f"{PREDICTOR}    def predict(self, p): return 1\n\nclass Q(P): pass\n",
        "More than one predictor found, but no classname was specified. Found (P, Q)",
    ),
    "no-predict": (f"{PREDICTOR}    pass\n", 'Required function "predict" is not defined'),
    "raises": (
        f"{PREDICTOR}    def __init__(self): raise ValueError('my why')\n"
        "    def predict(self, p): return 1\n",
        "error: server raises has failed: ValueError: my why. Its log:",
    ),
    "wants-more": (
        f"{PREDICTOR}    def __init__(self, path): pass\n    def predict(self, p): return 1\n",
        "missing 1 required positional argument: 'path'",
    ),
    "exits": (
        f"import os\nprint('so be it', flush=True)\n{PREDICTOR}"
        "    def __init__(self): os._exit(3)\n    def predict(self, p): return 1\n",
        "so be it\nerror: server exits has failed: it ended with exit code 3. Its log:",
    ),
    "crashes": (
        f"import os\n{PREDICTOR}    def __init__(self): os.abort()\n"
        "    def predict(self, p): return 1\n",
        "error: server crashes has failed: it was ended by SIGABRT. Its log:",
    ),
}


def test_predictors_that_cannot_be_loaded(place: Place) -> None:
    with ThreadPoolExecutor(4) as threads:
        served = threads.map(lambda name: place.stand_up(name, NOT_LOADED[name][0]), NOT_LOADED)
        answers = dict(zip(NOT_LOADED, served, strict=True))
    for name, (_, said) in NOT_LOADED.items():
        code, _, err = answers[name]
        assert (code, said in err) == (11, True), err
        # Its own lines are shown, ours and importlib's are not.
        assert "spice_runtime" not in err
        assert "importlib" not in err
        assert place.predict(name, 1)[0] == 503
    # The log that was named is there, though no pod is.
    code, out, _ = place.cli("server", "logs", "no-module")
    assert (code, out.splitlines()[-1]) == (
        0,
        "ModuleNotFoundError: No module named 'nosuchmodule'",
    )
    assert "spice_runtime/" not in out
    code, out, _ = place.cli("server", "status", "no-module")
    assert (code, "\\n" in out) == (0, False)


def test_a_server_that_failed_is_made_good_by_an_update(place: Place) -> None:
    assert place.stand_up("bettered", "class P(\n")[0] == 11
    code, _, err = place.stand_up("bettered", ECHO)
    assert code == 6
    assert "server update bettered --update-repo takes the code anew" in err
    assert place.cli("server", "update", "bettered", "--update-repo")[0] == 0
    assert place.predict("bettered", 1)[0] == 200
    # What it shows is the version that runs.
    code = place.call("servers.get", server="bettered")["versions"][0]["code"]
    assert f"Code             {code[:12]}\n" in place.cli("server", "describe", "bettered")[1]


def test_one_that_blocks_for_ever_is_ended(place: Place) -> None:
    text = ECHO.replace(
        "self.factor = factor", "import time; print('hm', flush=True); time.sleep(1e6)"
    )
    code, _, err = place.stand_up("blocks", text, "--start-timeout", "1s")
    assert code == 11
    assert "hm\nerror: server blocks has failed: it was not ready within 1 s. Its log:" in err
    wait_for(lambda: not place.processes("blocks/"), "its process to be gone")


def test_one_that_prints_megabytes_starts_and_is_read(place: Place) -> None:
    text = ECHO.replace("self.factor = factor", "self.factor = factor; print('x' * 3_000_000)")
    assert place.stand_up("loud", text)[0] == 0
    assert place.predict("loud", 1)[0] == 200
    code, out, _ = place.cli("server", "logs", "loud")
    assert (code, len(out)) == (0, 3_000_001)


# -- predictors that work, and do harm


HARM = f"""
import os, subprocess, sys, time
{PREDICTOR}
    def predict(self, p):
        if p == "set": return {{1, 2}}
        if p == "nan": return {{"a": float("nan")}}
        if p == "raise": raise ValueError("mine")
        if p == "exit": os._exit(4)
        if p == "leave": sys.exit(4)
        if p == "loud": print("y" * 3_000_000)
        if p == "fork" and os.fork() == 0: time.sleep(1e6)
        if p == "child": subprocess.Popen(["sleep", "1000000"], start_new_session=True)
        if p == "close": os.closerange(3, 100)
        if p == "shim": os.kill(os.getppid(), 9)
        if p == "eat": self.kept = [b"x" * 2**20 for _ in range(1000)]
        return {{"done": p}}
"""


@pytest.fixture
def harm(place: Place) -> Place:
    code, _, err = place.stand_up("harm", HARM, "--ram-limit", "300M", "--deadline", "5s")
    assert code == 0, err
    return place


def test_harm_stays_with_the_request(harm: Place) -> None:
    for payload, status, said in (
        ("set", 500, "Got untranslatable <class 'set'> return type."),
        ("nan", 500, "Got untranslatable <class 'dict'> return type."),
        ("raise", 500, "Internal Server Error"),
        ("leave", 500, "Internal Server Error"),
        ("loud", 200, "{'done': 'loud'}"),
        ("fork", 200, "{'done': 'fork'}"),
        ("child", 200, "{'done': 'child'}"),
        ("exit", 502, "the replicas that worked on this request died, twice"),
    ):
        code, answer = harm.predict("harm", payload)
        assert (code, said in str(answer)) == (status, True), (payload, code, answer)
        wait_for(lambda: harm.predict("harm", 1)[0] == 200, "it to serve again")


def test_a_request_that_kills_the_shim_of_its_replica_harms_no_other(harm: Place) -> None:
    # The kernel ends a replica whose shim was killed: its answer may come before that, or not.
    code, answer = harm.predict("harm", "shim")
    assert (code, str(answer)) == (200, "{'done': 'shim'}") or (
        code == 502 and "the replicas that worked on this request died, twice" in str(answer)
    )
    wait_for(lambda: harm.predict("harm", 1)[0] == 200, "it to serve again")


def test_descriptors_of_ours_that_it_closes_cost_only_its_own_request(harm: Place) -> None:
    assert harm.predict("harm", "close")[0] in {502, 504}
    wait_for(lambda: harm.predict("harm", 1)[0] == 200, "it to serve again")


def test_a_leak_ends_at_the_limit_of_memory(harm: Place) -> None:
    # Ended by the kernel (control groups), or refused the memory (address space).
    assert harm.predict("harm", "eat")[0] in {500, 502}
    wait_for(lambda: harm.predict("harm", 1)[0] == 200, "it to serve again")


def test_children_it_leaves_behind_go_with_it(harm: Place) -> None:
    before = set(psutil.pids())
    assert harm.predict("harm", "child")[0] == 200
    assert harm.predict("harm", "fork")[0] == 200
    (sleeper,) = [
        one
        for one in psutil.process_iter(["cmdline"])
        if one.pid not in before and one.info["cmdline"] == ["sleep", "1000000"]
    ]
    assert harm.cli("server", "rm", "--force", "harm")[0] == 0
    wait_for(lambda: not sleeper.is_running() or sleeper.status() == "zombie", "its child to go")
    assert harm.processes("harm/") == []


BATCHED = f"""{PREDICTOR}
    def predict(self, payloads):
        if "more" in payloads: return [1] * (len(payloads) + 1)
        if "none" in payloads: return None
        if "text" in payloads: return "x" * len(payloads)
        if "boom" in payloads: raise ValueError("mine")
        return [{{1}} if one == "set" else one for one in payloads]
"""


def test_a_batch_of_the_wrong_length_fails_for_its_own_item_alone(place: Place) -> None:
    assert place.stand_up("batched", BATCHED, "--max-batch-size", "8")[0] == 0
    with Clients(place, "batched", 3, payload={"good": 1}) as clients:
        clients.wait_more(20)
        for payload, said in (
            ("more", "Response length mismatch! Expected 1, but got 2"),
            ("none", "Batch predict responses must be iterable and support len()"),
            ("text", "Batch predict responses must be iterable and support len()"),
            ("boom", "Internal Server Error"),
            ("set", "Got untranslatable <class 'set'> return type."),
        ):
            status, answer = place.predict("batched", payload)
            assert (status, said in str(answer)) == (500, True)
        clients.wait_more(20)
    assert clients.failures == []


# -- changes that go wrong


def test_a_broken_version_is_rolled_back_under_load(place: Place) -> None:
    assert place.stand_up("rolled", ECHO)[0] == 0
    with Clients(place, "rolled", 4) as clients:
        clients.wait_more()
        place.write("rolled.py", "import nosuchmodule\n")
        code, _, err = place.cli("server", "update", "rolled", "--update-repo")
        clients.wait_more()
    assert code == 11
    said = re.search(
        r"error: version 2 of server rolled was rolled back: ModuleNotFoundError: No module named "
        r"'nosuchmodule'\. Its log: spice-tui (server logs rolled -p [0-9]+)\n",
        err,
    )
    assert said, err
    assert "nosuchmodule" in place.cli(*said[1].split())[1]
    assert clients.failures == []


@pytest.mark.parametrize("victim", ["shim", "spawner"])
def test_what_starts_replicas_is_killed_during_a_rollout(place: Place, victim: str) -> None:
    place.stand_up("killed", ECHO, "--min-pods", "2")
    with Clients(place, "killed", 4) as clients:
        clients.wait_more()
        place.call("servers.update", server="killed", changes={"threads": 2})
        for _ in range(3):
            for process in _victims(place, victim):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.1)
        wait_for(lambda: place.info("killed")["rollout"]["state"] == "done", "the rollout's end")
        clients.wait_more()
    assert clients.failures == []
    place.wait_ready("killed", 2)
    assert {one["version"] for one in place.info("killed")["replicas"]} == {2}


def _victims(place: Place, victim: str) -> list[int]:
    if victim == "spawner":
        children = psutil.Process(place.engine.pid).children()
        return [one.pid for one in children if "spawner.py" in words_of(one)]
    new = [one for one in place.info("killed")["replicas"] if one["version"] == 2 and one["pid"]]
    return [one["pid"] for one in new[:1]]


def test_a_server_is_removed_while_requests_run(place: Place) -> None:
    text = f"import time\n{PREDICTOR}    def predict(self, p): time.sleep(0.02); return p\n"
    place.stand_up("going", text)
    with Clients(place, "going", 4) as clients:
        clients.wait_more(20)
        assert place.cli("server", "rm", "going")[0] == 6
        assert place.cli("server", "rm", "--force", "going")[0] == 0
        wait_for(lambda: any("404" in one for one in clients.failures), "it to be unknown")
    # Those under way were answered or told; none was cut off.
    assert {one[:3] for one in clients.failures} <= {"503", "404"}


# -- command lines and files


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--name", "v2", "steady.py"], 2, "the name 'v2' belongs to a path of the HTTP door"),
        (["--name", "servers", "steady.py"], 2, "belongs to a path of the HTTP door"),
        (["--name", "a_b", "steady.py"], 2, "a name has letters, digits and '-' inside"),
        (["--name", "x-", "steady.py"], 2, "a name has letters, digits and '-' inside"),
        (["--name", "a/b", "steady.py"], 2, "a name has letters, digits and '-' inside"),
        (["--name", "x" * 64, "steady.py"], 2, "at most 63 of them"),
        (["steady.py"], 3, "A server name must be provided with --name"),
        (["--name", STEADY, "steady.py"], 6, "there is a server 'steady' already. Update it"),
        (["--name", "n", "gone.py"], 3, "there is no file 'gone.py'"),
        (["--name", "n", "/etc/hostname"], 3, "does not lie in the app folder"),
        (["--name", "n", "steady.txt"], 2, "Predictor must be in a Python file"),
        (["--name", "n", "--type", "wat", "steady.py"], 3, "there is no type 'wat' of servers"),
        (["--name", "n", "--ram-limit", "1K", "steady.py"], 2, "between 1 MiB and 1024 TiB"),
        (["--name", "n", "--cors", "here", "steady.py"], 2, "'here' is no origin"),
        (["--name", "n", "--config", "bad.yaml", "steady.py"], 3, "bad.yaml:2:2: not YAML"),
        (["--name", "n", "--config", "bad.json", "steady.py"], 3, "bad.json:1:2: not JSON"),
        (["--from-file", "bad.yaml"], 2, "bad.yaml:2:2: not YAML"),
        (["--from-file", "unknown.yaml"], 2, "no such option: nmae"),
        (["nomodel:v1", "steady.py"], 5, "there is no model 'nomodel'"),
        (["--name", "n", "--python", "9.9", "steady.py"], 11, "No interpreter found for Python 9"),
        (["--name", "n", "--python", "/bin/ls", "steady.py"], 11, "/bin/ls is no Python"),
    ],
)
def test_a_command_that_cannot_be_carried_out(
    place: Place, arguments: list[str], code: int, said: str
) -> None:
    place.write("bad.yaml", "a: [1\nb: 2\n")
    place.write("bad.json", "{bad")
    place.write("unknown.yaml", "nmae: x\nentrypoint: steady.py\n")
    place.write("steady.txt", "")
    given, _, err = place.cli("server", "serve", *arguments)
    assert (given, said in err) == (code, True), err
    assert "Traceback" not in err


def test_a_definition_file_is_refused_with_line_and_column(place: Place) -> None:
    place.write("servers.yaml", "name: one\nentrypoint: steady.py\nthread: 3\n")
    code, _, err = place.cli("server", "apply", "--yes", "servers.yaml")
    assert code == 3
    assert "error: servers.yaml:3:1: a server has no 'thread'; did you mean 'threads'?" in err
    place.write("servers.yaml", "name: one\nentrypoint: [steady.py\n")
    assert "servers.yaml:3:1: not YAML" in place.cli("server", "apply", "--yes", "servers.yaml")[2]


def test_a_model_whose_files_are_gone_is_told(place: Place) -> None:
    outside = Path(place.folder).parent / "weights"
    outside.mkdir()
    (outside / "w.txt").write_text("only here, once\n")
    assert place.cli("model", "create", "lost", str(outside))[0] == 0
    objects = [one for one in (place.folder / ".spice/objects").glob("??/*") if one.is_file()]
    for one in objects:
        if one.read_bytes() == b"only here, once\n":
            one.unlink()
    code, _, err = place.cli("server", "serve", "--python", sys.executable, "lost:v1", "steady.py")
    assert code == 11
    assert "error: server lost has failed: the object store has no object" in err
    assert "It may have been removed; make it again from its source." in err


def test_the_last_words_of_a_pod_that_came_and_went_are_followed(place: Place) -> None:
    text = (
        f"import os\nprint('here', flush=True)\n{PREDICTOR}"
        "    def predict(self, p): print(p, flush=True); os._exit(1)\n"
    )
    assert place.stand_up("brief", text)[0] == 0
    command = [*PROGRAM, "server", "logs", "-f", "brief"]
    with subprocess.Popen(command, cwd=place.folder, text=True, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said: list[str] = []
        reader = threading.Thread(target=said.extend, args=(child.stdout,))
        reader.start()
        try:
            wait_for(lambda: said, "the log of the first pod")
            assert place.predict("brief", "once")[0] == 502
            # Two pods died of it.
            wait_for(lambda: sum("once" in line for line in said) == 2, "the last words of both")
        finally:
            child.kill()
            reader.join()


def test_a_payload_without_its_option(place: Place) -> None:
    code, _, err = place.cli("server", "predict", STEADY, '{"a": 1}')
    assert code == 3
    assert "Give the payload with --json" in err
    code, _, err = place.cli("server", "predict", STEADY, "--json", "{bad")
    assert code == 3
    assert "--json: that is no JSON" in err
    assert place.cli("server", "predict", STEADY, "--json", "1", "--", "--fail")[0] == 0


def test_logs_of_a_pod_that_never_was(place: Place) -> None:
    code, _, err = place.cli("server", "logs", STEADY, "-p", "77")
    assert code == 5
    assert err.startswith("error: server 'steady' has no log of a pod 77. There is: ")
