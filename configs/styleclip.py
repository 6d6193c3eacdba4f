"""StyleCLIP (Patashnik et al., ICCV 2021) without training: pictures of StyleGAN2, changed by what a text says.

python eval.py --config=styleclip optimise latent=3 text="a person with blond hair" --output=blond.png
python eval.py --config=styleclip steer latent=3 neutral="a person" target="a person with blond hair" --output=blond.png

It uses the small models of cartoon faces that ship. --config=styleclip:ffhq is of the published ones at 1024 px:
--config.init.generator=stylegan2-ffhq-config-f.pt --config.init.clip=ViT-B-32.pt, and for the term of identity
--config.init.identity=model_ir_se50.pth. Runs do as well: --config.init.generator=runs/x
--config.init.clip=runs/y:network.
"""

from vision_gen.engine import defaults
from vision_gen.errors import InputError

AVATARS = dict(generator="zoo/stylegan2_avatars", clip="zoo/clip_avatars:network")


def get_config(preset="avatars"):
    if preset not in ("avatars", "ffhq"):
        raise InputError(f'--config: {preset!r} must be "avatars" or "ffhq"')
    avatars = preset == "avatars"
    return defaults.experiment(
        "styleclip.editing.StyleCLIP",
        data=dict(name="latents", size=64 if avatars else 1024),
        init=AVATARS if avatars else {},
    )
