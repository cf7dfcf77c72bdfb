"""`server predict` and `server healthcheck`: ask a server something, through the engine or curl."""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import sys
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidSettings, NotFound
from spice_tui.cli import output, server_files
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.server_arguments import ServerArgument
from spice_tui.cli.session import session_of

SECONDS = 3600.0
"""The server's own deadline comes before."""

CurlArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CURL_ARGS", help="After --: ask with curl, and give it these.", show_default=False
    ),
]
Curl = Annotated[
    bool, typer.Option("--curl", help="Print the curl command that asks the same, and leave.")
]


def predict(
    ctx: typer.Context,
    server: ServerArgument,
    curl_args: CurlArguments = None,
    *,
    payload: Annotated[
        str,
        typer.Option(
            "--json", "-j", metavar="JSON|FILE", help="The payload: JSON, @FILE or FILE, or -."
        ),
    ] = "{}",
    curl: Curl = False,
) -> None:
    """Send a payload to a server and print its answer, as it comes."""
    _ask(ctx, server, "predict", body_of(payload), curl_args or [], curl=curl)


def healthcheck(
    ctx: typer.Context,
    server: ServerArgument,
    curl_args: CurlArguments = None,
    *,
    curl: Curl = False,
) -> None:
    """Ask a server for its health."""
    _ask(ctx, server, "health", None, curl_args or [], curl=curl)


def body_of(text: str) -> Any:
    """The payload that a text is, or that the file holds which it names.

    Raises:
        InvalidSettings: it is no JSON, nor such a file.
    """
    if text == "-":
        read, where = sys.stdin.read(), "standard input"
    elif text.startswith("@"):
        read, where = server_files.text(text[1:], "--json"), text[1:]
    else:
        read, where = text, "--json"
        if not _is_json(text) and len(text) < 4096 and os.path.isfile(text):  # noqa: PTH113
            read, where = server_files.text(text, "--json"), text
    try:
        return json.loads(read)
    except (ValueError, RecursionError) as error:
        raise InvalidSettings(f"{where}: that is no JSON: {error}.") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _ask(
    ctx: typer.Context, server: str, path: str, body: Any, extra: list[str], *, curl: bool
) -> None:
    if extra and not extra[0].startswith("-"):
        raise InvalidSettings(
            f"{extra[0][:80]!r} is no option of curl.",
            hint="Give the payload with --json; options of curl come after --.",
        )
    with session_of(ctx).connect() as client:
        if curl or extra:
            _curl(client.call("servers.get", {"server": server}), path, body, extra, show=curl)
            return
        request = {"server": server, "payload": body, "path": path}
        answer = client.call("servers.predict", request, timeout=SECONDS)
    _show(answer)
    if answer["status"] >= 400:
        raise typer.Exit(ExitCode.FAILED)


def _show(answer: dict[str, Any]) -> None:
    """The body as it is; on a terminal with what a person would miss."""
    good = answer["status"] < 400
    if not good or sys.stderr.isatty():
        text = f"{answer['status']} {answer['content_type']} in {answer['ms']:.1f} ms"
        output.error_line(output.paint(text, "dim" if good else "red", stream=sys.stderr))
    if answer["binary"]:
        body = base64.b64decode(answer["body"])
        if output.is_terminal():
            output.line(f"{len(body)} bytes of {answer['content_type']}; not shown.")
        else:
            output.flush()
            sys.stdout.buffer.write(body)
            sys.stdout.buffer.flush()
        return
    # A terminal gets no control characters of a server's; a pipe gets what was sent.
    output.write(_visible(answer["body"]) if output.is_terminal() else answer["body"])
    if output.is_terminal() and not answer["body"].endswith("\n"):
        output.write("\n")


def _visible(text: str) -> str:
    return "\n".join(output.safe(line) for line in text.split("\n"))


def curl_command(details: dict[str, Any], path: str, body: Any) -> list[str]:
    """The command line that asks a server the same; with its token, where callers need one."""
    url = details["info"]["url"]
    if path != "predict":
        url = url.removesuffix("predict") + path
    command = ["curl", "--silent", "--show-error", url]
    if details["definition"]["door"]["auth"] == "token":
        command += ["--header", f"Authorization: Bearer {details['token']}"]
    if path == "predict":
        command += ["--header", "Content-Type: application/json"]
        command += ["--data-binary", json.dumps(body, ensure_ascii=False)]
    return command


def _curl(details: dict[str, Any], path: str, body: Any, extra: list[str], *, show: bool) -> None:
    command = curl_command(details, path, body)
    if show:
        output.line(shlex.join([*command, *extra]))
        return
    if shutil.which("curl") is None:
        raise NotFound("there is no curl on this machine.", hint="Leave out what follows --.")
    output.flush()
    os.execvp("curl", [*unseen(command), *extra])


def unseen(command: list[str]) -> list[str]:
    """The command with the token in a pipe that it inherits: others of this machine see words."""
    return [_in_pipe(word) if word.startswith("Authorization: ") else word for word in command]


def _in_pipe(text: str) -> str:
    reading, writing = os.pipe()
    os.write(writing, f"{text}\n".encode())
    os.close(writing)
    os.set_inheritable(reading, True)
    return f"@/dev/fd/{reading}"
