"""What a config asks for is refused by name before any work where it cannot be."""

import importlib

import pytest

from vision_gen.configs import vit_digits
from tests.conftest import ROOT
from tests.engine import toy
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError


@pytest.mark.parametrize("name", ["val", "a/b"])
def test_an_evaluation_set_has_a_name_of_its_own(name):
    config = toy.get_config()
    with config.evaluations.unlocked():
        config.evaluations[name] = dict(split="val")
    with pytest.raises(InputError, match=f"config.evaluations.{name}: a set must have another name than the splits"):
        Experiment(config)


def test_data_without_what_a_system_reads_is_refused_by_name():
    def refused(config, message):
        experiment = Experiment(config)
        with pytest.raises(InputError, match=message):
            experiment.check_data(experiment.data)

    config = toy.get_config()
    config.data.update(name="analytic_scene", size=16)
    refused(config, r"config.data.name: .*toy.Toy reads colour \[any, any, 3\], but analytic_scene gives .*\[64, 4\] uint8")
    config = vit_digits.get_config()
    config.data.labels = False
    refused(config, r"config.data.name: .* reads label \[\], but digits gives colour .*; config.data.labels=True gives it")


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "configs").glob("[a-z]*.py")))
def test_every_config_has_data_that_its_system_reads(name, tmp_path):
    config = importlib.import_module(f"configs.{name}").get_config()
    for part in (config.data, *config.data.parts.values()):
        if part.name == "celeba":  # Its attributes are read of a file.
            names = part.attributes
            (tmp_path / "list_attr_celeba.txt").write_text(f"1\n{' '.join(names)}\n000001.jpg{' -1' * len(names)}\n")
            part.dir = str(tmp_path)
    experiment = Experiment(config)
    assert bool(experiment.system.needs) == bool(experiment.players)
    experiment.check_data(experiment.data)
