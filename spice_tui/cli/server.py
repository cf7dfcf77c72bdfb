"""`server`: stand models up behind HTTP, change them without a pause, and look at them."""

from __future__ import annotations

from spice_tui.cli.groups import group
from spice_tui.cli.lazy import Entry

COMMANDS = {
    "serve": Entry("server_serve", "serve", "Stand a server up.", files=True),
    "update": Entry("server_serve", "update", "Roll out a new version.", files=True),
    "list": Entry("server_show", "list_servers", "List the servers.", files=True),
    "describe": Entry("server_show", "describe", "Show everything about a server.", files=True),
    "status": Entry("server_show", "status", "List the pods of a server.", files=True),
    "logs": Entry("server_logs", "logs", "Print what a server's pods wrote.", files=True),
    "start": Entry("server_control", "start", "Start a stopped server.", files=True),
    "stop": Entry("server_control", "stop", "Stop a server.", files=True),
    "rm": Entry("server_control", "remove", "Remove a stopped server.", files=True),
    "rollback": Entry("server_control", "rollback", "Roll out an earlier version.", files=True),
    "predict": Entry("server_predict", "predict", "Send a server a payload.", files=True),
    "healthcheck": Entry(
        "server_predict", "healthcheck", "Ask a server for its health.", files=True
    ),
    "models": Entry("server_parts", "models", "Add models to a server, and take them away."),
    "mounts": Entry("server_parts", "mounts", "Add mounts to a server, and take them away."),
    "download-metrics": Entry(
        "server_metrics", "download_metrics", "Write a server's metrics as CSV.", files=True
    ),
    "grafana": Entry("server_grafana", "grafana", "Write a Grafana dashboard of servers."),
    "render": Entry("server_apply", "render", "Print a server's definition as YAML.", files=True),
    "apply": Entry("server_apply", "apply", "Make the servers what files say.", files=True),
    "dev": Entry("server_dev", "dev", "Serve a file while it is written.", files=True),
}

app = group("Serve models over HTTP, and look after their servers.", COMMANDS)
