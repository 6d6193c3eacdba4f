"""Try-on whole: stages that follow on each other, the tool on files, and figures beside baselines."""

from flax import nnx
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import pytest

import vision_gen
from tests.data import people
from tests.values.test_people import layout
from vision_gen import data, values
from vision_gen.configs import tryon as config_of_released
from vision_gen.configs import tryon_segmentation_mannequins, tryon_synthesis_mannequins, tryon_warp_mannequins
from vision_gen.data import agnostic, tryon_folder
from vision_gen.engine import loop, use
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.systems.tryon import dress, stages, warp

SIZE = (64, 64)
NARROW = dict(small=SIZE, segmentation_width=1, warp_width=1, widths=(8, 8, 4), masked=2, hidden=4, added=2)


def with_people(config):
    with config.unlocked():
        config.data.size, config.data.parts = SIZE, ConfigDict(dict(people=dict(name="tests.data.people")))
        config.evaluations = ConfigDict()
    return config


@pytest.fixture(scope="module")
def model():
    config = with_people(config_of_released.get_config())
    config.model.update(NARROW)
    return use.untrained(config)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Of a person and a garment, in VITON-HD's layout, twice as large as they are computed."""
    root = tmp_path_factory.mktemp("layout")
    return root, layout(root, size=(128, 128))


@pytest.mark.slow
def test_a_person_is_dressed_from_files(model, files):
    root, example = files
    call = lambda **more: model.dress(str(root / "image" / "a.png"), str(root / "cloth" / "b.png"), **more)
    found = call(seed=1)
    assert set(found) == {"image", "agnostic", "regions", "warped", "missed", "mask"}
    assert all(value.shape == (*SIZE, 3) for name, value in found.items() if name[:2] not in ("mi", "ma"))
    assert found["missed"].shape == SIZE and found["missed"].dtype == bool
    np.testing.assert_array_equal(found["mask"], example["cloth_mask"][1::2, 1::2, 0] > 0)
    value = model.tools["dress"].inputs["person"].read(str(root / "image" / "a.png"), "person")
    small = model.tools["dress"].inputs["person"].resized(value, SIZE, "person")
    hidden = agnostic.hidden(small["image"], small["parse"], small["keypoints"])["agnostic"]
    np.testing.assert_array_equal(found["agnostic"], hidden)
    assert (hidden == agnostic.GREY).all(-1).mean() > 0.1
    # An untrained warp shows the garment nearly as it lies, and white around it.
    colour = example["cloth"][64, 64]
    assert np.abs(found["warped"][32, 32].astype(int) - colour).max() <= 3
    assert (found["warped"][0] == 255).all()
    for name, value in call(seed=1).items():
        np.testing.assert_array_equal(value, found[name])
    assert found["image"].std() > 0 and (call(seed=2)["regions"] != found["regions"]).any()


def test_classes_and_regions_are_those_of_the_released_code():
    parse = np.arange(20, dtype=np.uint8).reshape(1, 4, 5, 1)
    found = stages.classes(jnp.asarray(parse))
    groups = [(0, 10), (1, 2), (4, 13), (5, 6, 7), (9, 12), (14,), (15,), (16,), (17,), (18,), (19,), (8,), (3, 11)]
    for number, group in enumerate(groups):
        assert set(parse[0, ..., 0][np.asarray(found[0]) == number]) == set(group), number
    regions = np.asarray(stages.regions(found))[0].argmax(-1)
    merged = [(0, 10), (4, 8, 9, 12, 13, 16, 17, 18, 19), (5, 6, 7), (1, 2), (14,), (15,), (3, 11)]
    for number, group in enumerate(merged):
        assert set(parse[0, ..., 0][regions == number]) == set(group), number


def test_regions_are_drawn_in_colours_of_labels_that_files_of_them_have(tmp_path):
    classes = np.arange(len(stages.LABEL_OF))[None]
    assert np.asarray(stages.classes(jnp.asarray([stages.LABEL_OF])[..., None])).tolist() == classes.tolist()
    drawn = values.Image().value(np.asarray(stages.drawn(jnp.asarray(classes)))[None])
    values.Image().write(drawn, tmp_path / "regions.png")
    assert tryon_folder.read_labels(tmp_path / "regions.png")[0].tolist() == list(stages.LABEL_OF)


def test_where_the_garment_does_not_reach_is_apart():
    regions = jnp.zeros((1, 1, 3, 7)).at[0, 0, :2, 2].set(1)
    mask = jnp.array([1.0, 0.25, 1.0]).reshape(1, 1, 3, 1)
    given = {name: jnp.zeros((1, 1, 3, 3)) for name in ("agnostic", "pose")}
    x, same, divided, missed = stages.synthesis_input(regions, jnp.ones((1, 1, 3, 3)), mask, given)
    np.testing.assert_array_equal(missed[0, 0, :, 0], [0, 0.75, 0])
    np.testing.assert_array_equal(divided[0, 0, :, 2], [1, 0.25, 0])
    np.testing.assert_array_equal(divided[..., 7:], missed)
    assert x.shape[-1] == 9 and (x[..., 6:] == 1).all() and same is regions


def test_the_pasted_garment_fills_the_regions_box():
    mask = jnp.zeros((1, 8, 8, 1)).at[:, 2:6, 1:3].set(1)
    upper = jnp.zeros((1, 8, 8, 1)).at[:, 0:8, 4:8].set(1)
    given = {"mask": mask, "cloth": jnp.full((1, 8, 8, 3), 0.5), "image": jnp.full((1, 8, 8, 3), -1.0)}
    found = jax.jit(dress.pasted)(given, upper)
    np.testing.assert_array_equal(found[0, ..., 0], np.where(np.arange(8) >= 4, 0.5, -1) * np.ones((8, 1)))


def test_the_truth_of_an_unpaired_example_is_what_counts():
    """Warp and segmentation look at the truth, not at what the person wears."""
    first, second = (people.person(number, SIZE) for number in (0, 1))
    hidden = agnostic.hidden(first["image"], first["parse"], first["keypoints"])
    batch = {name: value[None] for name, value in {**first, **hidden}.items()}
    truth = {"truth": second["image"][None], "truth_parse": second["parse"][None]}
    found, paired = stages.read(batch | truth), stages.read(batch)
    np.testing.assert_allclose(found["truth"][0], second["image"] / 127.5 - 1, atol=1e-5)
    np.testing.assert_array_equal(found["truth_classes"], stages.classes(jnp.asarray(second["parse"][None])))
    np.testing.assert_array_equal(paired["truth"], paired["image"])
    np.testing.assert_array_equal(found["kept"], paired["kept"])


def test_a_garment_may_go_on_under_an_arm():
    """4 rows: background, the garment, an arm over it, an arm where no garment is."""
    picture = jnp.ones((1, 4, 1, 3))
    given = {"cloth": picture, "mask": picture[..., :1], "truth_classes": jnp.array([[[0], [3], [5], [6]]])}
    found = {"bent": picture, "worn": picture, "upper": jnp.float32([[[[0]], [[1]], [[0]], [[0]]]])}

    class Bent(warp.Warp):
        def __init__(self, rows):
            self.rows = nnx.static(rows)

        def _bent(self, batch, train):
            return given, found | {"bent_mask": jnp.float32(self.rows).reshape(1, 4, 1, 1)}

    figures = [Bent(rows).evaluate({}, None) for rows in ((0, 1, 1, 0), (1, 1, 1, 1))]
    assert [(float(of["iou"][0]), float(of["iou_uncovered"][0])) for of in figures] == [(1 / 2, 1), (1 / 4, 1 / 2)]


def test_sizes_that_do_not_go_are_refused():
    config = with_people(config_of_released.get_config())
    config.model.update(NARROW)
    config.data.size = (64, 80)
    with pytest.raises(InputError) as error:
        dress.TryOn.tools(Experiment(config), {})
    right = "config.data.size must be a multiple of (64, 64) for the network segmentation, got (64, 80)"
    assert str(error.value) == right


@pytest.mark.slow
def test_the_stages_train_one_after_the_other_and_the_last_dresses(tmp_path, files):
    def train(module, name, model, **init):
        config = with_people(module.get_config())
        config.model.update(model)
        config.init.update({key: str(tmp_path / run) for key, run in init.items()})
        config.train.update(
            batch_size=8, steps=2, log_every=1, sample_every=0, eval_every=0, eval_images=8, checkpoint_every=2
        )
        loop.train(config, tmp_path / name)

    train(tryon_segmentation_mannequins, "one", dict(width=1, small=SIZE, discriminator_width=2, scales=1))
    train(tryon_warp_mannequins, "two", dict(width=1, small=SIZE, levels=3))
    narrow = {name: NARROW[name] for name in ("widths", "masked", "hidden", "added")}
    small = dict(discriminator_width=2, scales=1, perceptual="efficientnet-lite0", **narrow)
    train(tryon_synthesis_mannequins, "three", small, segmentation="one", warp="two")
    model = vision_gen.load(tmp_path / "three")
    source = data.open(model.experiment.data, "test")
    figures, _ = model.evaluate(source)
    assert set(figures) == {"psnr", "ssim", "iou", "iou_warped", "iou_flat", "iou_reach"}
    batch = {name: jax.ShapeDtypeStruct((2, *x.shape), x.dtype) for name, x in source.shapes.items()}
    evaluate = lambda batch: model.system().evaluate(batch, jax.random.split(jax.random.key(0), 2))
    baselines = {"psnr_person", "ssim_person", "psnr_pasted", "ssim_pasted"}
    with_truth = batch | {"truth": batch["image"], "truth_parse": batch["parse"]}
    assert set(jax.eval_shape(evaluate, with_truth)) == set(figures) | baselines
    without = batch | {"unpaired": jax.ShapeDtypeStruct((2,), np.int32)}
    assert set(jax.eval_shape(evaluate, without)) == {"iou_reach"}
    assert 0 < figures["iou_flat"] < 1 and 0 < figures["iou_warped"] < 1 and figures["psnr"] > 3
    root, _ = files
    assert model.dress(root / "image" / "a.png", root / "cloth" / "b.png")["image"].shape == (*SIZE, 3)


def test_without_a_truth_there_is_nothing_to_compare_with():
    with pytest.raises(InputError, match="of unpaired examples there is no truth here"):
        stages.check_known({"unpaired": jnp.ones(2, jnp.int32)})
    stages.check_known({})


def test_the_painter_needs_the_stages_before_it():
    config = with_people(tryon_synthesis_mannequins.get_config())
    experiment = Experiment(config)
    with pytest.raises(InputError) as error:
        experiment.system.check(experiment, None)
    assert str(error.value) == (
        "config.init.segmentation must be a run of tryon.segmentation.Segmentation, or seg_final.pth: the painter "
        "stands on the stages before it"
    )
