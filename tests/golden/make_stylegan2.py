"""Makes stylegan2_reference.npz: NVlabs/stylegan2-ada-pytorch's networks, on CPU, with weights by name.

Run with the reference's folder: python tests/golden/make_stylegan2.py stylegan2-ada-pytorch, in the repository's root.
"""

import json
import pathlib
import sys

import numpy as np
import torch

sys.path[:0] = [str(pathlib.Path(__file__).parent.parent.parent), sys.argv[1]]
from tests.golden import stylegan2_by_name as golden
from training import networks

NAMES = {"skip": "skip", "residual": "resnet", "orig": "orig"}


def seeded(network):
    state = {
        k: v if k.endswith("resample_filter") else torch.tensor(golden.weight(k, tuple(v.shape)))
        for k, v in network.state_dict().items()
    }
    network.load_state_dict(state)
    return network.requires_grad_(True)


def gradients(found, prefix, value, network):
    for parameter in network.parameters():
        parameter.grad = None
    value.backward()
    for name, parameter in network.named_parameters():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        found[f"{prefix}/{name}"] = golden.digest(grad.numpy())


found = {}
for case, of in golden.CASES.items():
    z, label, images, draws = (None if x is None else torch.tensor(x) for x in golden.inputs(case))
    common = dict(channel_base=golden.BASE, channel_max=golden.MAX, conv_clamp=of["conv_clamp"] or None)
    taps = list(of["taps"])
    generator = seeded(
        networks.Generator(
            z_dim=golden.Z,
            c_dim=of["classes"],
            w_dim=golden.W,
            img_resolution=of["size"],
            img_channels=3,
            mapping_kwargs=dict(num_layers=golden.DEPTH),
            synthesis_kwargs=dict(architecture=NAMES[of["generator"]], resample_filter=taps, **common),
        )
    )
    discriminator = seeded(
        networks.Discriminator(
            c_dim=of["classes"],
            img_resolution=of["size"],
            img_channels=3,
            architecture=NAMES[of["discriminator"]],
            block_kwargs=dict(resample_filter=taps),
            mapping_kwargs=dict(num_layers=golden.DEPTH),
            epilogue_kwargs=dict(mbstd_group_size=golden.GROUP),
            **common,
        )
    )
    for name, network in (("G", generator), ("D", discriminator)):
        found[f"{case}/{name}"] = json.dumps(list(network.state_dict()))
    generator.eval()
    with torch.no_grad():
        ws = generator.mapping(z, label, truncation_psi=golden.TRUNCATION, truncation_cutoff=golden.CUTOFF)
        found[f"{case}/ws"] = ws.numpy()
        for noise in ("const", "none"):
            image = generator.synthesis(ws, noise_mode=noise)
            found[f"{case}/image_{noise}"] = image.numpy()
    generator.train()
    ws = generator.mapping(z, label)
    found[f"{case}/w_avg"] = generator.mapping.w_avg.numpy().copy()
    image = generator.synthesis(ws, noise_mode="const")
    (slope,) = torch.autograd.grad((image * draws).sum(), [ws], create_graph=True)
    lengths = slope.square().sum(2).mean(1).sqrt()
    found[f"{case}/path_lengths"] = lengths.detach().numpy()
    gradients(found, f"{case}/path_length", (lengths - 0.1).square().mean(), generator)
    image = generator.synthesis(generator.mapping(z, label, skip_w_avg_update=True), noise_mode="const")
    gradients(found, f"{case}/generator", torch.nn.functional.softplus(-discriminator(image, label)).mean(), generator)

    images.requires_grad_(True)
    logits = discriminator(images, label)
    found[f"{case}/logits"] = logits.detach().numpy()
    (slope,) = torch.autograd.grad(logits.sum(), [images], create_graph=True)
    penalty = slope.square().sum([1, 2, 3])
    found[f"{case}/r1"] = penalty.detach().numpy()
    gradients(found, f"{case}/discriminator_r1", penalty.mean(), discriminator)
    logits = discriminator(images, label)
    gradients(found, f"{case}/discriminator", torch.nn.functional.softplus(logits).mean(), discriminator)
found = {k: v if isinstance(v, str) else np.float32(v) for k, v in found.items()}
np.savez_compressed(pathlib.Path(__file__).parent / "stylegan2_reference.npz", **found)
