"""A package that is started as JupyterLab is, and answers as its server does."""

from __future__ import annotations

from pathlib import Path

SERVER = """
import http.server, json, os, sys, time
from pathlib import Path

port = next(int(word.partition("=")[2]) for word in sys.argv if "ServerApp.port=" in word)
token = Path(os.environ["JUPYTER_TOKEN_FILE"]).read_text()
say = Path("say.json")
if Path("die").exists():
    sys.exit("the configuration cannot be read")
terminals = []
if Path("terminal").exists():
    # As Jupyter has them: a shell that leads its session, and what somebody began in it.
    import pty
    terminals.append(pty.fork())
    if not terminals[0][0]:
        os.execlp("sh", "sh", "-c", "(touch works; exec cat terminal); :")
    while not Path("works").exists():
        time.sleep(0.01)
print("sees", sorted(os.listdir(".")), os.environ.get("COLOR"), flush=True)


def stamp(ago):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - ago))


class Door(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = json.loads(say.read_text()) if say.exists() else {"ago": 0, "kernels": {}}
        if self.headers["Authorization"] != "token " + token:
            return self.answer(403, {})
        if told.get("broken"):
            return self.answer(500, {})
        if self.path == "/api/status":
            return self.answer(200, {"last_activity": stamp(told["ago"])})
        if self.path.startswith("/api/terminals") and terminals:
            return self.answer(200, [{"last_activity": stamp(told["ago"])}])
        if self.path.startswith("/api/kernels"):
            kernels = [
                {"id": name, "execution_state": state, "last_activity": stamp(told["ago"])}
                for name, state in told["kernels"].items()
            ]
            return self.answer(200, kernels)
        self.answer(404, {})

    def do_DELETE(self):
        told = json.loads(say.read_text())
        del told["kernels"][self.path.split("/")[-1].split("?")[0]]
        say.with_suffix(".new").write_text(json.dumps(told))
        say.with_suffix(".new").rename(say)
        self.answer(204, None)

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        if body is not None:
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, *words):
        pass


http.server.HTTPServer(("127.0.0.1", port), Door).serve_forever()
"""


def notebook_package(folder: Path) -> Path:
    """Put it into a folder; gives what belongs on PYTHONPATH."""
    package = folder / "lib" / "jupyterlab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(SERVER)
    return package.parent
