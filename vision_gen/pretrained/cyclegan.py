"""Weights of the reference implementation of CycleGAN (`latest_net_G_A.pth`, ...), for `nets.resnet_generator`.

Its `G_A` paints a as b, and `D_A` judges b. Files of its older versions have running statistics that it never used.
"""

from vision_gen.pretrained import pix2pix, torch_layers

UNUSED = {"*running_mean": "statistics that are never used", "*running_var": "statistics that are never used"}


def _generator(network):
    found, index = {"start": "model.1"}, 4  # Behind the first padding, convolution, normalisation and activation.
    for i in range(len(network.down)):
        found[f"down/{i}"] = f"model.{index}"
        index += 3
    for i in range(len(network.blocks)):
        for j in range(2):  # Each behind a padding.
            found[f"blocks/{i}/convs/{j}"] = f"model.{index}.conv_block.{1 + 4 * j}"
        index += 1
    for i in range(len(network.up)):
        found[f"up/{i}"] = f"model.{index}"
        index += 3
    return found | {"out": f"model.{index + 1}"}


read_generator = torch_layers.reader(_generator, unused=UNUSED)
read_discriminator = torch_layers.reader(pix2pix.discriminator, unused=UNUSED)
WRITERS = {
    f"{name}_{ours}": torch_layers.writers(layers, f"latest_net_{letter}_{theirs}.pth")
    for name, letter, layers in (("generator", "G", _generator), ("discriminator", "D", pix2pix.discriminator))
    for ours, theirs in (("b", "A"), ("a", "B"))
}
