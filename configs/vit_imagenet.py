"""ViT-B/16 on ImageNet as TFDS prepares it (imagenet2012 downloads nothing: TFDS says what to put where).

On your own images: --config.data.name=image_folder --config.data.dir=FOLDER, with a subfolder for each class.

As Steiner et al. 2022 ('How to train your ViT?') for ImageNet-1k, with augmentation `medium2`.
"""

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"model.size": "L", "dtype": "bfloat16"}


def get_config():
    return defaults.experiment(
        "classifier.Classifier",
        data=dict(name="tfds:imagenet2012", size=224, labels=True, workers=8),
        players=dict(
            network=defaults.player(
                1e-3, b1=0.9, weight_decay=0.1, schedule="cosine", warmup=10_000, clip=1.0
            )
        ),
        batch_size=4096,
        steps=93_750,  # 300 epochs.
        best_metric="top1",
    )
