"""CLIP on your own pictures with captions, `name.jpg` beside `name.txt`: --config.data.parts.pictures.dir=FOLDER.

--config=clip_captions:PRESET with PRESET "RN50", "ViT-B/32" (the default), "ViT-B/16", "ViT-L/14" or "ViT-L/14@336";
sizes, rates and batch as published. --config=clip_captions:ViT-B-32.pt begins with the weights of a file, and has its
sizes. For COCO's layout: --config.data.parts.pictures.name=coco_captions; for tars of WebDataset: webdataset.
"""

import pathlib

from vision_gen.engine import defaults
from vision_gen.errors import InputError
from vision_gen.nets import clip
from vision_gen.pretrained import clip as pretrained
from vision_gen.systems.clip import fields_of

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16", "model.remat": "full", "train.batch_size": 32_768}
# Of appendix F: the largest learning rate and Adam's b2 and epsilon.
RATES = {
    "RN50": (5e-4, 0.999, 1e-8),
    "ViT-B/32": (5e-4, 0.98, 1e-6),
    "ViT-B/16": (5e-4, 0.98, 1e-6),
    "ViT-L/14": (4e-4, 0.98, 1e-6),
    "ViT-L/14@336": (2e-5, 0.98, 1e-6),
}


def get_config(preset="ViT-B/32"):
    file = preset not in clip.PRESETS and pathlib.Path(preset).expanduser().is_file()
    if preset not in clip.PRESETS and not file:
        raise InputError(
            f"--config: {preset!r} must be a preset, one of {', '.join(clip.PRESETS)}, or a file of weights"
        )
    model, data = fields_of(pretrained.sizes_of(pathlib.Path(preset).expanduser()) if file else clip.PRESETS[preset])
    rate, b2, epsilon = RATES.get(preset, RATES["ViT-B/32"])
    return defaults.experiment(
        "clip.CLIP",
        data=dict(name="captioned", parts=dict(pictures=dict(name="caption_folder", dir="")), workers=8, **data),
        model=model,
        init=dict(network=preset) if file else {},
        players=dict(
            network=defaults.player(
                rate, b1=0.9, b2=b2, epsilon=epsilon, weight_decay=0.2, schedule="cosine", warmup=2000
            )
        ),
        batch_size=32_768,
        steps=390_625,  # 32 epochs of 400 million pairs.
        best_metric="recall_at_1",
    )
