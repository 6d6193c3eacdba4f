"""AdaIN (Huang & Belongie, ICCV 2017) on two folders, of photographs and of paintings:

python train.py --config=configs/adain_photographs.py --workdir=runs/adain \\
    --config.data.parts.content.dir=PHOTOGRAPHS --config.data.parts.style.dir=PAINTINGS

With the weights of the PyTorch release: --config.model.encoder=vgg19-normalised
--config.init.encoder=vgg_normalised.pth, and to go on from its decoder, or to use it without a run,
--config.init.decoder=decoder.pth.
"""

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16", "model.encoder": "vgg19-normalised"}


def get_config():
    folder = dict(name="image_folder", dir="")
    return defaults.experiment(
        "adain.AdaIN",
        data=dict(name="unpaired", size=512, parts=dict(content=folder, style=folder)),
        model=dict(crop=256),
        # The release divides the rate by 1 + step / 20,000; here it falls as far, a ninth, evenly.
        players=dict(decoder=defaults.player(1e-4, b1=0.9, schedule="exponential")),
        batch_size=8,
        steps=160_000,
        best_metric="objective",
        best_mode="min",
    )
