"""Makes torch_reference.npz: what torch 2.13.0, torchmetrics 1.9.0, scikit-image 0.26.0, transformers 5.24.0 and
efficientnet-lite-pytorch 0.1.0 give for inputs by seed.

Run where the `parity` extra is installed, in the repository's root: python -m tests.golden.make_torch
"""

import collections
import io
import pathlib

import efficientnet_lite_pytorch
import numpy as np
import skimage.metrics
import torch
import torchmetrics.functional.image
import transformers

from benchmarks.peers import nerf
from tests.golden import features_by_name, metrics_by_seed, ops_by_seed
from tests.nets.test_vit import weight
from vision_gen.pretrained import weights

F = torch.nn.functional
found = {}


def nchw(x):
    return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))


def nhwc(x):
    return x.detach().numpy().transpose(0, 2, 3, 1)


def operations():
    for padding in ("zeros", "border"):
        for align in (False, True):
            image, grid, change = ops_by_seed.sampled()
            image, grid = nchw(image).requires_grad_(), torch.tensor(grid, requires_grad=True)
            out = F.grid_sample(image, grid, padding_mode=padding, align_corners=align)
            out.backward(nchw(change))
            parts = nhwc(out), nhwc(image.grad), grid.grad.numpy()
            names = (f"grid_sample/{padding}/{align}/{part}" for part in ("out", "image", "grid"))
            found.update(zip(names, parts))
    x = nchw(ops_by_seed.pooled())
    found["max_pool/3/2/0"], found["max_pool/3/1/1"] = nhwc(F.max_pool2d(x, 3, 2)), nhwc(F.max_pool2d(x, 3, 1, 1))
    found["average_pool"] = nhwc(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))
    for size in ops_by_seed.CUBIC:
        out = F.interpolate(nchw(ops_by_seed.pooled()), size, mode="bicubic", align_corners=False)
        found[f"cubic/{size[0]}"] = nhwc(out)


def similarities():
    x, y = ((v + 1) / 2 for v in metrics_by_seed.smooth_pair())
    settings = dict(channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    found["ssim"] = [skimage.metrics.structural_similarity(a, b, **settings) for a, b in zip(x, y)]
    msssim = torchmetrics.functional.image.multiscale_structural_similarity_index_measure
    found["ms_ssim"] = msssim(nchw(x), nchw(y), data_range=1.0, reduction="none").numpy()


def efficientnet():
    path = str(weights.find("efficientnet-lite0"))
    model = efficientnet_lite_pytorch.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    taps = {}
    model._blocks[4].register_forward_hook(lambda m, i, o: taps.update(stage3=o.permute(0, 2, 3, 1)))
    model._avg_pooling.register_forward_hook(lambda m, i, o: taps.update(features=o[..., 0, 0]))
    mean, deviation = (np.float32(v) for v in features_by_name.IMAGENET)
    with torch.no_grad():
        taps["logits"] = model(nchw(((features_by_name.images(224) + 1) / 2 - mean) / deviation))
    found.update({f"efficientnet-lite0/{tap}": features_by_name.some(value.numpy()) for tap, value in taps.items()})


def files():
    """Files of both of torch's formats, with views, half precision and a parameter."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = collections.OrderedDict(
        whole=base,
        view=base.T[1:3],  # Strided, with an offset, in the same storage.
        half=base.half(),
        brain=base.bfloat16(),
        count=torch.tensor(7),
        parameter=torch.nn.Parameter(torch.tensor(ops_by_seed.pooled()[0, :2, :3, 0])),
    )
    for name, value in state.items():
        found[f"file/values/{name}"] = value.detach().double().numpy()
    for zipped in (True, False):
        for kind, content in (("", state), ("parallel", {f"module.{k}": v for k, v in state.items()})):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
            found[f"file/{zipped}/{kind}"] = np.frombuffer(file.getvalue(), np.uint8)


def transformer():
    """As the other releases of tests/nets/test_vit.py."""
    config = transformers.ViTConfig(
        hidden_size=48, intermediate_size=192, num_attention_heads=3, num_hidden_layers=3, patch_size=16, image_size=64,
        num_labels=7, layer_norm_eps=1e-6, hidden_act="gelu", attn_implementation="eager",
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    state = {name: torch.tensor(weight(name, tuple(value.shape))) for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)
    images = torch.tensor(images, requires_grad=True)
    logits = model(images).logits
    torch.logsumexp(logits, -1).sum().backward()
    found["transformers_names"] = [f"{name}:{','.join(map(str, value.shape))}" for name, value in state.items()]
    found["transformers_logits"] = logits.detach().numpy()
    found["transformers_image_gradient"] = images.grad.numpy()[:, :, ::8, ::8]


def fields():
    """Rays through NeRF's networks, weights by name, and gradients of the sum of their colours' squares."""
    x, d, t = map(torch.tensor, ops_by_seed.rays())
    for part in ("coarse", "fine"):
        network = nerf.RadianceMLP(64)
        state = {k: features_by_name.weight(f"{part}.{k}", tuple(v.shape)) for k, v in network.state_dict().items()}
        network.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
        colour = nerf.composite(*network(x, d[:, None]), t, d)[1]
        (colour**2).sum().backward()
        found[f"nerf/{part}/colour"] = colour.detach().numpy()
        for name in (*(f"pts_linears.{i}" for i in range(8)), "rgb_linear"):
            gradient = network.get_submodule(name).weight.grad.numpy().T
            found[f"nerf/{part}/{name}"] = features_by_name.some(gradient)


for part in (operations, similarities, efficientnet, files, transformer, fields):
    part()
target = pathlib.Path(__file__).parent / "torch_reference.npz"
np.savez_compressed(target, **found)
print(target, target.stat().st_size, [(name, np.shape(value)) for name, value in found.items()])
