"""What lines to train on: SCFT and pix2pix trained on four kinds of lines, each tested on three.

    pip install py-phosphor-icons                 # Icons in line and flat tint, by other hands (MIT).
    python -m benchmarks.line_training --lines=runs/lines

Trained on XDoG's lines, on the artists', on those of a trained `lines.Lines` and on the last with an unsteady hand; the
drawings, steps and seed are the same. Tested on the artists' lines and XDoG's of held-out drawings, and on foreign line
art: icons whose tints are coloured at random, which is the truth. Everything goes through folders of pairs, below
`--workdir`. Prints a table and writes it to table.md there. About two hours on two cores; what is there by then is not
trained again.
"""

import colorsys
import importlib.resources
import os
import pathlib
import re
import sys

from absl import flags
import jax
import numpy as np
from PIL import Image

import vision_gen
from vision_gen import data
from vision_gen.configs import pix2pix_openmoji, scft_demo
from vision_gen.data import emoji_builders, images, openmoji_lines
from vision_gen.engine import commands
from vision_gen.errors import InputError
from vision_gen.ops import augment, colour

# Of training: which folder of lines, and how unsteady the hand is that draws them.
TRAINED = {
    "XDoG": ("xdog", 0.0),
    "artists": ("artist", 0.0),
    "network": ("network", 0.0),
    "network, unsteady": ("network", 0.7),
}
TESTED = ("artist", "xdog", "foreign")
FIGURES = {"scft": ("psnr", "correspondence"), "pix2pix": ("psnr",)}
EVERY = 3  # One in so many icons is tested on.


def configs(steps, size):
    """{system: config} with a share of the steps that fit into ten minutes."""
    scft, pix2pix = scft_demo.get_config(), pix2pix_openmoji.get_config()
    scft.train.steps, pix2pix.train.steps = max(1, round(2200 * steps)), max(1, round(800 * steps))
    pix2pix.model.update(width=20, discriminator_width=20)
    for config in (scft, pix2pix):
        config.data.update(name="pairs", size=size)
        config.model.line_share = 1.0
        config.train.update(eval_every=0, sample_every=0, checkpoint_every=config.train.steps)
    return {"scft": scft, "pix2pix": pix2pix}


def write(array, path):
    """Writes [height, width, 1 or 3] uint8 as a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(path)


def draw(folder, model, size):
    """Folders of pairs of OpenMoji: artist, xdog, network."""
    xdog = jax.jit(lambda batch, keys: colour.to_uint8(augment.sketches(batch, keys)))
    for split in data.SPLITS:
        source = data.open(data.Settings(name="openmoji", size=size), split)
        for i in range(len(source)):
            example, name = source[i], f"{split}/{source.name(i)}.png"
            key = jax.random.key(i)[None]
            lines = {
                "artist": example["line"],
                "xdog": np.asarray(xdog({"colour": example["colour"][None]}, key))[0],
                "network": model.sketch(example["colour"], weight=openmoji_lines.STROKE * size),
            }
            for kind, drawn in lines.items():
                write(drawn, folder / kind / "A" / name)
                write(example["colour"], folder / kind / "B" / name)


def draw_foreign(folder, size):
    """A folder of pairs, all of them for test, of icons in tints of random colours.

    Raises:
      InputError: the icons are not installed.
    """
    try:
        icons = importlib.resources.files("py_phosphor_icons") / "svgs" / "stroke" / "duotone"
    except ModuleNotFoundError:
        raise InputError("no py_phosphor_icons; pip install py-phosphor-icons") from None
    rng, tint = np.random.default_rng(0), ' opacity="0.2"'
    found = {path.name: path.read_text() for path in icons.iterdir()}
    for name in sorted(name for name, svg in found.items() if tint in svg and "<g" not in svg)[::EVERY]:
        svg = emoji_builders.of_weight(0.5, found[name])

        def coloured(found):
            rgb = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.4, 0.9), rng.uniform(0.6, 1))
            return f' fill="#{bytes(round(255 * x) for x in rgb).hex()}"'

        for side, text in (("A", re.sub(rf"<[^<]*{tint}[^>]*>", "", svg)), ("B", re.sub(tint, coloured, svg))):
            file = folder / "foreign" / side / "test" / f"{name.removesuffix('.svg')}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(images.rasterise(text, size))


def rows(workdir, steps, size):
    """Trains what is not trained yet; yields systems, what each was trained on, and its figures by test."""
    pictures = workdir / "pictures"
    for trained, (kind, unsteady) in TRAINED.items():
        for system, config in configs(steps, size).items():
            config.data.dir = str(pictures / kind)
            config.model.unsteady = unsteady
            with config.evaluations.unlocked():
                config.evaluations.update({name: {"dir": str(pictures / name)} for name in TESTED})
            run = workdir / f"{system}-{trained.replace(', ', '-')}"
            vision_gen.train(config, run)
            found = {}
            for name in TESTED:
                found[name], _ = vision_gen.evaluate(run, "last", name, metrics=FIGURES[system])
            yield system, trained, found


def table(found):
    """Lines of a table in Markdown of what `rows` gives."""
    titles = [f"{figure}, {name}" for name in TESTED for figure in FIGURES["scft"]]
    lines = [f"| system | trained on | {' | '.join(titles)} |", f"| {' | '.join(['---'] * (len(titles) + 2))} |"]
    for system, trained, figures in found:
        cells = [figures[name].get(figure) for name in TESTED for figure in FIGURES["scft"]]
        shown = ["" if cell is None else f"{cell:.2f}" if cell > 1 else f"{cell:.3f}" for cell in cells]
        lines.append(f"| {system} | {trained} | {' | '.join(shown)} |")
    return lines


def define():
    """The flags of this program."""
    flags.DEFINE_string("lines", None, "Run of a trained lines.Lines.", required=True)
    flags.DEFINE_string("workdir", "runs/line_training", "Where pictures and runs go.")
    flags.DEFINE_float("steps", 1.0, "Of the steps that take about ten minutes a run, this share.", lower_bound=0.001)
    flags.DEFINE_integer("size", 64, "Pixels of the pictures.")


def main(argv):
    del argv
    workdir, size = pathlib.Path(flags.FLAGS.workdir), flags.FLAGS.size
    pictures = workdir / "pictures"
    if not (pictures / "done").exists():
        draw_foreign(pictures, size)
        draw(pictures, vision_gen.load(flags.FLAGS.lines), size)
        (pictures / "done").touch()
    found = table(rows(workdir, flags.FLAGS.steps, size))
    print("\n".join(found))
    (workdir / "table.md").write_text("\n".join(found) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    vision_gen.show_log()
    define()
    sys.exit(commands.run(main))
