"""ResNet-50 on ImageNet as TFDS prepares it, as torchvision's reference script: 90 epochs of SGD with momentum.

On your own images: --config.data.name=image_folder --config.data.dir=FOLDER, with a subfolder for each class.
"""

from vision_gen.engine import defaults

# As benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16"}


def get_config():
    return defaults.experiment(
        "resnet_classifier.ResNetClassifier",
        data=dict(name="tfds:imagenet2012", size=224, labels=True, workers=8),
        model=dict(crop_area=0.08, operations=0, mixup=0.0),
        players=dict(
            network=defaults.player(
                0.1, optimizer="sgd(momentum=0.9)", weight_decay=1e-4, decay="gradient", schedule="cosine"
            )
        ),
        batch_size=256,
        steps=450_450,  # 90 epochs.
        best_metric="top1",
    )
