"""Populations of networks: their gradients, Adam, members by themselves, as a model of a policy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.learning.algorithms.network_model import NetworkModel
from spice_engine.learning.features import Scaling
from spice_engine.learning.model import read_model
from spice_engine.learning.networks import Floats, Networks

pytestmark = pytest.mark.numbers

SIZES = (5, 8, 6, 3)


def numbers(*shape: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def loss(networks: Networks, inputs: Floats, goals: Floats) -> np.ndarray[tuple[int], np.dtype]:
    """Half the squared distance [M] from the goals, in double precision."""
    hidden = inputs.astype(np.float64)
    last = len(networks.weights) - 1
    for layer, (weights, biases) in enumerate(zip(networks.weights, networks.biases, strict=True)):
        hidden = np.matmul(hidden, weights.astype(np.float64)) + biases
        hidden = hidden if layer == last else np.maximum(hidden, 0.0)
    return 0.5 * np.square(hidden - goals).sum(axis=(1, 2))


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    networks = Networks(2, SIZES, np.random.default_rng(0))
    networks.flat += 0.3 * numbers(*networks.flat.shape, seed=2)
    inputs, goals = numbers(2, 7, 5), numbers(2, 7, 3, seed=3)
    layers = networks.forward(inputs)
    gradient = networks.gradient(layers, layers[-1] - goals).copy()
    step = 1e-3
    for place in range(0, networks.flat.shape[1], 7):
        kept = networks.flat[:, place].copy()
        networks.flat[:, place] = kept + step
        above = loss(networks, inputs, goals)
        networks.flat[:, place] = kept - step
        below = loss(networks, inputs, goals)
        networks.flat[:, place] = kept
        slope = (above - below) / (2 * step)
        assert gradient[:, place] == pytest.approx(slope, rel=0.02, abs=0.02)


def train(networks: Networks, inputs: Floats, goals: Floats, steps: int) -> None:
    for _ in range(steps):
        for some in networks.blocks(inputs.shape[1]):
            layers = networks.forward(inputs[some], some)
            outward = (layers[-1] - goals[some]) / np.float32(inputs.shape[1])
            networks.descend(networks.gradient(layers, outward, some), 0.01, 10.0, some)


def test_members_learn_as_each_would_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spice_engine.learning.networks._BLOCK", 2 * 7 * 8)
    together = Networks(5, SIZES, np.random.default_rng(0))
    inputs, goals = numbers(5, 7, 5), numbers(5, 7, 3, seed=3)
    alone = Networks(1, SIZES, np.random.default_rng(9))
    alone.flat[0] = together.flat[3]
    assert len(list(together.blocks(7))) == 3
    train(together, inputs, goals, 20)
    train(alone, inputs[3:4], goals[3:4], 20)
    assert together.flat[3] == pytest.approx(alone.flat[0], abs=1e-5)
    assert loss(together, inputs, goals).max() < loss(together.copy(), inputs, goals + 1).min()


def test_adam_goes_as_in_its_paper() -> None:
    networks = Networks(1, (2, 2), np.random.default_rng(0))
    expected = networks.flat[0].astype(np.float64)
    mean, square = np.zeros(6), np.zeros(6)
    for step in range(1, 6):
        gradient = numbers(1, 6, seed=step)
        mean = 0.9 * mean + 0.1 * gradient[0]
        square = 0.999 * square + 0.001 * gradient[0].astype(np.float64) ** 2
        move = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        expected -= 0.01 * move
        networks.descend(gradient, 0.01, 100.0)
    assert networks.flat[0] == pytest.approx(expected, rel=1e-4)


def test_long_gradients_are_shortened() -> None:
    networks, same = (Networks(2, (2, 2), np.random.default_rng(0)) for _ in range(2))
    one, two = numbers(2, 6), numbers(2, 6)
    two[1] *= 1e6
    networks.descend(one, 0.01, 1e-3)
    same.descend(two, 0.01, 1e-3)
    assert np.linalg.norm(two[1]) == pytest.approx(1e-3, rel=1e-3)
    assert networks.flat == pytest.approx(same.flat, rel=1e-4)


def test_what_comes_out_gives_the_values_of_what_learned() -> None:
    networks = Networks(3, (5, 8, 4), np.random.default_rng(0))
    inputs = numbers(7, 5)
    outputs = networks.forward(inputs)[-1]
    values = networks.network().values(inputs.astype(np.float64))
    assert values == pytest.approx(outputs.mean(axis=0), abs=1e-5)
    leads = outputs[..., :-1]
    levelled = leads - leads.mean(axis=2, keepdims=True) + outputs[..., -1:]
    values = networks.network(leads=True).values(inputs.astype(np.float64))
    assert values == pytest.approx(levelled.mean(axis=0), abs=1e-5)
    scaled = networks.network().scaled(2.0, np.arange(4.0)).values(inputs.astype(np.float64))
    assert scaled == pytest.approx(2.0 * outputs.mean(axis=0) + np.arange(4.0), abs=1e-5)


def test_a_target_goes_part_of_the_way() -> None:
    online = Networks(1, SIZES, np.random.default_rng(0))
    target = Networks(1, SIZES, np.random.default_rng(1))
    before = target.flat.copy()
    target.follow(online, 0.25)
    assert target.flat == pytest.approx(before + 0.25 * (online.flat - before), abs=1e-6)
    target.follow(online, 1.0)
    assert (target.flat == online.flat).all()


def test_learning_that_went_astray_is_told() -> None:
    networks = Networks(1, SIZES, np.random.default_rng(0))
    networks.flat[0, 3] = np.inf
    with pytest.raises(InvalidRequest, match="no finite numbers"):
        networks.network()


def test_networks_that_would_fill_the_memory_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="too large"):
        Networks(64, (256, 1024, 1024, 3), np.random.default_rng(0))


def model() -> NetworkModel:
    networks = Networks(2, (4, 6, 3), np.random.default_rng(0))
    networks.weights[0][:, 1] = 0.0
    raw = numbers(50, 4, seed=5).astype(np.float64) * 10 + 3
    return NetworkModel(networks.network(), Scaling.of(raw))


def test_the_model_is_read_back_to_the_bit() -> None:
    one = model()
    again = read_model("network", one.to_content(), 4, 3)
    raw = numbers(9, 4, seed=6).astype(np.float64)
    assert (again.values(raw) == one.values(raw)).all()
    plain = NetworkModel(one.network)
    assert (read_model("network", plain.to_content(), 4, 3).values(raw) == plain.values(raw)).all()
    for features, actions in ((5, 3), (4, 2)):
        with pytest.raises(ValueError):  # noqa: PT011 - NumPy says it in its own words
            read_model("network", one.to_content(), features, actions)
    for change in ({"members": 0}, {"members": "2"}, {"hidden": [6, 6]}, {"weights": []}):
        with pytest.raises(ValueError):  # noqa: PT011
            read_model("network", one.to_content() | change, 4, 3)


def test_contributions_are_what_the_lead_loses_without_a_feature() -> None:
    one = model()
    assert one.scaling is not None
    raw = numbers(4, seed=7).astype(np.float64) * 10
    shares = one.contributions(raw, 0, 2)
    assert shares[1] == 0.0  # nothing looks at it
    values = one.values(raw[None])[0]
    for place in range(4):
        hidden = raw.copy()
        hidden[place] = one.scaling.mean[place]
        without = one.values(hidden[None])[0]
        expected = (values[0] - values[2]) - (without[0] - without[2])
        assert shares[place] == pytest.approx(expected, abs=1e-9)
    assert one.rule(raw, ("a", "b", "c", "d")) == ()


def test_the_rows_of_large_tables_go_in_blocks() -> None:
    one = model()
    raw = numbers(5_000, 4, seed=8).astype(np.float64)
    parts = [one.values(part) for a, b in pairwise((0, 1, 4_096, 5_000)) for part in [raw[a:b]]]
    assert one.values(raw) == pytest.approx(np.concatenate(parts), rel=1e-12)
