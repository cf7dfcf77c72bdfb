"""Look after the logs of a made-up server: report events, ask the pod, prune or compress.

    python client.py [http://127.0.0.1:8000] [--days 3] [--seed 99] [--pause 0]

Goes on where the pod's data end, in simulated time: an event and a decision every quarter of an
hour. Events go to the dataspace as they are, for its processor to read. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections import Counter

from logs import Event, Server

POD = "/api/v0.1/pods/logpruner"
FREES = {"keep_logs": 0.0, "compress_logs": 0.15, "prune_logs": 0.7}
"""Share of the logs' room that each action frees."""
EVENTS_PER_DAY = 96


def post(base: str, event: Event) -> None:
    """One event, as JSON."""
    body = json.dumps(event.as_dict()).encode()
    headers = {"Content-Type": "application/json"}
    url = base + POD + "/dataspaces/server/logs/data"
    request = urllib.request.Request(url, data=body, headers=headers)
    urllib.request.urlopen(request, timeout=10).close()


def ask(base: str) -> dict[str, object]:
    """What the pod would do now."""
    with urllib.request.urlopen(base + POD + "/recommendation", timeout=10) as reply:
        return json.load(reply)


def look_after(base: str, days: float, seed: int, pause: float) -> None:
    """The loop."""
    server = Server(seed, int(str(ask(base)["end"])))
    taken: Counter[str] = Counter()
    fullest, in_trouble = 0.0, 0
    for _ in range(round(days * EVENTS_PER_DAY)):
        event = server.step()
        post(base, event)
        answer = ask(base)
        action = str(answer["action"])
        server.free(FREES[action])
        taken[action] += 1
        fullest = max(fullest, event.disk)
        in_trouble += action == "prune_logs" and "incident" in event.tags
        if action != "keep_logs":
            print(
                f"{time.strftime('%d %b %H:%M', time.gmtime(event.time))}  "
                f"disk {event.disk:5.1f} %  {event.level:7} {' '.join(event.tags):8}  "
                f"{action.replace('_', ' ')} ({answer['confidence']:.0%} sure)"
            )
        time.sleep(pause)
    print(
        f"{dict(taken)}; the disk was {fullest:.0f} % full at most; "
        f"pruned {in_trouble} times during an incident"
    )


def main() -> None:
    """Read the arguments; say what is wrong in a sentence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("base", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--days", type=float, default=3)
    parser.add_argument("--seed", type=int, default=99, help="of the events")
    parser.add_argument("--pause", type=float, default=0, help="seconds between events")
    options = parser.parse_args()
    try:
        look_after(options.base.rstrip("/"), options.days, options.seed, options.pause)
    except urllib.error.HTTPError as error:
        sys.exit(f"the engine refused: {error.code} {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"the engine does not answer on {options.base}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
