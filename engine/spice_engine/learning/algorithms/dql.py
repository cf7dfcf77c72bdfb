"""`dql`: deep Q-learning (Mnih et al. 2015, "Human-level control through deep RL").

A network values every action. It acts greedily but for a falling share of actions by chance,
remembers what came of it, and at each gradient step draws some of that and moves its values
towards

    reward + gamma * Q'(next state, its best action)

where Q' is a copy that is renewed now and then. With `double` (van Hasselt et al. 2016, "Deep RL
with double Q-learning") the network itself says which action is the best and the copy values it,
for the highest of noisy values is too high. With `n_steps` n the rewards of n steps are added up
before the value of the state after them (Sutton 1988). With `dueling` (Wang et al. 2016, "Dueling
network architectures") a state's value is learned apart from the leads of its actions.

What comes out is a running mean of the networks (Polyak & Juditsky 1992), which is steadier.

Where every action's reward is known and nothing that is done changes what comes, all actions are
learned from at every step: `all_actions`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spice_engine.learning.algorithms.acting import Floats, Pace, best, by_chance, mask
from spice_engine.learning.algorithms.losses import Learned, Losses, mean_square
from spice_engine.learning.algorithms.memory import Memory, Sample
from spice_engine.learning.environments.environment import Environment, Mask, Matrix
from spice_engine.learning.hyperparameters import Dql
from spice_engine.learning.networks import MakeNetworks, Network, Networks
from spice_engine.learning.task import Check


def learn(
    environment: Environment,
    settings: Dql,
    seed: int,
    check: Check,
    start: Network | None = None,
    make: MakeNetworks = Networks,
) -> Iterator[Learned]:
    """After every `updates` gradient steps the network of the moment, without end.

    It goes on from `start`, where that is of the same shape; `make` says where networks compute.
    """
    chance = np.random.default_rng([seed, 21])
    actions, dueling = environment.actions, settings.dueling
    sizes = (environment.features, *settings.hidden, actions + dueling)
    online = make(settings.members, sizes, chance)
    if start is not None:
        online.resume(start)
    target, mean = online.copy(), online.copy()
    observations = environment.reset(seed)
    # All actions can be learned from only where the one taken makes no difference to what comes.
    every = settings.all_actions and settings.gamma == 0 and environment.all_rewards() is not None
    memory = Memory(
        settings.memory,
        environment.features,
        actions,
        gamma=settings.gamma,
        horizon=settings.n_steps,
        every=every,
    )
    pace = Pace(environment.lanes, settings.batch, settings.replay, settings.warm_up)
    exploration, updates, losses = settings.exploration, 0, Losses()
    allowed = environment.lawful()
    while True:
        check()
        chosen = by_chance(environment.lanes, actions, allowed, chance)
        if not every:
            greedy = chance.random(environment.lanes) >= exploration
            if greedy.any():
                values = mask(_values(online, observations, dueling), allowed)
                chosen[greedy] = values.argmax(axis=1)[greedy]
            exploration = max(settings.exploration_end, exploration * settings.exploration_decay)
        rewards = environment.all_rewards() if every else None
        step = environment.step(chosen)
        before, allowed = allowed, environment.lawful()
        memory.add(observations, chosen, step, rewards, allowed, before)
        observations = step.observations
        for _ in range(pace.due() if memory.count else 0):
            check()
            sample = memory.sample(settings.members, settings.batch, chance)
            losses.add(td=update(online, target, sample, settings))
            updates += 1
            mean.follow(online, max(settings.averaging, 1.0 / updates))
            if updates % settings.target == 0:
                target.follow(online, 1.0)
            if updates % settings.updates == 0:
                yield Learned(mean.network(leads=dueling), losses.take())


def update(online: Networks, target: Networks, sample: Sample, settings: Dql) -> float:
    """One gradient step of every member on its part of the sample; the mean squared error of it."""
    batch, loss = sample.taken.shape[1], 0.0
    share = np.float32(1.0 / batch)
    for some in online.blocks(batch):
        goals = sample.rewards[some]
        if sample.following is not None:
            goals = goals + sample.discounts[some] * _ahead(online, target, sample, some, settings)
        layers = online.forward(sample.observations[some], some)
        outputs = layers[-1]
        values = _levelled(outputs) if settings.dueling else outputs
        if sample.every is not None:
            errors = values - sample.every[some]
            outward: Floats = errors * share
        else:
            places = sample.taken[some][..., None]
            errors = np.take_along_axis(values, places, axis=2) - goals[..., None]
            outward = np.zeros_like(values)
            np.put_along_axis(outward, places, errors * share, axis=2)
        loss += mean_square(errors) * len(errors) / online.members
        if settings.dueling:
            total = outward.sum(axis=2, keepdims=True)
            outward = np.concatenate([outward - total / outward.shape[2], total], axis=2)
        online.step(layers, outward, settings.learning_rate, settings.clip, settings.decay, some)
    return loss


def _ahead(
    online: Networks, target: Networks, sample: Sample, some: slice, settings: Dql
) -> Floats:
    """What the next states are worth [m, B]."""
    assert sample.following is not None
    following = sample.following[some]
    allowed: Mask | None = None if sample.allowed is None else sample.allowed[some]

    def values(networks: Networks) -> Floats:
        outputs = networks.forward(following, some)[-1]
        return mask(_levelled(outputs) if settings.dueling else outputs, allowed)

    theirs = values(target)
    if not settings.double:
        return best(theirs)
    picked = values(online).argmax(axis=2)
    return np.take_along_axis(theirs, picked[..., None], axis=2)[..., 0]


def _values(networks: Networks, observations: Matrix, dueling: bool) -> Floats:
    """Values [N, A], the means over the members."""
    outputs = networks.forward(observations.astype(np.float32))[-1]
    values = _levelled(outputs) if dueling else outputs
    return values[0] if len(values) == 1 else values.mean(axis=0)


def _levelled(outputs: Floats) -> Floats:
    """Values [m, N, A] of leads and, last, the value of the state [m, N, A + 1]."""
    leads = outputs[..., :-1]
    return leads - leads.mean(axis=2, keepdims=True) + outputs[..., -1:]
