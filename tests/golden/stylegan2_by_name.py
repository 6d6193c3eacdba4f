"""Networks, weights and inputs that the fixture of StyleGAN2 was made with."""

import zlib

import numpy as np

# What each case is built of, in the fields of `nets.stylegan2`.
CASES = {
    "skip": dict(size=16, classes=0, taps=(1, 3, 3, 1), conv_clamp=256.0, generator="skip", discriminator="residual"),
    "residual": dict(size=8, classes=3, taps=(1, 2, 1), conv_clamp=1.5, generator="residual", discriminator="skip"),
    "orig": dict(size=8, classes=0, taps=(1, 3, 3, 1), conv_clamp=0.0, generator="orig", discriminator="orig"),
}
Z, W, BASE, MAX, DEPTH, GROUP = 6, 8, 64, 10, 2, 2
BATCH = 4
TRUNCATION, CUTOFF = 0.7, 2


def weight(name, shape):
    """The value of a parameter or buffer, by the name in its file; spread so that every part of it matters."""
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith(("noise_strength", "noise.weight")):
        values = 0.3 + 0.1 * values
    elif name.endswith(("affine.bias", "modulation.bias")):
        values = 1 + 0.3 * values
    elif "mapping.fc" in name or name.startswith("style."):
        values = values * (100 if name.endswith("weight") else 20)
    elif name.endswith(("bias", "w_avg", "latent_avg")):
        values = 0.3 * values
    return np.asarray(values, np.float32)


def inputs(case):
    """z, labels (one-hot, or None), images [batch, channel, height, width] and the draws of the path length."""
    rng = np.random.default_rng(0)
    size = CASES[case]["size"]
    z = np.float32(rng.standard_normal((BATCH, Z)))
    label = np.eye(3, dtype=np.float32)[[0, 2, 1, 2]] if CASES[case]["classes"] else None
    images = np.float32(rng.uniform(-1, 1, (BATCH, 3, size, size)))
    draws = np.float32(rng.standard_normal(images.shape) / size)
    return z, label, images, draws


def digest(value):
    """A few numbers that tell an array: its norm, its sum and 16 entries."""
    flat = np.asarray(value, np.float64).ravel()
    return np.concatenate([[np.linalg.norm(flat), flat.sum()], flat[:: max(1, flat.size // 16)][:16]])


def settings(case):
    """(`GeneratorSettings`, `DiscriminatorSettings`) of a case, in float32."""
    from vision_gen.nets import stylegan2

    of = CASES[case]
    alike = dict(
        size=of["size"],
        classes=of["classes"],
        taps=of["taps"],
        conv_clamp=of["conv_clamp"],
        channel_base=BASE,
        channel_max=MAX,
        mapping_layers=DEPTH,
        half_resolutions=0,
    )
    generator = stylegan2.GeneratorSettings(**alike, architecture=of["generator"], z_size=Z, w_size=W)
    return generator, stylegan2.DiscriminatorSettings(**alike, architecture=of["discriminator"], group=GROUP)


def state_of(network, layout):
    """The reference's state dict for a network of ours, drawn by name."""
    from vision_gen.pretrained import named

    shapes = named.written(network, layout)
    return {name: weight(name, value.shape) for name, value in shapes.items()}


def rosinality_inputs():
    """z and images [batch, channel, height, width] of the fixture of rosinality's networks."""
    rng = np.random.default_rng(0)
    return np.float32(rng.standard_normal((2, 512))), np.float32(rng.uniform(-1, 1, (4, 3, 8, 8)))
