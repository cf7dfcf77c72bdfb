"""The operations on pods."""

from __future__ import annotations

import asyncio
from pathlib import Path

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.learning.catalog import ALGORITHMS
from spice_engine.operations import operation
from spice_engine.pods.advisor import Advisor
from spice_engine.pods.environments import named_problems
from spice_engine.pods.event_logs import TENSORBOARD
from spice_engine.pods.manifests import MAX_MANIFEST_BYTES, read_manifest
from spice_engine.pods.pod_data import PodData
from spice_engine.pods.service import Pods
from spice_engine.pods.tensorboard import TensorBoards
from spice_engine.protocol.engine import Nothing
from spice_engine.protocol.pods import (
    AddInterpretations,
    FeedInfo,
    FeedList,
    GetInterpretations,
    GetObservations,
    Interpretation,
    Interpretations,
    LintFile,
    Observations,
    Observe,
    Observed,
    OpenTensorBoard,
    PodInfo,
    PodList,
    PodName,
    Problems,
    Recommend,
    Recommendation,
    RewardTestResult,
    RewardTests,
    TensorBoardAddress,
    TrainingId,
    TrainingInfo,
    TrainingList,
    TrainPod,
)
from spice_engine.store.interpretations import InterpretationRow

MAX_EPISODES = 100_000


@operation("pods.list", http="GET /api/v1/pods")
def list_pods(pods: Pods, request: Nothing) -> PodList:
    """List all pods of the folder."""
    return PodList([pods.info(name) for name in pods.names()])


@operation("pods.get", http="GET /api/v1/pods/{pod}")
def get(pods: Pods, request: PodName) -> PodInfo:
    """Tell everything about one pod."""
    return pods.info(request.pod)


@operation("pods.problems", http="GET /api/v1/pods/{pod}/problems")
def problems(pods: Pods, request: PodName) -> Problems:
    """List all findings in a pod's manifest, data and last training."""
    return Problems(pods.get(request.pod).problems)


@operation("pods.feeds", http="GET /api/v1/pods/{pod}/feeds")
def feeds(pods: Pods, request: PodName) -> FeedList:
    """Tell how the live feeds of a pod do."""
    return FeedList(
        [
            FeedInfo(
                dataspace=one.dataspace,
                role=one.role,
                connector=one.connector,
                state=one.state,
                last_ok=one.last_ok,
                last_error=one.last_error,
                last_error_at=one.last_error_at,
                failures=one.failures,
                rows=one.rows,
                bad_rows=one.bad_rows,
                bytes=one.bytes,
            )
            for one in pods.feeds.status(pods.get(request.pod).name)
        ]
    )


@operation("pods.lint", http="POST /api/v1/lint")
async def lint(pods: Pods, request: LintFile) -> Problems:
    """Check a manifest file inside the app folder, whether or not it is a pod of it."""
    root = pods.location.root
    try:
        path = await asyncio.to_thread((root / request.path).resolve)
        if not path.is_relative_to(root):
            raise InvalidRequest(f"{request.path} is outside of the app folder.")
        text = await asyncio.to_thread(_read, path)
    except OSError as error:
        raise NotFound(f"{request.path[:200]} cannot be read: {error.strerror}.") from error
    except (RuntimeError, ValueError) as error:  # a loop of links, a null byte
        raise InvalidRequest(f"{request.path[:200]!r} is no path: {error}.") from error
    manifest, found = await asyncio.to_thread(read_manifest, text, str(path.relative_to(root)))
    more = await named_problems(pods.pools.trainers, root, manifest)
    return Problems([*found, *more])


@operation("pods.train", http="POST /api/v1/pods/{pod}/train")
async def train(pods: Pods, request: TrainPod) -> TrainingInfo:
    """Train a pod now. Answers when the training has begun, with `wait` when it has ended."""
    if request.episodes is not None and not 0 < request.episodes <= MAX_EPISODES:
        raise InvalidRequest(f"episodes: must be between 1 and {MAX_EPISODES}.")
    if request.algorithm and request.algorithm not in ALGORITHMS:
        raise InvalidRequest(
            f"Learning algorithm {request.algorithm[:200]} not found.",
            hint=f"Use one of {', '.join(ALGORITHMS)}.",
        )
    for logger in request.loggers:
        if logger != TENSORBOARD:
            raise InvalidRequest(f"Invalid logger {logger[:200]}", hint=f"There is {TENSORBOARD}.")
    wish = pods.train(request.pod, request.algorithm, request.episodes, request.loggers)
    number = await asyncio.shield(wish.begun)
    if request.wait:
        return await asyncio.shield(wish.done)
    return await pods.trainings.get(request.pod, number)


@operation("pods.trainings", http="GET /api/v1/pods/{pod}/trainings")
async def list_trainings(pods: Pods, request: PodName) -> TrainingList:
    """List the training runs of a pod, oldest first, with their episodes (of many, a spread)."""
    return TrainingList(await pods.trainings.list(pods.get(request.pod).name))


@operation("pods.training", http="GET /api/v1/pods/{pod}/trainings/{number}")
async def get_training(pods: Pods, request: TrainingId) -> TrainingInfo:
    """Tell everything about one training run of a pod; of very many episodes, a spread."""
    if not 0 < request.number < 2**63:
        raise InvalidRequest(f"{request.number} is no training's number.")
    return await pods.trainings.get(pods.get(request.pod).name, request.number)


@operation("pods.tensorboard", http="POST /api/v1/pods/{pod}/tensorboard")
async def tensorboard(boards: TensorBoards, request: OpenTensorBoard) -> TensorBoardAddress:
    """Tell where TensorBoard shows a pod's curves; it is started where it does not run yet."""
    number = request.number
    if number is not None and not 0 < number < 2**63:
        raise InvalidRequest(f"{number} is no training's number.")
    return TensorBoardAddress(await boards.address(request.pod, number))


@operation("pods.recommend", http="GET /api/v1/pods/{pod}/recommendation")
async def recommend(advisor: Advisor, request: Recommend) -> Recommendation:
    """Say which action to take now, or at a time, and how sure that is."""
    return await advisor.recommend(
        request.pod,
        request.time,
        request.alias,
        explain=request.explain,
        state=request.state,
    )


@operation("pods.observe", http="POST /api/v1/pods/{pod}/observations")
async def observe(data: PodData, request: Observe) -> Observed:
    """Take in observations of a pod; what is answered for is on disk."""
    return await data.observe(request)


@operation("pods.observations", http="GET /api/v1/pods/{pod}/observations")
async def get_observations(data: PodData, request: GetObservations) -> Observations:
    """Give the raw rows of a pod: of its files, and all that was posted or streamed."""
    if request.format not in {"csv", "json"}:
        raise InvalidRequest(f"format is csv or json, not {request.format[:40]!r}.")
    if request.limit < 0 or (request.offset or 0) < 0:
        raise InvalidRequest("limit and offset are 0 or more.")
    return await data.observations(request)


@operation("pods.interpretations", http="GET /api/v1/pods/{pod}/interpretations")
async def get_interpretations(data: PodData, request: GetInterpretations) -> Interpretations:
    """List what was said about stretches of a pod's data."""
    rows = await data.interpretations(request.pod, request.start, request.end)
    return Interpretations(
        [
            Interpretation(row.start, row.end, row.name, list(row.actions), list(row.tags))
            for row in rows
        ]
    )


@operation("pods.interpret", http="POST /api/v1/pods/{pod}/interpretations")
async def add_interpretations(data: PodData, request: AddInterpretations) -> Interpretations:
    """Say something about stretches of a pod's data; rewards may read it."""
    rows = [
        InterpretationRow(one.start, one.end, one.name, tuple(one.actions), tuple(one.tags))
        for one in request.interpretations
    ]
    await data.add_interpretations(request.pod, rows)
    return Interpretations(list(request.interpretations))


@operation("pods.reward_tests", http="POST /api/v1/pods/{pod}/reward-tests")
async def reward_tests(data: PodData, request: PodName) -> RewardTests:
    """Run the reward tests of a pod's manifest."""
    results = await data.reward_tests(request.pod)
    return RewardTests(
        [
            RewardTestResult(
                action=one["action"],
                expected=one["expected"],
                passed=one["passed"],
                got=one.get("got"),
                error=one.get("error") or "",
                file=one["place"]["file"],
                line=one["place"]["line"],
            )
            for one in results
        ]
    )


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a pipe would block for ever on open
        raise InvalidRequest(f"{path.name} is no regular file.")
    with path.open("rb") as source:
        return source.read(MAX_MANIFEST_BYTES + 1)
