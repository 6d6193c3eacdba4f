"""VITON-HD's first stage (Choi et al. 2021) on its data set or your own in its layout, as published.

--config.data.parts.people.dir=FOLDER, which has `train` and `test`.
"""

from vision_gen.engine import defaults

PEOPLE = dict(name="agnostic", size=(1024, 768), parts=dict(people=dict(name="tryon_folder", dir="")))


def get_config():
    return defaults.experiment(
        "tryon.segmentation.Segmentation",
        data=PEOPLE,
        players=dict(discriminator=defaults.player(4e-4), segmentation=defaults.player(4e-4)),
        batch_size=8,
        steps=200_000,
        best_metric="iou",
    )
