"""Weights of the released code of StarGAN (`200000-G.ckpt`, `200000-D.ckpt`), for `nets.stargan`."""

from vision_gen.pretrained import torch_layers


def _generator(network):
    found, index = {}, 0  # Of `main`: a convolution, its normalisation and its activation, or a block.
    for i in range(len(network.down)):
        found |= {f"down/{i}": f"main.{index}", f"down_norms/{i}": f"main.{index + 1}"}
        index += 3
    for i in range(len(network.blocks)):
        for j in range(2):
            found |= {
                f"blocks/{i}/convs/{j}": f"main.{index}.main.{3 * j}",
                f"blocks/{i}/norms/{j}": f"main.{index}.main.{3 * j + 1}",
            }
        index += 1
    for i in range(len(network.up)):
        found |= {f"up/{i}": f"main.{index}", f"up_norms/{i}": f"main.{index + 1}"}
        index += 3
    return found | {"out": f"main.{index}"}


def _discriminator(network):
    return {"source": "conv1", "classes": "conv2", **{f"convs/{i}": f"main.{2 * i}" for i in range(len(network.convs))}}


read_generator = torch_layers.reader(_generator)
read_discriminator = torch_layers.reader(_discriminator)
GENERATOR_WRITERS = torch_layers.writers(_generator, "{step}-G.ckpt")
DISCRIMINATOR_WRITERS = torch_layers.writers(_discriminator, "{step}-D.ckpt")
