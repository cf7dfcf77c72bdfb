"""`spice-tui` without a command: what the folder's engine has, and how to go on."""

from __future__ import annotations

import shlex

from spice_tui.cli import output
from spice_tui.cli.loading import await_all
from spice_tui.cli.pods import show_pods
from spice_tui.cli.session import Session


def overview(session: Session) -> None:
    """Start or attach to the folder's engine and print its pods and where they answer."""
    with session.connect() as client:
        status = client.call("engine.status")
        await_all(client)
        pods = client.call("pods.list")["pods"]
    url = status["http"]
    output.line(f"App folder  {output.safe(status['app_folder'])}")
    output.line(f"Engine      {status['version']}, process {status['pid']}")
    output.line(f"HTTP        {url or 'none'}")
    output.line(f"Runs        {status['active_runs']} active")
    output.line()
    if not pods:
        output.line("No pods yet. Add one: spice-tui add samples/serverops")
        return
    show_pods(pods)
    ready = [pod["name"] for pod in pods if pod["state"] in {"ready", "training"}]
    trained = [pod["name"] for pod in pods if pod.get("policy_version") is not None]
    output.line()
    for name in trained:
        if url:
            output.line(output.safe(f"{url}/api/v0.1/pods/{name}/recommendation"))
    first = shlex.quote((trained or ready or [pods[0]["name"]])[0])
    verb = "recommend" if trained else "train"
    output.line(f"Go on: spice-tui {verb} {first}   all commands: spice-tui --help")
