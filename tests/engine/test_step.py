"""One step: order of play, shared forward, lazy players, averages, accumulation."""

from flax import nnx
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from vision_gen.engine import defaults
from vision_gen.engine import step as step_lib
from vision_gen.engine.system import Player, System
from vision_gen.errors import InputError


class Duel(System):
    """Two scalars: the critic wants critic * fake small, the maker wants it large."""

    players = ("critic", "maker")

    def __init__(self, config, *, rngs):
        self.critic = nnx.Dict(w=nnx.Param(jnp.asarray(2.0)))
        self.maker = nnx.Dict(w=nnx.Param(jnp.asarray(3.0)))
        self.frozen = nnx.Dict(w=nnx.Param(jnp.asarray(5.0)))

    def forward(self, batch, keys):
        return {"fake": self.maker["w"][...] * self.frozen["w"][...] * batch["x"], "index": keys.size}

    def critic_loss(self, out, batch, keys):
        return {"score": jnp.mean(self.critic["w"][...] * out["fake"])}

    def maker_loss(self, out, batch, keys):
        return {"score": -jnp.mean(self.critic["w"][...] * out["fake"])}


class LazyDuel(Duel):
    players = ("critic", "maker", Player("penalty", modules=("critic",), own_forward=True))

    def penalty_loss(self, out, batch, keys):
        return {"size": self.critic["w"][...] ** 2}


def duel(cls=Duel, **train):
    sgd = dict(b1=0.0, b2=0.0, epsilon=1e12)  # Adam with a vast epsilon is scaled gradient descent.
    players = {name: defaults.player(1e11, **sgd) for name in ("critic", "maker")}
    if cls is LazyDuel:
        players["penalty"] = defaults.player(1e11, every=3, **sgd)
    config = defaults.experiment(
        f"{__name__}.{cls.__name__}",
        data={},
        model=ml_collections.ConfigDict(),
        players=players,
        **{"batch_size": 4, **train},
    )
    graphdef, state = step_lib.init_state(config)
    return config, state, jax.jit(step_lib.make_step(config, graphdef))


BATCH = {"x": jnp.asarray([1.0, 2.0, 3.0, 4.0])}
RATE = 0.1  # Of the gradient descent above.


def weights(state):
    return {name: float(p["w"]) for name, p in state["params"].items()}


def test_a_later_player_is_judged_by_the_players_moved_before():
    _, state, step = duel()
    state, metrics = step(state, BATCH)
    critic = 2 - RATE * 3 * 5 * 2.5
    assert weights(state)["critic"] == pytest.approx(critic, rel=1e-4)
    # The maker's gradient is that of the new critic, through the forward pass with the old maker.
    assert weights(state)["maker"] == pytest.approx(3 + RATE * critic * 5 * 2.5, rel=1e-4)
    assert weights(state)["frozen"] == 5.0
    metrics = metrics.scalars()
    assert metrics["critic/score"] == pytest.approx(2 * 3 * 5 * 2.5)
    assert metrics["maker/score"] == pytest.approx(-critic * 3 * 5 * 2.5, rel=1e-4)


def test_forward_is_traced_once_in_the_step(monkeypatch):
    calls = []
    original = Duel.forward
    monkeypatch.setattr(Duel, "forward", lambda *a: calls.append(1) or original(*a))
    _, state, step = duel()
    step(state, BATCH)
    assert len(calls) == 1


def test_a_frozen_network_has_no_optimizer_state():
    _, state, _ = duel()
    assert set(state["optimizers"]) == {"critic", "maker"}


def test_a_lazy_player_acts_every_third_step_on_the_shared_optimizer():
    _, state, step = duel(LazyDuel)
    assert set(state["optimizers"]) == {"critic", "maker"}
    acted = []
    for _ in range(6):
        state, metrics = step(state, BATCH)
        metrics = metrics.scalars()
        acted.append(metrics["penalty/acted"])
        assert (metrics["penalty/size"] != 0) == bool(acted[-1])
    assert acted == [1, 0, 0, 1, 0, 0]


def test_averages_follow_the_parameters():
    config, _, _ = duel()
    config.players.maker.ema = 0.9
    graphdef, state = step_lib.init_state(config)
    step = jax.jit(step_lib.make_step(config, graphdef))
    expected = 3.0
    for number in range(3):
        state, _ = step(state, BATCH)
        decay = min(0.9, (1 + number) / (10 + number))
        expected += (1 - decay) * (weights(state)["maker"] - expected)
    assert float(state["ema"]["maker"]["maker"]["w"]) == pytest.approx(expected, rel=1e-4)
    assert float(step_lib.ema_params(state)["maker"]["w"]) == pytest.approx(expected, rel=1e-4)


def test_accumulation_equals_the_whole_batch():
    _, state, step = duel()
    whole, metrics = step(state, BATCH)
    _, state, step = duel(accumulate=2)
    parts, part_metrics = step(state, BATCH)
    for name, value in weights(whole).items():
        assert weights(parts)[name] == pytest.approx(value, rel=1e-5)
    assert part_metrics.scalars() == pytest.approx(metrics.scalars(), rel=1e-5)


def test_schedules():
    rate = lambda steps, **k: np.asarray(
        [step_lib.learning_rate(defaults.player(1.0, **k), 100)(s) for s in steps]
    )
    np.testing.assert_allclose(rate([0, 50, 75, 100], schedule="linear"), [1, 1, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(rate([0, 5, 10, 100], schedule="cosine", warmup=10), [0, 0.5, 1, 0], atol=1e-6)
    np.testing.assert_allclose(rate([0, 99]), 1)
    with pytest.raises(InputError, match="schedule"):
        rate([0], schedule="wild")


def test_clipping_bounds_the_update():
    config, _, _ = duel()
    config.players.critic.clip = 0.5
    graphdef, state = step_lib.init_state(config)
    state, _ = jax.jit(step_lib.make_step(config, graphdef))(state, BATCH)
    assert weights(state)["critic"] == pytest.approx(2 - RATE * 0.5, rel=1e-4)
