"""Weights of published line extraction: `netG_A_latest.pth` of informative-drawings, and what ControlNet's annotators
have of it, `sk_model.pth` (fine lines) and `sk_model2.pth` (coarse ones); for `nets.resnet_generator`."""

from vision_gen.pretrained import torch_layers


def _names(network):
    found = {"start": "model0.1", "out": "model4.1"}
    found |= {f"down/{i}": f"model1.{3 * i}" for i in range(2)} | {f"up/{i}": f"model3.{3 * i}" for i in range(2)}
    for i in range(len(network.blocks)):
        found |= {f"blocks/{i}/convs/{j}": f"model2.{i}.conv_block.{1 + 4 * j}" for j in range(2)}
    return found


read = torch_layers.reader(_names)
WRITERS = torch_layers.writers(_names, "netG_A_latest.pth")
