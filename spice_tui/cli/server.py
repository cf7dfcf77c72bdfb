"""`server`: stand models up behind HTTP, change them without a pause, and look at them."""

from __future__ import annotations

from spice_tui.cli import (
    server_apply,
    server_control,
    server_dev,
    server_logs,
    server_metrics,
    server_parts,
    server_predict,
    server_serve,
    server_show,
)
from spice_tui.cli.command_file import FileCommand
from spice_tui.cli.groups import group

app = group("Serve models over HTTP, and look after their servers.")

for name, command in {
    "serve": server_serve.serve,
    "update": server_serve.update,
    "list": server_show.list_servers,
    "describe": server_show.describe,
    "status": server_show.status,
    "logs": server_logs.logs,
    "start": server_control.start,
    "stop": server_control.stop,
    "rm": server_control.remove,
    "rollback": server_control.rollback,
    "predict": server_predict.predict,
    "healthcheck": server_predict.healthcheck,
    "download-metrics": server_metrics.download_metrics,
    "render": server_apply.render,
    "apply": server_apply.apply,
    "dev": server_dev.dev,
}.items():
    settings = {"ignore_unknown_options": True} if name in {"predict", "healthcheck"} else None
    app.command(name, cls=FileCommand, context_settings=settings)(command)

app.add_typer(server_parts.models, name="models")
app.add_typer(server_parts.mounts, name="mounts")
