"""Mappers of StyleCLIP's release: `.pt` of `state_dict` ("mapper.*", and the generator as "decoder.*") and `opts`."""

import re

from vision_gen.pretrained import named, torch_file

LEVELS = {"coarse": "course", "medium": "medium", "fine": "fine"}  # As they are spelled there.


def read(path, network):
    """A mapper for a `nets.latent_mapper.LevelsMapper` or `StyleMapper`.

    Raises:
      InputError: the file cannot be read.
    """
    state = torch_file.read_state_dict(path, "state_dict")
    file = named.read(path, state, {ours: _theirs(ours) for ours in named.flat(network)})
    file.ignore("decoder.*", "the generator; config.init.generator names it")
    return file.result()


def _theirs(ours):
    """(name, turn) of one of our tensors."""
    place, number, part = re.fullmatch(r"(.*)/dense/(\d)/(kernel|bias)", ours).groups()
    which = f"{LEVELS[place]}_mapping" if place in LEVELS else f"mapper_{place.removeprefix('layers/')}"
    name = f"mapper.{which}.mapping.{int(number) + 1}"  # The first of theirs normalises.
    return (f"{name}.weight", named.LINEAR) if part == "kernel" else (f"{name}.bias", named.SAME)
