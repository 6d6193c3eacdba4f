"""Makes files_reference.npz: tricky image files, and what pytorch-fid 0.3.0 and clean-fid 0.1.35 read of them.

Run where pytorch_fid and cleanfid can be imported (`pip install --no-deps pytorch-fid==0.3.0 clean-fid==0.1.35` beside
torch; their readers need nothing of torchvision), in the repository's root: python -m tests.golden.make_files
"""

import pathlib
import sys
import tempfile
import types

import numpy as np
from PIL import Image

try:
    import torchvision  # noqa: F401
except ImportError:
    transforms = types.SimpleNamespace(ToTensor=lambda: np.float32)
    inception = types.SimpleNamespace(InceptionA=object, InceptionC=object, InceptionE=object)
    models = types.SimpleNamespace(inception=inception)
    sys.modules["torchvision"] = types.SimpleNamespace(transforms=transforms, models=models)
    sys.modules["torchvision.transforms"] = transforms
from cleanfid.utils import ResizeDataset
from pytorch_fid.fid_score import ImagePathDataset


def write_files(folder):
    """Pictures that readers are known to differ about."""
    rng = np.random.default_rng(0)
    noise = lambda channels, dtype=np.uint8: rng.integers(0, np.iinfo(dtype).max, (20, 24, channels), dtype).squeeze()
    smooth = Image.fromarray(rng.integers(0, 256, (3, 3, 3), np.uint8)).resize((24, 20), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by a quarter.
    smooth.save(folder / "turned.jpg", exif=exif)
    smooth.save(folder / "turned.png", exif=exif)
    smooth.convert("CMYK").save(folder / "cmyk.jpg")
    smooth.convert("CMYK").save(folder / "cmyk.tif")
    clear = Image.fromarray(noise(4))
    clear.save(folder / "clear.png")
    clear.save(folder / "clear.webp", lossless=True, exact=True)
    Image.fromarray(noise(2), "LA").save(folder / "clear_grey.png")
    Image.fromarray(noise(1)).save(folder / "grey.png")
    Image.fromarray(noise(1) > 99).save(folder / "bits.png")
    palette = Image.fromarray(noise(3)).quantize(16)
    palette.save(folder / "palette.png", transparency=3)
    palette.save(folder / "palette_alpha.png", transparency=bytes(range(0, 160, 10)))
    Image.fromarray(noise(1, np.uint16)).save(folder / "deep.png")


def main():
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_files(folder)
        paths = sorted(folder.iterdir())
        theirs = ResizeDataset(paths, "clean")
        for number, (path, image) in enumerate(zip(paths, ImagePathDataset(paths))):
            found[f"file/{path.name}"] = np.frombuffer(path.read_bytes(), np.uint8)
            found[f"pytorch-fid/{path.name}"] = np.asarray(image)
            read = []
            theirs.custom_image_tranform = lambda array, read=read: read.append(array) or array
            theirs[number]
            (found[f"clean-fid/{path.name}"],) = read
    target = pathlib.Path(__file__).parent / "files_reference.npz"
    np.savez_compressed(target, **found)
    print(target, target.stat().st_size, {name: value.shape for name, value in found.items()})


if __name__ == "__main__":
    main()
