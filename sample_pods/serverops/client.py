"""Ask the pod what to do every few seconds, and do it. Standard library only.

python client.py [http://127.0.0.1:8000]
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request

SURE_ENOUGH = 0.6


def act(action: str) -> None:
    """Where a real client would call its own tools."""
    print(f"  -> {action.replace('_', ' ')}")


def main() -> None:
    base = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    url = f"{base}/api/v0.1/pods/serverops/recommendation"
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            print("no recommendation:", json.load(error)["response"].get("message", error))
        except OSError as error:
            sys.exit(f"the engine does not answer on {base}: {error}")
        else:
            print(f"{answer['action']} ({answer['confidence']:.0%} sure)")
            if answer["action"] != "do_nothing" and answer["confidence"] >= SURE_ENOUGH:
                act(answer["action"])
        time.sleep(5)


if __name__ == "__main__":
    main()
