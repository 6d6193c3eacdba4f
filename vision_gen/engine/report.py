"""What a run has logged, for a page that shows it."""


def curves_of_run(workdir):
    """{title: {"": (steps, values)}} of the validation figures and losses that a run has logged."""
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util import tensor_util

    events = event_accumulator.EventAccumulator(str(workdir), size_guidance={"tensors": 500})
    events.Reload()
    found = {}
    for tag in events.Tags()["tensors"]:
        if not (tag.startswith("val/") or tag.endswith("/loss")):
            continue
        points = {e.step: e.tensor_proto for e in events.Tensors(tag)}  # A resumed run logs steps twice.
        values = [float(tensor_util.make_ndarray(points[step])) for step in sorted(points)]
        if len(values) > 1:
            found[tag] = {"": (sorted(points), values)}
    return dict(sorted(found.items()))
