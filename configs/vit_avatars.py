"""A small ViT that tells every trait of an avatar: a judge of what other systems generate.

Mean pooling and fixed positions, as `vit_openmoji`; no changes of colour, which is what many traits are.
"""

from vision_gen.configs import vit_imagenet
from vision_gen.data import avatar_faces
from vision_gen.systems import classifier


def get_config():
    config = vit_imagenet.get_config()
    config.data.update(name="avatars", size=64, workers=0)
    answers = classifier.answers(avatar_faces.TRAITS)
    config.model.update(
        patch=8, classes=len(answers), answers=answers, positions="sincos", pool="gap", dropout=0.0, drop_path=0.0,
        unroll=4, crop_area=0.9, operations=0, mixup=0.0,
    )
    config.model.size = (128, 256, 4, 4)  # Width, MLP, heads, depth.
    config.players.network.update(learning_rate=2e-3, weight_decay=0.05, warmup=100, ema_half_life=12_800)
    config.train.update(
        batch_size=64, steps=3000, log_every=100, sample_every=0, eval_every=1000, eval_images=512, checkpoint_every=500
    )
    return config
