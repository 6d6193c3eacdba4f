"""Tracking: colours are copied rightly once trained, clusters are those of the data, and what is marked is followed."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from tests.conftest import tiny
from vision_gen import data, values
from vision_gen.engine import loop, use
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import tracking as nets
from vision_gen.systems import tracking


def configured(**model):
    config = tiny("tracking_drawings", widths=(8, 8, 12, 12), head=12, features=16, clusters_steps=20, **model)
    config.data.update(size=64, held_out_frames=5)
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    config = configured()
    config.players.network.learning_rate = 3e-3
    config.train.update(steps=120, log_every=60, checkpoint_every=120)
    loop.train(config, workdir)
    return workdir


@pytest.fixture(scope="module")
def model(run):
    return use.load(run, "last")


def test_colours_are_copied_better_than_by_chance(model):
    source = data.open(model.experiment.data, "val")
    found = model.apply("evaluate", source, 8)
    # Copying from everywhere alike gives the frequencies of the colours in the frames before.
    centres = np.asarray(model.state["rest"]["clusters"]["centres"])
    chance, seen = [], []
    for i in range(8):
        frames = jnp.float32(source[i]["frames"][None, :4]) / 127.5 - 1
        ab = np.asarray(tracking.Tracking._colours(frames, (8, 8)))[0]
        seen.append(ab)
        number = np.argmin(((ab[..., None, :] - centres) ** 2).sum(-1), -1)
        shares = np.bincount(number[:3].ravel(), minlength=16) / number[:3].size
        chance.append(-np.log(np.maximum(shares[number[3]], 1e-6)).mean())
    assert found["cross_entropy"].mean() < np.mean(chance) - 0.15
    # Clusters lie where colours are: colours are nearer to them than to one point for all.
    ab = np.concatenate(seen).reshape(-1, 2)
    spread = ((ab[:, None] - centres) ** 2).sum(-1).min(-1).mean()
    assert spread < 0.25 * ((ab - ab.mean(0)) ** 2).sum(-1).mean()


def test_figures_of_one_that_stays_and_of_raw_colours(model):
    """A clip that stands still is followed perfectly by copying, and by colour where colours differ."""
    rows, columns = np.mgrid[:64, :64]
    labels = np.where((rows < 32) & (columns < 32), 1, np.where((rows >= 32) & (columns >= 32), 2, 0)).astype(np.uint8)
    picture = np.uint8([[30, 90, 200], [230, 60, 40], [60, 200, 60]])[labels]
    batch = {
        "frames": np.repeat(picture[None, None], 3, 1),
        "labels": np.repeat(labels[None, None], 3, 1),
        "points": np.float32([[[[[12, 12, 1], [20, 28, 1]], [[44, 44, 1], [60, 36, 0]]]] * 3]),
    }
    source = Listed([{name: value[0] for name, value in batch.items()}])
    found = model.apply("evaluate", source, 1)
    for name in ("j_copy", "f_copy", "pck_copy"):
        assert found[name][0] == pytest.approx(1), name
    assert found["j_colour"][0] > 0.9


def test_joints_are_found_within_shares_of_a_persons_size(model):
    """In frame 2 the box is 30 x 40 pixels, 0.6 of whose diagonal are 30; a fourth joint is not seen in frame 1."""
    joints = np.float32([[[[10, 10, 1], [40, 20, 1], [10, 35, 1], [70, 9, 0]], [[10, 10, 1], [40, 10, 1], [10, 50, 1], [9, 9, 1]]]])
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (1, 1, 8, 8, 3), np.uint8).repeat(2, 1).repeat(8, 2).repeat(8, 3)
    found = model.apply("evaluate", Listed([{"frames": frames[0], "joints": joints[0]}]), 1)
    shares = {10: 1 / 3, 20: 1 / 3, 30: 1 / 3, 40: 2 / 3, 50: 1}  # Those that stay are 0, 10 and 15 pixels off.
    assert {percent: pytest.approx(found[f"pck{percent}_copy"][0]) for percent in shares} == shares
    # In a clip that stands still, colours find the first frame's places of 8 pixels.
    still = np.repeat(joints[:, :1], 2, 1)
    found = model.apply("evaluate", Listed([{"frames": frames[0], "joints": still[0]}]), 1)
    assert found["pck50_colour"][0] == found["pck50_copy"][0] == 1
    assert not {"j", "pck"} & set(found)


class Listed(data.Source):
    def __init__(self, examples):
        self.examples = examples
        self.shapes = {name: data.ShapeDtype(v.shape, v.dtype) for name, v in examples[0].items()}

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        return self.examples[index]

    def name(self, index):
        return str(index)


def test_what_is_marked_is_followed_as_evaluation_does(model, tmp_path):
    source = data.open(model.experiment.data, "val")
    example = source[0]
    frames, mask = example["frames"], example["labels"][0]
    found = model.track(frames, mask)
    assert found["masks"].shape == frames.shape[:3] and found["overlay"].shape == frames.shape
    np.testing.assert_array_equal(found["masks"][0], mask)
    assert set(np.unique(found["masks"])) <= set(np.unique(mask))
    # On the ground the film is as it was; what is marked is painted.
    ground = found["masks"] == 0
    np.testing.assert_allclose(found["overlay"][ground], frames[ground], atol=1)
    assert (found["overlay"][~ground] != frames[~ground]).any(-1).mean() > 0.9
    # Sides that are no multiple of the stride are extended, and the extension is cut off.
    odd = model.track(frames[:, :61, :50], mask[:61, :50])
    assert odd["masks"].shape == (5, 61, 50)
    # Within reach of everything is as without; nothing is found farther from where it was than it reaches.
    np.testing.assert_array_equal(model.track(frames, mask, reach=8)["masks"], found["masks"])
    near = model.track(frames, mask, reach=1)["masks"]
    assert (near != found["masks"]).any()
    for label in range(1, 4):
        around = ndimage.binary_dilation(mask == label, np.ones((3, 3)), 3 * nets.STRIDE)
        assert not ((near[1] == label) & ~around).any()
    with pytest.raises(InputError, match="mask has 32 x 64 pixels, but the clip 64 x 64; they must be of one size"):
        model.track(frames, mask[:, :32])
    values.LabelClip().write(found["masks"], tmp_path / "masks")
    again = values.Labels().read(tmp_path / "masks" / "00004.png", "mask")
    np.testing.assert_array_equal(again, found["masks"][4])


def test_memory_moves_on_and_may_keep_the_first_frame(model):
    for keep in (False, True):
        config = configured(keep_first=keep)
        graphdef, params, rest = systems.build(Experiment(config))
        clip = jnp.stack([jnp.full((1, 16, 16, 3), n / 10) for n in range(4)], 1)

        def method(system):
            memory = system.begin(clip[:, 0], jnp.zeros((1, 2, 2, 1)))
            for n in range(1, 4):
                memory, _ = system.advance(memory, clip[:, n])
            return memory[0][0, :, 0, 0, 0]

        kept = np.asarray(jax.jit(lambda p: method(nnx.merge(graphdef, p, rest, copy=True)))(params))
        np.testing.assert_allclose(kept, [0, 0.2, 0.3] if keep else [0.1, 0.2, 0.3], atol=1e-6)


def test_bad_input_is_named(tmp_path):
    config = configured()
    config.data.size = 60
    with pytest.raises(InputError, match=r"config.data.size must be multiples of 8, got \[60, 60\]"):
        loop.train(config, tmp_path / "run")
    config = configured()
    config.data.frames = 1
    with pytest.raises(InputError, match="config.data.frames must be at least 2"):
        loop.train(config, tmp_path / "run")
    with pytest.raises(InputError, match=r"mask: has the label 21 \(2 different ones\); at most 20 are allowed"):
        values.Labels().read(np.uint8([[0, 21]]), "mask")
    with pytest.raises(InputError, match=r"mask: has the colour \[1, 2, 3\], which is none of the first 21 of PASCAL VOC's"):
        values.Labels().read(np.uint8([[[1, 2, 3]]]), "mask")
    np.testing.assert_array_equal(values.Labels().read(np.uint8([[[0, 128, 0], [128, 0, 0]]]), "mask"), [[2, 1]])
    np.testing.assert_array_equal(values.Labels().read(np.uint8([[0, 255]]), "mask"), [[0, 1]])
