"""TensorBoard's events: what is written can be read, by TensorBoard too, and a full disk is one error."""

import io
import os
import struct
import time

import jax
import numpy as np
from PIL import Image
import pytest
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from tests.conftest import ROOT
from vision_gen.engine import events, report
from vision_gen.errors import InputError

OF_TENSORFLOW = ROOT / "tests" / "golden" / "run_of_tensorflow"  # By clu 0.0.12's SummaryWriter, tensorflow 2.21.


@pytest.fixture
def written(tmp_path):
    """A folder with scalars, pictures and hyperparameters, and the pictures."""
    pictures = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    writer = events.Writer(tmp_path)
    writer.write_hparams({"seed": 3, "dtype": "float32", "rate": 0.5, "ema": True, "shape": [2, 3], "none": None})
    writer.write_scalars(1, {"val/psnr": 10.25, "painter/loss": np.float32(0.5)})
    writer.write_scalars(2, {"val/psnr": 11.25})
    writer.write_images(2, {"samples": pictures})
    writer.close()
    return tmp_path, pictures


def test_scalars_come_back_with_their_steps_and_times(written):
    folder, _ = written
    found = events.scalars(folder)
    assert {name: [point[1:] for point in points] for name, points in found.items()} == {
        "val/psnr": [(1, 10.25), (2, 11.25)],
        "painter/loss": [(1, 0.5)],
    }
    first, second = (point[0] for point in found["val/psnr"])
    assert time.time() - 300 < first <= second <= time.time()


def test_tensorboard_reads_all_of_it(written):
    folder, pictures = written
    read = event_accumulator.EventAccumulator(str(folder))
    read.Reload()
    assert {name: read.SummaryMetadata(name).plugin_data.plugin_name for name in read.Tags()["tensors"]} == {
        "_hparams_/session_start_info": "hparams",
        "val/psnr": "scalars",
        "painter/loss": "scalars",
        "samples": "images",
    }
    (event,) = read.Tensors("samples")
    width, height, *encoded = event.tensor_proto.string_val
    assert (event.step, width, height) == (2, b"7", b"5")
    decoded = [np.asarray(Image.open(io.BytesIO(image))) for image in encoded]
    np.testing.assert_array_equal(decoded, pictures)
    content = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in found.items()}
    assert values == {
        "seed": 3, "dtype": "float32", "rate": 0.5, "ema": True, "shape": "[2, 3]", "none": "None",
    }


def test_a_run_logged_by_tensorflow_is_still_read():
    found = events.scalars(OF_TENSORFLOW)
    assert {name: [point[1:] for point in points] for name, points in found.items()} == {
        "val/psnr": [(1, 11.5), (2, 12.5), (4, 14.5)],
        "painter/loss": [(1, 1.0), (2, 0.5), (4, 0.25)],
    }


def test_curves_of_a_resumed_run_take_what_it_logged_last(tmp_path):
    for points in ([(1, 5.0), (2, 6.0), (3, 7.0)], [(3, 8.0), (4, 9.0)]):
        writer = events.Writer(tmp_path)
        for step, value in points:
            writer.write_scalars(step, {"val/psnr": value, "uptime": 1.0})
        writer.close()
    assert report.curves_of_run(tmp_path) == {"val/psnr": {"": ([1, 2, 3, 4], [5.0, 6.0, 8.0, 9.0])}}


def test_a_record_cut_off_ends_the_file_and_a_damaged_one_is_named(written):
    folder, _ = written
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])  # In the pictures, the last record.
    assert len(events.scalars(folder)["val/psnr"]) == 2
    path.write_bytes(struct.pack("<Q", 10**15) + whole[8:])
    with pytest.raises(InputError, match=f"{path.name} is damaged before byte 12"):
        events.scalars(folder)


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    writer = events.Writer(tmp_path)
    writer.write_scalars(1, {"x": 1.0})
    writer.flush()
    writer.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_disk_is_one_error(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(events, "open", lambda path, mode: open("/dev/full", "wb"), raising=False)
    writer = events.Writer(tmp_path)
    for end in (writer.flush, writer.close):
        with pytest.raises(InputError, match="cannot write TensorBoard events to .*tfevents.*No space left on device"):
            end()
    assert capfd.readouterr().err == ""


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot write TensorBoard events to .*No such file or directory"):
        events.Writer(tmp_path / "gone")
