"""Typed settings: what a config may say, and what is said of what it may not."""

import dataclasses
import sys
from typing import Annotated, Literal

from absl import flags
from ml_collections import config_flags
import pytest

from vision_gen import settings
from vision_gen.engine import defaults
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError


@dataclasses.dataclass(frozen=True)
class Example:
    rate: settings.NotNegative
    width: settings.Count = 64
    size: int | tuple[int, int] = 8
    kind: Literal["a", "b"] = "a"
    share: Annotated[float, settings.Range(0, 1, below=True)] = 0.5
    names: tuple[str, ...] = ()
    flip: bool = True

    def __post_init__(self):
        if self.width % 2:
            raise InputError(f"width must be even, got {self.width}")


def test_missing_fields_have_defaults_and_values_their_types():
    found = settings.read(Example, dict(rate=1, size=[3, 4], names=["x"]), "config.x")
    assert found == Example(1.0, 64, (3, 4), "a", 0.5, ("x",), True)
    assert type(found.rate) is float


@pytest.mark.parametrize(
    "values,message",
    [
        (dict(), "config.x.rate is missing"),
        (dict(rate=1, wdith=3), r"config.x.wdith is unknown; did you mean 'width'\?"),
        (dict(rate=1, colour=3), "config.x.colour is unknown; there are flip, kind"),
        (dict(rate=-0.5), "config.x.rate must be at least 0, got -0.5"),
        (dict(rate=float("nan")), "config.x.rate must be a number at least 0, got nan"),
        (dict(rate=True), "config.x.rate must be a number at least 0, got True"),
        (dict(rate=1, width=2.5), "config.x.width must be an integer at least 1, got 2.5"),
        (dict(rate=1, width=0), "config.x.width must be at least 1, got 0"),
        (dict(rate=1, width=3), "config.x.width must be even, got 3"),
        (dict(rate=1, size=(1, 2, 3)), r"config.x.size must be an integer or 2 numbers, got \(1, 2, 3\)"),
        (dict(rate=1, kind="c"), "config.x.kind must be one of 'a', 'b', got 'c'"),
        (dict(rate=1, share=1.0), "config.x.share must be at least 0 and below 1, got 1.0"),
        (dict(rate=1, flip=1), "config.x.flip must be True or False, got 1"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(values, message):
    with pytest.raises(InputError, match=message):
        settings.read(Example, values, "config.x")


@pytest.mark.parametrize("argument,value", [("16", 16), ("(3,4)", (3, 4)), ("3,4", (3, 4))])
def test_a_field_of_two_types_is_set_on_the_command_line_in_both(monkeypatch, argument, value):
    config = defaults.experiment("tests.engine.toy.Toy", players=dict(painter=defaults.player(0.1)))
    values = flags.FlagValues()
    monkeypatch.setattr(sys, "argv", ["train.py", f"--config.data.size={argument}"])
    config_flags.DEFINE_config_dict("config", config, flag_values=values)
    values(sys.argv)
    assert Experiment(values.config).data.size == value


def config(**fields):
    players = {name: defaults.player(1e-3) for name in ("discriminator", "generator")}
    return defaults.experiment("pix2pix.Pix2Pix", players=players, **fields)


@pytest.mark.parametrize("section", ["model", "data", "train", "parallel"])
def test_sections_are_locked(section):
    found = config()
    with pytest.raises(AttributeError, match="stepz"):
        found[section].stepz = 3
    wrong = {"stepz": 3}
    with pytest.raises(InputError, match=f"config.{section}.stepz is unknown"):
        config(**(wrong if section == "train" else {section: wrong}))


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda c: c.players.generator.update(b1=1.0), "config.players.generator.b1 must be at least 0 and below 1, got 1.0"),
        (lambda c: c.players.update(critic=defaults.player(0.1)), r"config.players must be \['discriminator', 'generator'\]"),
        (lambda c: c.init.update(generatr="x.pth"), "config.init.generatr: no network of pix2pix.Pix2Pix; did you mean 'generator'"),
        (lambda c: c.update(colour=3), "config.colour is unknown"),
        (lambda c: c.update(dtype="float8"), "config.dtype must be one of 'float32', 'bfloat16', got 'float8'"),
        (lambda c: c.train.update(accumulate=3), "config.train.batch_size is 16; it must be a multiple of config.train.accumulate, 3"),
    ],
)
def test_a_config_made_by_hand_is_checked_all_the_same(change, message):
    found = config()
    with found.unlocked():
        change(found)
    with pytest.raises(InputError, match=message):
        Experiment(found)
