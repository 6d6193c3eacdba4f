"""VITON-HD's third stage (Choi et al. 2021) on its data set or your own in its layout, as published.

--config.data.parts.people.dir=FOLDER, which has `train` and `test`; --config.init.segmentation and --config.init.warp
name the runs of the first two stages, or released files. Its own run dresses people. Rates, weights and schedule are
those of HR-VITON's training code.
"""

from vision_gen.configs.tryon_segmentation_folder import PEOPLE
from vision_gen.engine import defaults
from vision_gen.pretrained import weights


def get_config():
    config = defaults.experiment(
        "tryon.synthesis.Synthesis",
        data=PEOPLE,
        model=dict(perceptual="vgg19" if weights.is_here("vgg19") else "efficientnet-lite0"),
        players=dict(
            synthesis=defaults.player(1e-4, b1=0.0, b2=0.9, schedule="linear"),
            discriminator=defaults.player(4e-4, b1=0.0, b2=0.9, schedule="linear"),
        ),
        batch_size=4,
        steps=200_000,
        best_metric="ssim",
    )
    # People of `test` in the garments of its pairs file, whose truth nobody knows.
    people = dict(name="tryon_folder", pairs="unpaired", dir=config.data.parts.people.get_ref("dir"))
    with config.unlocked():
        config.evaluations.unpaired = dict(split="test", parts=dict(people=people))
    return config
