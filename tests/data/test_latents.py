"""Latents of a file are split as they are said to be; drawn ones are numbers that no split shares."""

import numpy as np
import pytest

from vision_gen import data
from vision_gen.data.settings import Settings
from vision_gen.errors import InputError
from vision_gen.pretrained import torch_file


def test_drawn_latents_have_numbers_of_their_own():
    settings = Settings(name="latents", examples=30)
    splits = [data.open(settings, split) for split in data.SPLITS]
    assert [len(source) for source in splits] == [30, 1000, 1000]
    seeds = np.concatenate([source.column("seed") for source in splits])
    assert seeds.dtype == np.uint32 and len(set(seeds.tolist())) == 2030


@pytest.mark.parametrize("suffix", [".npy", ".pt"])
def test_latents_of_a_file_are_split(tmp_path, suffix):
    path, latents = tmp_path / f"faces{suffix}", np.arange(23 * 6, dtype=np.float32).reshape(23, 2, 3)
    np.save(path, latents) if suffix == ".npy" else torch_file.write(latents, path)
    settings = Settings(name="latents", dir=str(path))
    found = [data.open(settings, split) for split in data.SPLITS]
    assert [len(source) for source in found] == [19, 2, 2]
    np.testing.assert_array_equal(np.concatenate([source.column("latent") for source in found]), latents)
    assert found[1].name(0) == "000019"


@pytest.mark.parametrize(
    "value, message",
    [
        (np.zeros((9, 2, 3), np.float32), "has 9 latents; at least 10 are needed"),
        (
            np.zeros((2, 3), np.float32),
            r"holds float32 \[2, 3\]; it must be a .npy or .pt of \[latents, layers, w_size\]",
        ),
        (np.full((10, 2, 3), np.nan, np.float32), "latent 0 is not finite"),
        (None, "cannot be read"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, value, message):
    path = tmp_path / "faces.npy"
    if value is not None:
        np.save(path, value)
    with pytest.raises(InputError, match=f"config.data.dir: .*faces.npy.*{message}"):
        data.open(Settings(name="latents", dir=str(path)), "train")
