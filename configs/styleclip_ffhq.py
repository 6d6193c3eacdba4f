"""StyleCLIP's latent mapper (Patashnik et al., ICCV 2021, section 5) as released, for FFHQ at 1024 px and ViT-B/32.

--config.init.generator=stylegan2-ffhq-config-f.pt --config.init.clip=ViT-B-32.pt --config.model.text="a surprised face",
and for the term of identity --config.init.identity=model_ir_se50.pth. --config.data.dir=train_faces.pt trains on the
latents of a file.
"""

from vision_gen.engine import defaults

# Compiled at the paper's full size as it is; by tokens, as the vocabulary may not be there.
PAPER = {"model.text": (49406, 320, 49407)}


def get_config():
    return defaults.experiment(
        "styleclip.mapper.Mapper",
        data=dict(name="latents", size=1024, examples=5000),
        players=dict(mapper=defaults.player(0.5, optimizer="ranger")),
        batch_size=2,
        steps=50_000,
        best_metric="similarity",
        eval_every=2000,
        checkpoint_every=2000,
        eval_images=200,
    )
