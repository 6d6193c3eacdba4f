"""Lines of colour art, learned from OpenMoji's own, of drawings of 128 px: sized for 10 minutes on two CPU cores."""

from vision_gen.engine import defaults

# What differs at a larger size, as benchmarks.compile_only --scale=paper compiles it for accelerators; no paper's.
PAPER = {
    "data.size": 512,
    "model.crop": 256,
    "model.width": 48,
    "model.levels": 5,
    "train.batch_size": 32,
    "dtype": "bfloat16",
}


def get_config():
    return defaults.experiment(
        "lines.Lines",
        data=dict(name="openmoji_lines", size=128),
        model=dict(crop=64),
        players=dict(
            network=defaults.player(2e-3, b1=0.9, schedule="cosine", warmup=100, clip=1.0, ema_half_life=1500)
        ),
        batch_size=16,
        steps=3000,
        log_every=100,
        sample_every=1000,
        eval_every=1000,
        eval_images=128,
        checkpoint_every=1000,
        best_metric="f_flat",
    )
