"""What a run has logged, for a page that shows it."""

from vision_gen.engine import events


def curves_of_run(workdir):
    """{title: {"": (steps, values)}} of the validation figures and losses that a run has logged."""
    found = {}
    for name, points in events.scalars(workdir).items():
        if not (name.startswith("val/") or name.endswith("/loss")):
            continue
        last = {step: value for _, step, value in points}  # A resumed run logs steps twice.
        if len(last) > 1:
            steps = sorted(last)
            found[name] = {"": (steps, [last[step] for step in steps])}
    return dict(sorted(found.items()))
