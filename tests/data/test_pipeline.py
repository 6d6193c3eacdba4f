"""Batches: repeatable, resumable, divided over processes, in the order that the source gives."""

import numpy as np
import pytest

from vision_gen import data
from vision_gen.data import pipeline, source
from vision_gen.errors import InputError


@pytest.fixture(scope="module")
def digits():
    return data.open(data.Settings(name="digits", size=8), "val")


class Numbers(source.Source):
    """Ten numbers, each with the epoch in which it is asked for in the order below."""

    shapes = {"number": data.ShapeDtype((), np.dtype(np.int64))}

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {"number": np.int64(index)}

    def name(self, index):
        return str(index)


class Ordered(Numbers):
    """An order of its own, of three examples an epoch."""

    def order(self, epoch, seed):
        return np.array([epoch % 10, (epoch + 1) % 10, seed])


def take(batches, count, name="colour"):
    return [next(batches)[name] for _ in range(count)]


def test_batches_repeat_by_seed_resume_and_divide_over_processes(digits):
    batches = lambda seed=0, **more: pipeline.training_batches(digits, batch_size=8, seed=seed, **more)
    whole = batches()
    first = take(whole, 30)
    after = take(whole, 2)
    np.testing.assert_array_equal(take(batches(), 30), first)
    np.testing.assert_array_equal(take(batches(seen=30 * 8), 2), after)
    halves = take(pipeline.training_batches(digits, batch_size=4, seed=0, seen=30 * 8), 2)
    np.testing.assert_array_equal(np.concatenate(halves), after[0])
    parts = [take(batches(process=p, processes=2), 3) for p in range(2)]
    for number in range(3):
        joined = np.concatenate([parts[0][number], parts[1][number]])
        order = lambda x: sorted(image.tobytes() for image in x)
        assert order(joined) == order(first[number])
    assert not np.array_equal(take(batches(seed=1), 1), first[:1])
    with pytest.raises(InputError, match="config.train.batch_size is 8; it must be a multiple of the 3 processes"):
        batches(processes=3)


def test_worker_processes_give_the_same_batches(digits):
    expected = take(pipeline.training_batches(digits, batch_size=8, seed=0), 13)
    found = pipeline.training_batches(digits, batch_size=8, seed=0, workers=2)
    np.testing.assert_array_equal(take(found, 13), expected)


def test_the_default_order_is_one_shuffle_an_epoch_as_in_former_versions():
    batches = pipeline.training_batches(Numbers(), batch_size=4, seed=3)
    found = np.concatenate(take(batches, 5, "number"))
    expected = [np.random.default_rng([3, epoch]).permutation(10) for epoch in range(2)]
    np.testing.assert_array_equal(found, np.concatenate(expected))
    assert sorted(found[:10]) == list(range(10)) and not np.array_equal(found[:10], found[10:])


def test_a_source_orders_its_epochs_itself():
    batches = pipeline.training_batches(Ordered(), batch_size=2, seed=7)
    np.testing.assert_array_equal(np.concatenate(take(batches, 6, "number")), [0, 1, 7, 1, 2, 7, 2, 3, 7, 3, 4, 7])


def test_evaluation_sees_each_example_once(digits):
    seen = [i for _, index in pipeline.evaluation_batches(digits, 32, limit=70) for i in index]
    assert sorted(i for i in seen if i >= 0) == list(range(70)) and len(seen) == 96
