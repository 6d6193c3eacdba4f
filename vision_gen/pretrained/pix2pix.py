"""Weights of the reference implementation of pix2pix (`latest_net_G.pth`, `latest_net_D.pth`)."""

from vision_gen.pretrained import torch_layers


def _generator(network):
    """The layers of a U-Net (`unet_128`, `unet_256`)."""
    stages = len(network.down)
    names = {}
    for i in range(stages):
        # Each stage is nested in the one before; the outermost has no activation in front.
        prefix = "model." + "model.1." * min(i, 1) + "model.3." * max(i - 1, 0) + "model."
        outermost, innermost = i == 0, i == stages - 1
        names[f"down/{i}"] = f"{prefix}{0 if outermost else 1}"
        names[f"up/{i}"] = f"{prefix}{3 if outermost or innermost else 5}"
        if not outermost and not innermost:
            names[f"down_norm/{i}"] = f"{prefix}2"
        if not outermost:
            names[f"up_norm/{i}"] = f"{prefix}{4 if innermost else 6}"
    return names


def discriminator(network):
    """The layers of a PatchGAN (`basic`, `n_layers`), by those of ours."""
    names, index = {}, 0
    for i, norm in enumerate(network.norms):
        names[f"convs/{i}"] = f"model.{index}"
        index += 1
        if norm is not None:
            names[f"norms/{i}"] = f"model.{index}"
            index += 1
        index += 1  # The activation.
    return names


read_generator, read_discriminator = torch_layers.reader(_generator), torch_layers.reader(discriminator)
GENERATOR_WRITERS = torch_layers.writers(_generator, "latest_net_G.pth")
DISCRIMINATOR_WRITERS = torch_layers.writers(discriminator, "latest_net_D.pth")
