"""`dql` where it is known what every action would do: no acting, all outcomes of every state.

As `dql` otherwise: batches are drawn from states, a network moves towards reward plus discounted
value of the best that follows, by a copy that is renewed now and then (Riedmiller 2005, "Neural
fitted Q iteration"). What all actions of a state have in common, its level, is learned apart from
their leads (Wang et al. 2016) and counts the less the more it varies: mostly it is chance that no
action has a part in, and would drown the leads.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spice_engine.learning.algorithms.acting import Floats, best, mask
from spice_engine.learning.algorithms.losses import Learned, Losses, mean_square
from spice_engine.learning.environments.environment import Mask
from spice_engine.learning.hyperparameters import Dql
from spice_engine.learning.networks import MakeNetworks, Network, Networks
from spice_engine.learning.task import Check
from spice_engine.records import record


@record
class Outcomes:
    """N states: `observations` [N, D]; for each action `rewards` [N, A], what `following` [N, A, D]
    is seen then, `lawful` [N, A], and what is lawful then, `later` [N, A, A], at least one of each.

    `level` is the weight of an error in a state's level, 1 being that of an error in a lead.
    """

    observations: Floats
    rewards: Floats
    following: Floats
    lawful: Mask
    later: Mask
    level: float


def learn(
    outcomes: Outcomes,
    settings: Dql,
    seed: int,
    check: Check,
    start: Network | None = None,
    make: MakeNetworks = Networks,
) -> Iterator[Learned]:
    """After every `updates` gradient steps the network of the moment, without end.

    It goes on from `start`, where that is of the same shape; `make` says where networks compute.
    """
    chance = np.random.default_rng([seed, 24])
    count, actions = outcomes.rewards.shape
    sizes = (outcomes.observations.shape[1], *settings.hidden, actions + 1)
    online = make(settings.members, sizes, chance)
    if start is not None:
        online.resume(start)
    target, mean, updates, losses = online.copy(), online.copy(), 0, Losses()
    while True:
        check()
        drawn = chance.integers(0, count, (settings.members, settings.batch))
        loss = 0.0
        for some in online.blocks(settings.batch * actions):
            loss += _update(online, target, outcomes, drawn[some], some, settings)
        losses.add(td=loss / settings.members)
        updates += 1
        mean.follow(online, max(settings.averaging, 1.0 / updates))
        if updates % settings.target == 0:
            target.follow(online, 1.0)
        if updates % settings.updates == 0:
            yield Learned(mean.network(leads=True), losses.take())


def _update(
    online: Networks,
    target: Networks,
    outcomes: Outcomes,
    drawn: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    some: slice,
    settings: Dql,
) -> float:
    """One gradient step of some members, each on the states [m, B] drawn for it.

    What they err by: mean squares of leads, and of levels by their weight, summed over the members.
    """
    rewards, lawful = outcomes.rewards[drawn], outcomes.lawful[drawn]
    if settings.gamma:
        ahead = _ahead(online, target, outcomes, drawn, some, settings)
        rewards = rewards + np.float32(settings.gamma) * ahead
    layers = online.forward(outcomes.observations[drawn], some)
    outputs = layers[-1]
    leads = outputs[..., :-1]
    values = leads - leads.mean(axis=2, keepdims=True) + outputs[..., -1:]
    # Unlawful actions are never asked for, so they shall not shape what is learned.
    known = lawful.astype(np.float32)
    share = known / known.sum(axis=2, keepdims=True)
    errors = (values - rewards) * known
    level = (errors * share).sum(axis=2, keepdims=True)
    apart = (errors - level) * known
    loss = mean_square(apart) * apart.size / float(known.sum())
    loss += outcomes.level * mean_square(level)
    outward = apart + np.float32(outcomes.level) * level * share
    outward /= np.float32(drawn.shape[1])
    total = outward.sum(axis=2, keepdims=True)
    outward = np.concatenate([outward - total / outward.shape[2], total], axis=2)
    online.step(layers, outward, settings.learning_rate, settings.clip, settings.decay, some)
    return loss * len(drawn)


def _ahead(
    online: Networks,
    target: Networks,
    outcomes: Outcomes,
    drawn: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    some: slice,
    settings: Dql,
) -> Floats:
    """What the states that follow each action are worth [m, B, A]."""
    members, batch = drawn.shape
    following = outcomes.following[drawn]
    actions, features = following.shape[2:]
    inputs = following.reshape(members, batch * actions, features)
    later = outcomes.later[drawn]

    def values(networks: Networks) -> Floats:
        outputs = networks.forward(inputs, some)[-1].reshape(members, batch, actions, actions + 1)
        leads = outputs[..., :-1]
        return mask(leads - leads.mean(axis=3, keepdims=True) + outputs[..., -1:], later)

    theirs = values(target)
    if not settings.double:
        return best(theirs)
    picked = values(online).argmax(axis=3)
    return np.take_along_axis(theirs, picked[..., None], axis=3)[..., 0]
