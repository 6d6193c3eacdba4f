"""How far the metrics and the feature networks are from the implementations that papers cite.

    pip install -e '.[parity]'
    python -m benchmarks.agreement [--markdown=docs/agreement.md]

References that import beside this environment's torch run now; for pytorch-fid, clean-fid,
torch-fidelity, lpips and torchvision, their values lie in tests/golden (see the scripts there).
"""

import argparse
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from tests.golden import features_by_name
from tests.golden import metrics_by_seed as golden
from vision_gen.data import images
from vision_gen.metrics import distribution, image, perceptual, resizing
from vision_gen.nets import features
from vision_gen.ops import conv
from vision_gen.pretrained import features as reader
from vision_gen.pretrained import weights

GOLDEN = pathlib.Path(__file__).parent.parent / "tests" / "golden"
FILES = """
## Image files

Metrics of folders read files as pytorch-fid and clean-fid do: not turned by their EXIF orientation, transparency
dropped, palettes, CMYK, grey and one bit as PIL turns them into colours. On purpose otherwise:

| what | here | there |
| --- | --- | --- |
| 16-bit grey | scaled, 65,535 is white | clipped: all above 255 is white |
| integers beyond 16 bits, floats | refused by name | clipped at 0 and 255 |
| broken files | refused before the work | a traceback on the way |
| subfolders | read | read by clean-fid, left out by pytorch-fid |
| suffixes in capitals, `.JPG` | read | left out by pytorch-fid, some by clean-fid |
| `.pgm`, `.ppm`, `.npy` | left out, and counted in the log | read (`.npy` by clean-fid) |
"""


def relative(ours, theirs):
    """Largest difference as a share of the largest value."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30))


def networks():
    """Every activation of the networks, weights drawn by name."""
    origin = {"inception-2015": "pytorch-fid 0.3.0"}
    with np.load(GOLDEN / "features_reference.npz") as reference:
        for name, size in features_by_name.SIZES.items():
            network = nnx.eval_shape(lambda name=name: reader.NETWORKS[name](rngs=nnx.Rngs(0)))
            reader.fill(network, features_by_name.state_of(network))
            apply, params = reader.apply(network)
            run = jax.jit(apply, compiler_options=conv.compiler_options())  # As `metrics.extract` runs it.
            found = run(params, features_by_name.images(size))
            for full in reference:
                owner, _, tap = full.partition("/")
                if owner == name:
                    error = relative(features_by_name.some(found[tap]), reference[full])
                    yield f"{name}: {tap}", origin.get(name, "torchvision 0.29.1"), error, 1e-4


def efficientnet():
    """Logits with the published weights."""
    import efficientnet_lite_pytorch
    import torch

    path = str(weights.find("efficientnet-lite0"))
    model = efficientnet_lite_pytorch.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    network, _ = reader.load("efficientnet-lite0")
    x = features_by_name.images(224)
    normal = np.array(features._normalise(jnp.asarray(x))).transpose(0, 3, 1, 2)
    with torch.no_grad():
        theirs = model.eval()(torch.tensor(normal)).numpy()
    origin = "efficientnet-lite-pytorch 0.1.0"
    yield "efficientnet-lite0: logits, published weights", origin, relative(network(x), theirs), 1e-4


def distances():
    """Distances of sets of features, well and badly conditioned."""
    with np.load(GOLDEN / "metrics_reference.npz") as reference:
        for name, (a, b) in golden.feature_sets().items():
            moments = []
            for features_of in (a, b):
                each = distribution.Moments(a.shape[1])
                each.update(features_of)
                moments += each.result()
            found = distribution.frechet_distance(*moments)
            yield f"Frechet distance, {name}", "pytorch-fid 0.3.0", relative(found, reference[f"frechet/{name}"]), 1e-6
            kid, _ = distribution.kernel_distance(a, b, subset_size=len(a))
            yield f"KID, {name}", "torch-fidelity 0.4.0", relative(kid, reference[f"kid/{name}"]), 1e-5
            both = distribution.precision_recall(b, a)
            theirs = [reference[f"{m}/{name}"] for m in ("precision", "recall")]
            error = np.abs(np.array([both.precision, both.recall]) - theirs).max()
            yield f"precision and recall, {name}", "torch-fidelity 0.4.0", float(error), 1e-6
        logits = golden.logits()
        score = distribution.InceptionScore(len(logits), logits.shape[1])
        score.update(logits)
        error = relative(score.result()[0], reference["inception_score"])
        yield "Inception Score", "torch-fidelity 0.4.0", error, 1e-5
        for protocol, origin in (
            ("clean", "clean-fid 0.1.35"),
            ("legacy_pytorch", "clean-fid 0.1.35"),
            ("legacy_tensorflow", "torch-fidelity 0.4.0"),
        ):
            worst = 0.0
            for name, picture in golden.pictures().items():
                ours = resizing.resize(jnp.asarray(picture[None]), 299, protocol)[0]
                ours = features_by_name.some(ours)
                worst = max(worst, float(np.abs(ours - reference[f"{protocol}/{name}"]).max()))
            yield f"resizing, {protocol}, in grey levels", origin, worst, 1e-3
        for net, trunk in (("alex", "alexnet"), ("vgg", "vgg16")):
            network = nnx.eval_shape(lambda: reader.NETWORKS[trunk](classes=0, rngs=nnx.Rngs(0)))
            reader.fill(network, features_by_name.state_of(network))
            ours, theirs = (network(image, intermediates=True)[1] for image in golden.pair())
            layers = perceptual.LPIPS_LAYERS[trunk]
            found = perceptual.lpips(ours, theirs, features_by_name.lpips_scales(layers, ours))
            yield f"LPIPS, {trunk}", "lpips 0.1.4", relative(found, reference[f"lpips/{net}"]), 1e-4


def files():
    """Tricky image files, as they are read for metrics; but for 16-bit grey, which is read otherwise on purpose."""
    with np.load(GOLDEN / "files_reference.npz") as reference, tempfile.TemporaryDirectory() as folder:
        for origin, version in (("pytorch-fid", "0.3.0"), ("clean-fid", "0.1.35")):
            worst = 0
            for name in sorted(full.partition("/")[2] for full in reference if full.startswith("file/")):
                path = pathlib.Path(folder, name)
                path.write_bytes(reference[f"file/{name}"].tobytes())
                if name != "deep.png":
                    worst = max(worst, np.abs(np.int32(images.read_rgb(path)) - reference[f"{origin}/{name}"]).max())
            # Decoders of JPEG may round otherwise.
            yield "image files, in grey levels", f"{origin} {version}", float(worst), 2.0


def similarities():
    """Metrics of pairs of images."""
    import skimage.metrics
    import torch
    import torchmetrics.functional.image

    x, y = golden.smooth_pair()
    unit = lambda v: (v + 1) / 2
    settings = dict(channel_axis=2, data_range=1.0)
    theirs = [skimage.metrics.peak_signal_noise_ratio(unit(a), unit(b), data_range=1.0) for a, b in zip(x, y)]
    yield "PSNR", "scikit-image", relative(image.psnr(x, y), theirs), 1e-5
    theirs = [
        skimage.metrics.structural_similarity(
            unit(a), unit(b), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, **settings
        )
        for a, b in zip(x, y)
    ]
    yield "SSIM (borders treated otherwise)", "scikit-image", relative(image.ssim(x, y), theirs), 2e-3
    a, b = (torch.tensor(unit(v).transpose(0, 3, 1, 2)) for v in (x, y))
    theirs = torchmetrics.functional.image.multiscale_structural_similarity_index_measure(
        a, b, data_range=1.0, reduction="none"
    )
    yield "MS-SSIM", "torchmetrics", relative(image.ms_ssim(x, y), theirs.numpy()), 1e-3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", type=pathlib.Path, help="also write the table here")
    arguments = parser.parse_args()
    rows = []
    for part in (networks, efficientnet, distances, similarities, files):
        for what, origin, error, bound in part():
            rows.append((what, origin, error, bound))
            print(f"{what:<48} {origin:<32} {error:9.2g}  within {bound:.0e}: {'yes' if error <= bound else 'NO'}")
    if arguments.markdown:
        lines = [
            "# Agreement with the implementations that papers cite",
            "",
            "Made by `python -m benchmarks.agreement --markdown=docs/agreement.md`. Largest difference as a share of",
            "the largest value, but for resizing and image files, which are in grey levels of 255, and precision and",
            "recall.",
            "",
            "| what | reference | difference | bound |",
            "| --- | --- | --- | --- |",
            *(f"| {what} | {origin} | {error:.2g} | {bound:.0e} |" for what, origin, error, bound in rows),
        ]
        arguments.markdown.write_text("\n".join(lines) + "\n" + FILES)
    return int(any(error > bound for *_, error, bound in rows))


if __name__ == "__main__":
    sys.exit(main())
