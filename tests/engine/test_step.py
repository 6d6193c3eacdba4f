"""One step: order of play, shared forward, rates, lazy players, averages, running state, accumulation."""

import dataclasses

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vision_gen.engine import defaults, optimizers
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine.experiment import Experiment
from vision_gen.engine.system import Player, System
from vision_gen.errors import InputError

DESCENT = dict(optimizer="sgd()")
RATE = 0.1


class Duel(System):
    """Two scalars: the critic wants critic * fake small, the maker wants it large."""

    players = ("critic", "maker")

    def __init__(self, experiment, *, rngs):
        self.critic = nnx.Dict(w=nnx.Param(jnp.asarray(2.0)))
        self.maker = nnx.Dict(w=nnx.Param(jnp.asarray(3.0)))
        self.frozen = nnx.Dict(w=nnx.Param(jnp.asarray(5.0)), seen=nnx.BatchStat(jnp.zeros(())))

    def forward(self, batch, now):
        self.frozen["seen"][...] += 1
        return {"fake": self.maker["w"][...] * self.frozen["w"][...] * batch["x"], "index": now.keys.size}

    def critic_loss(self, out, batch, now):
        return {"score": jnp.mean(self.critic["w"][...] * out["fake"])}

    def maker_loss(self, out, batch, now):
        return {"score": -jnp.mean(self.critic["w"][...] * out["fake"])}


class PenalisedDuel(Duel):
    """A further player of the critic's parameters."""

    players = ("critic", "maker", Player("penalty", modules=("critic",), forward="own"))

    def penalty_loss(self, out, batch, now):
        return {"size": self.critic["w"][...] ** 2}


class LazyDuel(PenalisedDuel):
    players = ("critic", "maker", Player("penalty", modules=("critic",), forward="none", lazy=True))


class AccompaniedDuel(Duel):
    """A tuner of what the maker makes moves in its turn."""

    players = ("critic", "maker", Player("penalty", turn="maker"))

    def __init__(self, experiment, *, rngs):
        super().__init__(experiment, rngs=rngs)
        self.penalty = nnx.Dict(w=nnx.Param(jnp.asarray(0.5)))

    def forward(self, batch, now):
        out = super().forward(batch, now)
        return {**out, "fake": self.penalty["w"][...] * out["fake"]}


def duel(cls=Duel, players=(), **train):
    settings = {
        player: defaults.player(**{"learning_rate": RATE, **DESCENT, **dict(players).get(player, {})})
        for player in ("critic", "maker", "penalty")[: len(cls.players)]
    }
    config = defaults.experiment(f"{__name__}.{cls.__name__}", players=settings, **{"batch_size": 4, **train})
    experiment = Experiment(config)
    graphdef, state = states.init_state(experiment)
    return experiment, state, jax.jit(step_lib.make_step(experiment, graphdef))


BATCH = {"x": jnp.asarray([1.0, 2.0, 3.0, 4.0])}


def weights(state):
    return {name: float(p["w"]) for name, p in state["params"].items()}


def history(state, step, count, batch=BATCH):
    """[(metrics, weights)] of so many steps, and the last state."""
    found = []
    for _ in range(count):
        state, metrics = step(state, batch)
        found.append((metrics.scalars(), weights(state)))
    return found, state


def test_a_later_player_is_judged_by_the_players_moved_before():
    _, state, step = duel()
    state, metrics = step(state, BATCH)
    critic = 2 - RATE * 3 * 5 * 2.5
    assert weights(state)["critic"] == pytest.approx(critic, rel=1e-4)
    # The maker's gradient is that of the new critic, through the forward pass with the old maker.
    assert weights(state)["maker"] == pytest.approx(3 + RATE * critic * 5 * 2.5, rel=1e-4)
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


def test_a_frozen_network_keeps_parameters_and_running_state_and_has_no_optimizer():
    experiment, state, step = duel()
    assert set(state["optimizers"]) == {"critic", "maker"}
    state, _ = step(state, BATCH)
    assert weights(state)["frozen"] == 5.0 and float(state["rest"]["frozen"]["seen"]) == 0.0
    kept, frozen = states.split(experiment, state)
    assert "frozen" not in kept["params"] | kept["rest"]
    assert float(frozen["frozen"]["params"]["w"]) == 5.0
    assert jax.tree.structure(states.joined(kept, frozen)) == jax.tree.structure(state)


def test_rates_follow_the_run_for_a_player_that_seldom_acts():
    """Of 20 steps, "linear" falls from step 10 on: a half at step 15, whatever a player has done by then."""
    _, state, step = duel(players={"maker": dict(every=5, schedule="linear")}, steps=20)
    found, _ = history(state, step, 20)
    rates = [m["maker/learning_rate"] / RATE for m, _ in found if m["maker/acted"]]
    np.testing.assert_allclose(rates, [1, 1, 1, 0.5], rtol=1e-5)
    # Each move is the rate times the gradient, which the metrics hold.
    before = 3.0
    for metrics, after in found:
        moved = abs(after["maker"] - before)
        assert moved == pytest.approx(metrics["maker/learning_rate"] * metrics["maker/gradient_norm"], rel=1e-3, abs=1e-5)
        before = after["maker"]


def test_players_that_share_modules_have_rates_and_clips_of_their_own():
    settings = {"penalty": dict(learning_rate=0.01, clip=1.0, schedule="cosine")}
    _, state, step = duel(PenalisedDuel, settings, steps=10)
    assert set(state["optimizers"]) == {"critic", "maker"}
    found, _ = history(state, step, 6)
    for number, (metrics, _) in enumerate(found):
        assert metrics["critic/learning_rate"] == pytest.approx(RATE)
        assert metrics["penalty/learning_rate"] == pytest.approx(0.005 * (1 + np.cos(np.pi * number / 10)), rel=1e-5)
    first = 2 - RATE * 3 * 5 * 2.5
    # The critic is -1.75 by then: the gradient of its square, -3.5, is clipped to -1.
    assert found[0][1]["critic"] == pytest.approx(first + 0.01 * 1.0, rel=1e-5)


@pytest.mark.parametrize("field,value", [("b1", 0.7), ("optimizer", "sgd(momentum=0.5)"), ("ema_half_life", 3.0)])
def test_what_shared_moments_cannot_have_twice_is_refused(field, value):
    players = {"critic": dict(optimizer="adam"), "penalty": dict(optimizer="adam") | {field: value}}
    with pytest.raises(InputError, match=rf"config.players.penalty.{field} is .* shares the optimizer of critic with critic"):
        duel(PenalisedDuel, players)


def test_a_lazy_regulariser_corrects_rate_and_betas_and_weighs_its_loss():
    """Karras et al. 2020, appendix B: with k = 4, 4/5 of the rate and betas to the power of 4/5."""
    adam = dict(optimizer="adam", b1=0.5, b2=0.9, learning_rate=0.01)
    players = {"critic": adam, "penalty": dict(adam, every=4)}
    _, state, step = duel(LazyDuel, players)
    found, _ = history(state, step, 5)
    for metrics, _ in found:
        assert metrics["critic/learning_rate"] == pytest.approx(0.008)
        assert metrics["maker/learning_rate"] == pytest.approx(RATE)
    assert [m["penalty/acted"] for m, _ in found] == [1, 0, 0, 0, 1]
    # The same by optax: both players' gradients through one Adam.
    transform = optax.scale_by_adam(0.5**0.8, 0.9**0.8, 1e-8)
    critic, maker, moments = jnp.asarray(2.0), 3.0, transform.init(jnp.asarray(2.0))
    for number in range(5):
        gradients = [maker * 5 * 2.5]
        direction, moments = transform.update(jnp.asarray(gradients[0]), moments)
        critic = critic - 0.008 * direction
        maker = maker + RATE * float(critic) * 5 * 2.5
        if number % 4 == 0:
            direction, moments = transform.update(4 * 2 * critic, moments)
            critic = critic - 0.008 * direction
        assert found[number][1]["critic"] == pytest.approx(float(critic), rel=1e-4)


class JoinedDuel(PenalisedDuel):
    """The penalty is a part of the critic's loss at every third step."""

    players = ("critic", "maker", Player("penalty", modules=("critic",), forward="none", joins="critic"))


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("programs", [False, True], ids=["branches", "programs"])
def test_a_player_that_joins_another_is_one_move_with_it(programs, accumulate):
    adam = dict(optimizer="adam", b1=0.5, b2=0.9, learning_rate=0.01, clip=40.0)
    players = dict(critic=adam, maker=DESCENT | dict(learning_rate=RATE), penalty=dict(every=3))
    config = defaults.experiment(
        f"{__name__}.JoinedDuel", players=players, batch_size=4, steps=6, accumulate=accumulate
    )
    experiment = Experiment(config)
    parallel = parallel_lib.Parallel(experiment, jax.devices()[:1])
    graphdef, state = states.place_state(experiment, parallel)
    step = jax.jit(step_lib.make_step(experiment, graphdef))
    if programs:
        step = step_lib.Programs(experiment, graphdef, parallel, state, BATCH)
    assert set(state["optimizers"]) == {"critic", "maker"}
    transform = optax.scale_by_adam(0.5, 0.9, 1e-8)
    critic, maker, moments = 2.0, 3.0, transform.init(jnp.asarray(2.0))
    for number in range(6):
        state, metrics = step(state, BATCH)
        metrics, due = metrics.scalars(), number % 3 == 0
        assert metrics["penalty/acted"] == due and metrics["penalty/size"] == pytest.approx(critic**2 * due, rel=1e-4)
        gradient = maker * 5 * 2.5 + 2 * critic * due
        assert metrics["critic/gradient_norm"] == pytest.approx(gradient, rel=1e-4)
        assert not {"penalty/learning_rate", "penalty/gradient_norm"} & set(metrics)
        direction, moments = transform.update(jnp.asarray(min(gradient, 40.0)), moments)
        critic = float(critic - 0.01 * direction)
        maker += RATE * critic * 5 * 2.5
        assert weights(state)["critic"] == pytest.approx(critic, rel=1e-4)


def test_a_player_that_joins_another_has_no_settings_but_when():
    config = defaults.experiment(
        f"{__name__}.JoinedDuel",
        players=dict(critic=dict(learning_rate=0.5), maker=dict(learning_rate=0.1), penalty=dict(every=3)),
    )
    settings = Experiment(config).players["penalty"][1]
    assert (settings.every, settings.learning_rate) == (3, 0.5)
    with pytest.raises(InputError, match="config.players.penalty.learning_rate is unknown"):
        defaults.experiment(f"{__name__}.JoinedDuel", players=dict(penalty=dict(learning_rate=0.1)))


class Critic(System):
    """A WGAN-GP critic: five turns to the maker's one; its penalty is a gradient of a gradient."""

    players = ("critic", "maker")

    def __init__(self, experiment, *, rngs):
        self.critic = nnx.Dict(w=nnx.Param(jnp.asarray([1.0, -2.0])))
        self.maker = nnx.Dict(w=nnx.Param(jnp.asarray([0.5, 0.5])))

    def forward(self, batch, now):
        return self.maker["w"][...] * batch["x"][:, None]

    def score(self, x):
        return jnp.tanh(x) @ self.critic["w"][...]

    def critic_loss(self, fake, batch, now):
        slope = jax.vmap(jax.grad(self.score))(fake)
        penalty = jnp.mean((jnp.linalg.norm(slope, axis=-1) - 1) ** 2)
        return {"fake": jnp.mean(self.score(fake)), "penalty": 10 * penalty}

    def maker_loss(self, fake, batch, now):
        return {"gan": -jnp.mean(self.score(fake))}


@pytest.mark.parametrize("programs", [False, True], ids=["branches", "programs"])
def test_a_critic_takes_five_turns_to_one_at_the_rates_of_each_step(programs):
    players = dict(
        critic=defaults.player(0.02, schedule="linear", decay_start=0.0, **DESCENT),
        maker=defaults.player(0.1, every=5, schedule="exponential", **DESCENT),
    )
    experiment = Experiment(defaults.experiment(f"{__name__}.Critic", players=players, batch_size=4, steps=15))
    parallel = parallel_lib.Parallel(experiment, jax.devices()[:1])
    graphdef, state = states.place_state(experiment, parallel)
    compiled = lambda number: step_lib.Programs(experiment, graphdef, parallel, state, BATCH, number)
    step = compiled(0) if programs else jax.jit(step_lib.make_step(experiment, graphdef))

    def loss(critic, maker):
        fake = maker * BATCH["x"][:, None]
        slope = critic * (1 - jnp.tanh(fake) ** 2)
        return jnp.mean(jnp.tanh(fake) @ critic) + 10 * jnp.mean((jnp.linalg.norm(slope, axis=-1) - 1) ** 2)

    critic, maker = jnp.asarray([1.0, -2.0]), jnp.asarray([0.5, 0.5])
    orders = set()  # Of metrics: the log adds up the rows of all programs.
    for number in range(15):
        if programs and number == 8:  # As a run that goes on from a checkpoint.
            step = compiled(8)
        state, metrics = step(state, BATCH)
        orders.add(metrics.names)
        metrics = metrics.scalars()
        assert metrics["critic/learning_rate"] == pytest.approx(0.02 * (1 - number / 15), abs=1e-7)
        critic = critic - 0.02 * (1 - number / 15) * jax.grad(loss)(critic, maker)
        assert metrics["maker/acted"] == (number % 5 == 0)
        if number % 5 == 0:
            assert metrics["maker/learning_rate"] == pytest.approx(0.1 * 0.1 ** (number / 15), rel=1e-5)
            grad = jax.grad(lambda m: -jnp.mean(jnp.tanh(m * BATCH["x"][:, None]) @ critic))(maker)
            maker = maker - 0.1 * 0.1 ** (number / 15) * grad
        np.testing.assert_allclose(state["params"]["critic"]["w"], critic, rtol=1e-4)
        np.testing.assert_allclose(state["params"]["maker"]["w"], maker, rtol=1e-4)
    assert len(orders) == 1


class Observed(System):
    """Losses that show what they were handed."""

    players = ("shared", Player("own", forward="own"), Player("none", forward="none"))

    def __init__(self, experiment, *, rngs):
        for name in ("shared", "own", "none"):
            setattr(self, name, nnx.Dict(w=nnx.Param(jnp.zeros(()))))

    def forward(self, batch, now):
        return {"draw": jax.vmap(jax.random.uniform)(now.keys), "progress": now.progress}

    def _terms(self, name, out, batch, now):
        draw = jax.vmap(jax.random.uniform)(now.keys)
        seen = {} if out is None else {"forward": out["draw"].sum(), "progress": out["progress"]}
        return {**seen, "draw": draw.sum(), "step": now.step, "examples": len(draw), "x": batch["x"].sum(),
                "w": 0 * getattr(self, name)["w"][...]}

    def shared_loss(self, out, batch, now):
        return self._terms("shared", out, batch, now)

    def own_loss(self, out, batch, now):
        return self._terms("own", out, batch, now)

    def none_loss(self, out, batch, now):
        assert out is None
        return self._terms("none", out, batch, now)


def test_players_are_handed_the_step_its_progress_and_the_forward_and_part_they_ask_for():
    players = dict(shared=defaults.player(0.0), own=defaults.player(0.0, shrink=2), none=defaults.player(0.0))
    experiment = Experiment(defaults.experiment(f"{__name__}.Observed", players=players, batch_size=4, steps=8))
    graphdef, state = states.init_state(experiment)
    step = jax.jit(step_lib.make_step(experiment, graphdef))
    state, first = step(state, BATCH)
    first, second = first.scalars(), step(state, BATCH)[1].scalars()
    keys = step_lib.example_keys(0, 0, 4)
    assert first["shared/draw"] == pytest.approx(float(jax.vmap(jax.random.uniform)(keys).sum()))
    assert first["shared/forward"] == first["shared/draw"] == first["none/draw"]
    assert first["own/forward"] == first["own/draw"]
    half = float(jax.vmap(jax.random.uniform)(keys[::2]).sum())
    assert first["own/draw"] != pytest.approx(half)  # Draws of its own.
    assert first["own/examples"] == 2 and first["own/x"] == 1 + 3 and first["none/examples"] == 4
    assert [m[f"{p}/step"] for m in (first, second) for p in ("shared", "own", "none")] == [0, 0, 0, 1, 1, 1]
    assert second["shared/progress"] == pytest.approx(1 / 8) == second["own/progress"]
    assert second["shared/draw"] != first["shared/draw"]


def test_every_device_draws_for_its_own_examples():
    players = {name: defaults.player(0.0) for name in ("shared", "own", "none")}
    config = defaults.experiment(
        f"{__name__}.Observed", players=players, parallel=dict(style="shard_map"), batch_size=8, steps=8
    )
    experiment = Experiment(config)
    parallel = parallel_lib.Parallel(experiment, jax.devices())
    graphdef, state = states.place_state(experiment, parallel)
    batch = parallel.batch({"x": np.arange(8, dtype=np.float32)})
    step = parallel.compile(lambda axis: step_lib.make_step(experiment, graphdef, axis), state, batch)
    metrics = step(state, batch)[1].scalars()  # Means over the devices, of one example each.
    draws = jax.vmap(jax.random.uniform)(step_lib.example_keys(0, 0, 8))
    assert metrics["shared/draw"] == pytest.approx(float(draws.mean())) != pytest.approx(float(draws[0]))


class Still(System):
    """Nothing to train."""

    def __init__(self, experiment, *, rngs):
        self.network = nnx.Dict(w=nnx.Param(jnp.ones(())))


def test_a_system_without_players_has_a_step_that_moves_nothing():
    experiment = Experiment(defaults.experiment(f"{__name__}.Still", batch_size=4))
    graphdef, state = states.init_state(experiment)
    after, metrics = jax.jit(step_lib.make_step(experiment, graphdef))(state, BATCH)
    assert metrics.scalars() == {} and int(after["step"]) == 1 and float(after["params"]["network"]["w"]) == 1.0


def test_averages_are_taken_after_all_turns_by_half_life_with_a_ramp():
    """A half-life of 40 examples, at most half of those seen before; a lazy player's move reaches it in its step."""
    players = {"critic": dict(ema_half_life=40.0, ema_ramp=0.5), "penalty": dict(every=3, ema_half_life=40.0, ema_ramp=0.5)}
    _, state, step = duel(PenalisedDuel, players)
    average = 2.0
    for number in range(30):
        state, _ = step(state, BATCH)
        half_life = min(40.0, 0.5 * 4 * number)
        decay = 0.5 ** (4 / half_life) if half_life else 0.0
        average += (1 - decay) * (weights(state)["critic"] - average)
        assert float(state["ema"]["critic"]["w"]) == pytest.approx(average, rel=1e-3)
    assert half_life == 40.0
    assert set(state["ema"]) == {"critic"}
    assert float(states.averaged(state)[0]["critic"]["w"]) == pytest.approx(average, rel=1e-3)


class NormalisedDuel(Duel):
    """The maker keeps running statistics, among them an integer."""

    def __init__(self, experiment, *, rngs):
        super().__init__(experiment, rngs=rngs)
        self.maker["mean"], self.maker["steps"] = nnx.BatchStat(jnp.zeros(())), nnx.BatchStat(jnp.zeros((), jnp.int32))

    def forward(self, batch, now):
        self.maker["mean"][...] = self.maker["w"][...]
        self.maker["steps"][...] += 1
        return super().forward(batch, now)


def test_running_statistics_are_averaged_with_the_parameters_that_they_are_of():
    """Those of the last step alone would not fit averaged parameters: outputs of batch norms would be off."""
    _, state, step = duel(NormalisedDuel, players={"maker": dict(ema_half_life=40.0, ema_ramp=0.0)})
    average, decay = 0.0, 0.5 ** (4 / 40)
    for number in range(20):
        seen = weights(state)["maker"]
        state, _ = step(state, BATCH)
        average += (1 - decay) * (seen - average)
    assert float(state["rest"]["maker"]["mean"]) == pytest.approx(seen)
    rest = states.averaged(state)[1]
    assert float(rest["maker"]["mean"]) == pytest.approx(average, rel=1e-4) and abs(average - seen) > 0.1
    assert int(rest["maker"]["steps"]) == 20
    assert float(rest["frozen"]["seen"]) == float(state["rest"]["frozen"]["seen"])


def test_without_a_ramp_the_half_life_counts_from_the_start():
    _, state, step = duel(players={"maker": dict(ema_half_life=4000.0, ema_ramp=0.0)})
    state, _ = step(state, BATCH)
    assert float(state["ema"]["maker"]["w"]) == pytest.approx(
        3 + (1 - 0.5 ** (4 / 4000)) * (weights(state)["maker"] - 3), rel=1e-6
    )


class Stateful(System):
    """Running state of every kind, of which only the float depends on the examples."""

    players = ("scale",)
    wrong = False

    def __init__(self, experiment, *, rngs):
        self.scale = nnx.Dict(w=nnx.Param(jnp.ones(())))
        self.mean = nnx.BatchStat(jnp.zeros(()))
        self.count = nnx.BatchStat(jnp.asarray(7, jnp.int32))
        self.flag = nnx.BatchStat(jnp.asarray(True))
        self.key = nnx.BatchStat(jax.random.key(3))

    def forward(self, batch, now):
        self.mean[...] = batch["x"].mean()
        seen = batch["x"].max().astype(jnp.int32) if self.wrong else 1
        self.count[...] = self.count[...] + seen
        self.flag[...] = ~self.flag[...]
        self.key[...] = jax.random.split(self.key[...])[0]
        return self.scale["w"][...] * batch["x"]

    def scale_loss(self, out, batch, now):
        return {"square": jnp.mean(out**2)}


class Unequal(Stateful):
    wrong = True


@pytest.mark.parametrize("style", ["shard_map", "pmap"])
@pytest.mark.parametrize("name", ["Stateful", "Unequal"])
def test_of_running_state_floats_are_averaged_and_the_rest_must_agree(style, name):
    config = defaults.experiment(
        f"{__name__}.{name}", players=dict(scale=defaults.player(0.01)), parallel=dict(style=style), batch_size=8
    )
    experiment = Experiment(config)
    parallel = parallel_lib.Parallel(experiment, jax.devices())
    graphdef, state = states.place_state(experiment, parallel)
    batch = parallel.batch({"x": np.arange(8, dtype=np.float32)})
    step = parallel.compile(lambda axis: step_lib.make_step(experiment, graphdef, axis), state, batch)
    state, metrics = step(state, batch)
    rest = parallel.unstack(state)["rest"]
    metrics = metrics.scalars()
    assert float(rest["mean"]) == 3.5
    if name == "Unequal":
        assert metrics["unequal/count"] == 1 and metrics["unequal/flag"] == 0
        return
    assert not any(value for n, value in metrics.items() if n.startswith("unequal/"))
    assert int(rest["count"]) == 8 and not bool(rest["flag"])
    expected = jax.random.key_data(jax.random.split(jax.random.key(3))[0])
    np.testing.assert_array_equal(jax.random.key_data(rest["key"]), expected)


def test_a_player_that_acts_every_0_steps_never_does_and_corrects_nothing():
    _, state, step = duel(LazyDuel, {"critic": dict(optimizer="adam"), "penalty": dict(optimizer="adam", every=0)})
    metrics = step(state, BATCH)[1].scalars()
    assert metrics["critic/learning_rate"] == pytest.approx(RATE)
    assert not any(name.startswith("penalty/") for name in metrics)


def test_numbers_of_the_running_state_stand_beside_the_losses(monkeypatch):
    monkeypatch.setattr(NormalisedDuel, "watched", lambda self: {"steps": self.maker["steps"][...]})
    _, state, step = duel(NormalisedDuel)
    assert [metrics["state/steps"] for metrics, _ in history(state, step, 2)[0]] == [1, 2]


@pytest.mark.parametrize("cls", [Duel, LazyDuel])
def test_accumulation_equals_the_whole_batch(cls):
    adam = {"critic": dict(optimizer="adam"), "penalty": dict(optimizer="adam", every=2)}
    _, state, step = duel(cls, adam)
    whole, metrics = step(state, BATCH)
    _, state, step = duel(cls, adam, accumulate=2)
    parts, part_metrics = step(state, BATCH)
    for name, value in weights(whole).items():
        assert weights(parts)[name] == pytest.approx(value, rel=1e-5)
    assert part_metrics.scalars() == pytest.approx(metrics.scalars(), rel=1e-5)


def rates(steps, **settings):
    read = defaults.Player(learning_rate=1.0, **settings)
    return np.asarray([optimizers.rate(read, s, 100) for s in steps])


def test_schedules():
    np.testing.assert_allclose(rates([0, 50, 75, 100], schedule="linear"), [1, 1, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(rates([0, 5, 10, 55, 100], schedule="cosine", warmup=10), [0, 0.5, 1, 0.5, 0], atol=1e-6)
    falling = rates([0, 20, 40, 100], schedule="cosine", falling=40, lowest=0.25)
    np.testing.assert_allclose(falling, [1, 0.625, 0.25, 0.25], atol=1e-6)
    np.testing.assert_allclose(rates([0, 99]), 1)
    np.testing.assert_allclose(rates([0, 50, 100], schedule="exponential"), [1, 0.1**0.5, 0.1], rtol=1e-5)
    np.testing.assert_allclose(rates([50, 100], schedule="exponential", lowest=0.04), [0.2, 0.04], rtol=1e-5)
    np.testing.assert_allclose(rates([5, 75], schedule="linear", warmup=10), [0.5, 0.5], rtol=1e-5)
    halved = rates([0, 59, 60, 70, 99, 100], schedule="halving", halvings=4)
    np.testing.assert_allclose(halved, [1, 1, 0.5, 0.25, 1 / 16, 1 / 16], rtol=1e-5)


def test_clipping_bounds_the_update():
    _, state, step = duel(players={"critic": dict(clip=0.5)})
    state, _ = step(state, BATCH)
    assert weights(state)["critic"] == pytest.approx(2 - RATE * 0.5, rel=1e-4)


@pytest.mark.parametrize("settings", [{}, dict(accumulate=2)])
def test_those_that_move_in_a_turn_move_together_by_its_loss_at_rates_of_their_own(settings):
    experiment, state, step = duel(AccompaniedDuel, {"penalty": dict(learning_rate=0.01)}, **settings)
    assert set(state["optimizers"]) == {"critic", "maker", "penalty"}
    state, metrics = step(state, BATCH)
    critic = 2 - RATE * 0.5 * 3 * 5 * 2.5
    found = weights(state)
    assert found["critic"] == pytest.approx(critic, rel=1e-4)
    # Both of the same loss, at what both were before.
    assert found["maker"] == pytest.approx(3 + RATE * critic * 0.5 * 5 * 2.5, rel=1e-4)
    assert found["penalty"] == pytest.approx(0.5 + 0.01 * critic * 3 * 5 * 2.5, rel=1e-4)
    metrics = metrics.scalars()
    assert metrics["penalty/learning_rate"] == pytest.approx(0.01) and "penalty/loss" not in metrics
    assert metrics["penalty/gradient_norm"] == pytest.approx(abs(critic) * 3 * 5 * 2.5, rel=1e-4)
    with pytest.raises(InputError, match="players.penalty.every is 1, but penalty moves in the turn of maker, whose every is 2"):
        duel(AccompaniedDuel, {"maker": dict(every=2)})


def test_those_that_move_in_a_turn_rest_with_it():
    seldom = dict(every=2)
    _, state, step = duel(AccompaniedDuel, {"maker": seldom, "penalty": seldom})
    found, _ = history(state, step, 2)
    assert found[0][1]["penalty"] == found[1][1]["penalty"] != 0.5
    assert [metrics["maker/acted"] for metrics, _ in found] == [1, 0] and "penalty/acted" not in found[0][0]


def test_decay_by_gradients_is_that_of_torchs_adam():
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    settings = defaults.Player(0.01, b1=0.0, b2=0.99, weight_decay=0.1, decay="gradient")
    transform, sign = optimizers.transformation(settings)
    params = {"kernel": jnp.asarray([1.0, -2.0]), "bias": jnp.asarray([3.0])}
    theirs = {name: torch.tensor(np.asarray(p), requires_grad=True) for name, p in params.items()}
    adam = torch.optim.Adam(theirs.values(), 0.01, (0.0, 0.99), weight_decay=0.1)
    state, rng = transform.init(params), np.random.default_rng(0)
    for _ in range(8):
        grads = {name: np.float32(rng.normal(size=p.shape)) for name, p in params.items()}
        norm = step_lib.global_norm(grads)
        params, state = optimizers.moved(settings, transform, sign, params, grads, norm, state, 0.01)
        for name, p in theirs.items():
            p.grad = torch.tensor(grads[name])
        adam.step()
    for name, p in theirs.items():
        np.testing.assert_allclose(params[name], p.detach().numpy(), rtol=2e-5)


@pytest.mark.parametrize(
    "optimizer,peer",
    [
        ("adam", lambda rate: optax.adamw(rate, 0.5, 0.999, 1e-8, weight_decay=0.1)),
        ("sgd(momentum=0.9, nesterov=True)", lambda rate: optax.chain(
            optax.trace(0.9, nesterov=True), optax.add_decayed_weights(0.1), optax.scale_by_learning_rate(rate))),
        ("lion(b1=0.8, weight_decay=0.0)", lambda rate: optax.chain(
            optax.scale_by_lion(b1=0.8), optax.add_decayed_weights(0.1), optax.scale_by_learning_rate(rate))),
        ("scale_by_rms(decay=0.8)", lambda rate: optax.chain(
            optax.scale_by_rms(decay=0.8), optax.add_decayed_weights(0.1), optax.scale_by_learning_rate(rate))),
    ],
)  # fmt: skip
@pytest.mark.parametrize("decay", ["weights", "all"])
def test_optimizers_move_as_optax_does_and_spare_biases_and_norms(optimizer, peer, decay):
    settings = defaults.Player(0.01, optimizer=optimizer, weight_decay=0.1, decay=decay)
    transform, sign = optimizers.transformation(settings)
    schedule = lambda step: optimizers.rate(dataclasses.replace(settings, schedule="linear"), step, 10)
    theirs = peer(schedule)
    params = {"layer": {"kernel": jnp.asarray([1.0, -2.0]), "bias": jnp.asarray([3.0])}, "norm": {"scale": jnp.asarray([1.5])}}
    expected, state, state2 = params, transform.init(params), theirs.init(params)
    rng = np.random.default_rng(0)
    for number in range(8):
        grads = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params)
        norm = step_lib.global_norm(grads)
        before = params
        params, state = optimizers.moved(settings, transform, sign, params, grads, norm, state, schedule(number))
        updates, state2 = theirs.update(grads, state2, expected)
        after = optax.apply_updates(expected, updates)
        if decay == "weights":  # What is no kernel did not decay.
            spare = lambda p: 0.1 * schedule(number) * p
            after["layer"]["bias"] += spare(expected["layer"]["bias"])
            after["norm"]["scale"] += spare(expected["norm"]["scale"])
        expected = after
        assert not np.allclose(before["layer"]["kernel"], params["layer"]["kernel"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), params, expected)


@pytest.mark.parametrize(
    "players,message",
    [
        ({"maker": dict(schedule="wild")}, "schedule must be one of 'constant'"),
        ({"maker": dict(optimizer="sgdd()")}, "players.maker.optimizer must be .*got 'sgdd"),
        ({"maker": dict(optimizer="sgd(momentun=0.9)")}, "sgd takes momentum, .*got 'momentun'"),
        ({"maker": dict(optimizer="sgd(learning_rate=1)")}, "got 'learning_rate'"),
        ({"maker": dict(optimizer="constant_schedule(value=1.0)")}, "constant_schedule is none"),
        ({"maker": dict(b1=0.9)}, "players.maker.b1 is of .adam."),
        ({"maker": dict(learning_rate=-1.0)}, "learning_rate must be at least 0, got -1.0"),
        ({"maker": dict(shrink=3)}, "players.maker.shrink is 3"),
        ({"maker": dict(warmup=-1)}, "warmup must be at least 0, got -1"),
    ],
)
def test_players_that_cannot_work_are_named(players, message):
    with pytest.raises(InputError, match=message):
        duel(players=players)
