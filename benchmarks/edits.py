"""What StyleCLIP's edits do, in each of its three ways, to a judge that was trained on real pictures.

    python -m benchmarks.edits --config=styleclip --pictures=100 --mappers=runs/blond,runs/glasses

Pictures of seeds from 0 on are changed by `EDITS`: by optimisation, along global directions, and by the mapper of a run
whose text is that of the edit. The judge, a classifier of the traits of avatars, says on how many of them the
asked trait is seen afterwards and was before, how many of the other traits it sees unchanged, and how long a
picture took, without the first. Writes a sheet for each way, before and after by edit, into --output.
"""

import pathlib
import sys
import time

from absl import flags
import numpy as np

import vision_gen
from vision_gen import values
from vision_gen.engine import commands, use
from vision_gen.errors import InputError
from vision_gen.figures import sheets

NEUTRAL = "a person"
EDITS = {  # The text, and what the judge is to see.
    "a person with blond hair": "hair_colour=blond",
    "a person with red hair": "hair_colour=red",
    "a person with round glasses": "glasses=round",
    "a person with a full beard": "facial_hair=full beard",
    "a person wearing a beanie": "top=beanie",
    "a person in green clothes": "clothing_colour=green",
}
ROWS = 6  # Of a sheet.


def ways(model, mappers, options):
    """{way: function (seed, text) -> images after and before, or None where there is no mapper of that text}.

    Args:
      model: of `styleclip.editing.StyleCLIP`.
      mappers: {text: a model of `styleclip.mapper.Mapper`}.
      options: {tool: its options by name}.
    """
    return {
        "optimise": lambda seed, text: model.optimise(seed, text, **options.get("optimise", {})),
        "steer": lambda seed, text: model.steer(seed, NEUTRAL, text, **options.get("steer", {})),
        "edit": lambda seed, text: mappers[text].edit(seed, **options.get("edit", {})) if text in mappers else None,
    }


def judged(judge, pictures):
    """What a judge sees, [{trait: value}] of pictures."""
    return [{trait: next(iter(shares)) for trait, shares in judge.classify(picture).items()} for picture in pictures]


def figures(before, after, asked):
    """(share with the asked trait afterwards, before, share of the other traits that are as before)."""
    trait, _, value = asked.partition("=")
    seen = lambda faces: np.mean([face[trait] == value for face in faces])
    kept = [a[name] == b[name] for a, b in zip(before, after) for name in a if name != trait]
    return seen(after), seen(before), np.mean(kept)


def define():
    """The flags of this program."""
    commands.define_config("config", "The experiment, of styleclip.editing.StyleCLIP.")
    flags.DEFINE_integer("pictures", 100, "Of each edit.", lower_bound=2)
    flags.DEFINE_list("mappers", [], "Runs of styleclip.mapper.Mapper.")
    flags.DEFINE_list("ways", ["optimise", "steer", "edit"], "Those that are measured.")
    flags.DEFINE_list("options", [], "Of tools: tool.name=value.")
    flags.DEFINE_string("judge", "zoo/vit_avatars", "A classifier of the traits of avatars.")
    flags.DEFINE_string("output", "runs/edits", "Folder of the sheets.")


def main(argv):
    del argv
    chosen, count = flags.FLAGS, flags.FLAGS.pictures
    model, judge = use.from_config(chosen.config), vision_gen.load(chosen.judge)
    known = getattr(judge.experiment.model, "answers", ())
    for asked in EDITS.values():
        if asked not in known:
            raise InputError(f"--judge: {chosen.judge} does not judge {asked}")
    runs = [vision_gen.load(path) for path in chosen.mappers]
    options = {}
    for given in chosen.options:
        name, equals, value = given.partition("=")
        tool, dot, option = name.partition(".")
        if not (equals and dot):
            raise InputError(f"--options: {given!r} must be tool.name=value")
        options.setdefault(tool, {})[option] = value
    found = ways(model, {run.experiment.model.text: run for run in runs}, options)
    folder = pathlib.Path(chosen.output)
    print("| way | edit | asked trait seen | before | others kept | ms a picture |", "| --- " * 6 + "|", sep="\n")
    for way in chosen.ways:
        if way not in found:
            raise InputError(f"--ways: {way!r} must be one of {', '.join(found)}")
        columns = {}
        for text, asked in EDITS.items():
            if found[way](0, text) is None:
                continue
            begun = time.perf_counter()
            made = [found[way](seed, text) for seed in range(count)]
            spent = (time.perf_counter() - begun) / count
            before, after = ([out[name] for out in made] for name in ("before", "image"))
            columns |= {"before": before[:ROWS], text: after[:ROWS]}
            cells = figures(judged(judge, before), judged(judge, after), asked)
            print(
                f"| {way} | {text} | {' | '.join(f'{cell:.2f}' for cell in cells)} | {1000 * spent:.0f} |", flush=True
            )
        if columns:
            values.Image().write(sheets.sheet(columns), folder / f"{way}.png")
            print(f"wrote {folder / f'{way}.png'}", file=sys.stderr)


if __name__ == "__main__":
    define()
    flags.mark_flags_as_required(["config"])
    sys.exit(commands.run(main))
