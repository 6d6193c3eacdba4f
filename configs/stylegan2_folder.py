"""StyleGAN2 with adaptive augmentation on a folder of images, by a preset of the reference's: --config.data.dir=FOLDER.

--config=stylegan2_folder:PRESET,SIZE,CHIPS with PRESET "auto", "stylegan2", "paper256", "paper512", "paper1024" or "cifar".
"auto", the default, chooses by the size in pixels and the number of chips; of the others the size is the preset's unless
it is given. For a zip of the reference's: --config.data.name=image_zip --config.data.dir=FILE.zip. For labels:
--config.data.labels=True --config.model.classes=N.
"""

from vision_gen.engine import defaults
from vision_gen.errors import InputError

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {}

# Size, thousands of images to train on, batch, images whose deviation the discriminator sees, width, learning rate, weight
# of the gradient penalty, half-life of the average and share of the images seen that it has at first, mapping layers.
PRESETS = {
    "stylegan2": (1024, 25_000, 32, 4, 1.0, 0.002, 10.0, 10_000, 0.0, 8),
    "paper256": (256, 25_000, 64, 8, 0.5, 0.0025, 1.0, 20_000, 0.0, 8),
    "paper512": (512, 25_000, 64, 8, 1.0, 0.0025, 0.5, 20_000, 0.0, 8),
    "paper1024": (1024, 25_000, 32, 4, 1.0, 0.002, 2.0, 10_000, 0.0, 8),
    "cifar": (32, 100_000, 64, 32, 1.0, 0.0025, 0.01, 500_000, 0.05, 2),
}


def auto(size, chips):
    """The preset that suits a size and a number of chips."""
    batch = max(min(chips * min(4096 // size, 32), 64), chips)
    group, width = min(batch // chips, 4), 1.0 if size >= 512 else 0.5
    rate = 0.002 if size >= 1024 else 0.0025
    return size, 25_000, batch, group, width, rate, 0.0002 * size**2 / batch, batch * 10_000 / 32, 0.05, 2


def get_config(preset="auto"):
    name, *numbers = preset.split(",")
    if name not in ("auto", *PRESETS) or len(numbers) > 2 or not all(n.isdigit() and int(n) for n in numbers):
        known = ", ".join(("auto", *PRESETS))
        raise InputError(f"--config: {preset!r} must be PRESET, PRESET,SIZE or PRESET,SIZE,CHIPS; presets are {known}")
    numbers = [int(n) for n in numbers]
    chosen = auto(*(numbers + [256, 1][len(numbers) :])) if name == "auto" else PRESETS[name]
    size, thousands, batch, group, width, rate, r1_weight, half_life, ramp, mapping_layers = chosen
    of_discriminator = dict(b1=0.0, b2=0.99)
    of_generator = of_discriminator | dict(ema_half_life=half_life, ema_ramp=ramp)
    model, own_rate, path_length_every = {}, rate, 4
    if name == "cifar":
        model = dict(architecture="orig", style_mixing=0.0, path_length_weight=0.0)
        # No path lengths; the reference still corrects the generator's rate for them.
        own_rate, path_length_every, of_generator["b2"] = rate * 4 / 5, 0, 0.99 ** (4 / 5)
    return defaults.experiment(
        "stylegan2.StyleGAN2",
        data=dict(name="image_folder", size=numbers[0] if numbers else size),
        model=dict(
            channel_base=int(32768 * width),
            mapping_layers=mapping_layers,
            group=group,
            r1_weight=r1_weight,
            perceptual="efficientnet-lite0",
            **model,
        ),
        players=dict(
            discriminator=defaults.player(rate, **of_discriminator),
            r1=defaults.player(rate, every=16, **of_discriminator),
            generator=defaults.player(own_rate, **of_generator),
            path_length=defaults.player(own_rate, every=path_length_every, shrink=2, **of_generator),
        ),
        batch_size=batch,
        steps=1000 * thousands // batch,
        best_metric="patch_distance",
        best_mode="min",
        log_every=100,
        sample_every=2000,
        eval_every=5000,
        eval_images=1024,
        checkpoint_every=5000,
    )
