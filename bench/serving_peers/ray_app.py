"""The workloads behind Ray Serve: `WORK=echo|mlp PORT=… python ray_app.py`."""

import os
import signal
import time

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
import work
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

WORK = os.environ.get("WORK", "echo")


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.1})
class Deployment:
    def __init__(self) -> None:
        self.mlp = work.Mlp()

    async def __call__(self, request: Request) -> JSONResponse:
        if request.url.path == "/health":
            return JSONResponse({"status": "ok"})
        payload = await request.json()
        return JSONResponse(self.mlp.one(payload) if WORK == "mlp" else work.echo(payload))


if __name__ == "__main__":
    ray.init(address="local", num_cpus=4, include_dashboard=False, object_store_memory=200_000_000)
    logging = {"enable_access_log": False, "log_level": "WARNING"}
    options = {"host": "127.0.0.1", "port": int(os.environ["PORT"])}
    serve.start(http_options=options, logging_config=logging)
    serve.run(Deployment.bind(), route_prefix="/")
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    while not ended:
        time.sleep(0.1)
    serve.shutdown()
    ray.shutdown()
