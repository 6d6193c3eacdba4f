"""TensorBoard's event files, written and read without tensorflow.

Scalars and images are tensors that carry the metadata of TensorBoard's plugins, as TensorFlow 2's `tf.summary` writes
them. tensorboard's own `EventFileWriter` and `EventAccumulator` would import tensorflow wherever it is installed; the
first also loses what went wrong in its thread when it is closed.
"""

import collections
import concurrent.futures
import io
import os
import pathlib
import socket
import struct
import time

import jax
from PIL import Image
from tensorboard import data_compat
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from vision_gen.errors import InputError


class Writer:
    """Writes a new event file in a workdir; a thread encodes and writes, in the order of the calls.

    Of several processes only the first writes.

    Args:
      workdir: the run's folder, which must be there.

    Raises:
      InputError: the file cannot be written. What fails in the thread is raised by a later call, at the latest by
        `flush` or `close`.
    """

    def __init__(self, workdir):
        self._records = None
        if jax.process_index() != 0:
            return
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._path = pathlib.Path(workdir) / name
        try:
            self._records = RecordWriter(open(self._path, "xb"))
        except OSError as error:
            raise self._explained(error) from error
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "events")
        self._pending = collections.deque()
        self._submit(self._write, event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write_scalars(self, step, scalars):
        """{name: number} of a step."""
        self._summarise(_scalars, step, scalars)

    def write_images(self, step, images):
        """{name: uint8 [batch, height, width, 3]} of a step; the arrays must not be changed afterwards."""
        self._summarise(_images, step, images)

    def write_hparams(self, values):
        """{name: value} of what makes the experiment, for TensorBoard's table of runs; lists and None as their text."""
        readable = lambda value: str(value).encode("utf-8", "backslashreplace").decode()  # A path may be no UTF-8.
        plain = {n: v if isinstance(v, (bool, int, float)) else readable(v) for n, v in values.items()}
        self._summarise(lambda values: hparams_summary.hparams_pb(values).value, 0, plain)

    def flush(self):
        """Returns when everything is on disk."""
        if self._records:
            self._check(wait=True)

    def close(self):
        """Flushes, and ends the thread even if something went wrong."""
        if not self._records:
            return
        self._submit(self._records.close)
        self._thread.shutdown()
        self._records = None
        self._check(wait=True)

    def _summarise(self, make, step, values):
        if not self._records:
            return
        now = time.time()

        def write():
            self._write(event_pb2.Event(wall_time=now, step=step, summary=summary_pb2.Summary(value=make(values))))

        self._check()
        self._submit(write)

    def _submit(self, function, *arguments):
        self._pending.append(self._thread.submit(function, *arguments))

    def _write(self, event):
        self._records.write(event.SerializeToString())
        self._records.flush()  # So that TensorBoard shows it now.

    def _check(self, wait=False):
        try:
            while self._pending and (wait or self._pending[0].done()):
                self._pending.popleft().result()
        except OSError as error:
            raise self._explained(error) from error

    def _explained(self, error):
        return InputError(f"cannot write TensorBoard events to {self._path} ({error.strerror})")


def _scalars(scalars):
    metadata = scalar_metadata.create_summary_metadata("", "")
    return [data_compat.make_summary(name, metadata, float(value)) for name, value in scalars.items()]


def _images(images):
    metadata = image_metadata.create_summary_metadata("", "")
    found = []
    for name, batch in images.items():
        height, width = batch.shape[1:3]
        content = [str(width).encode(), str(height).encode(), *map(_png, batch)]
        found.append(data_compat.make_summary(name, metadata, content))
    return found


def _png(image):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def scalars(workdir):
    """What a run has logged, of all its starts.

    Args:
      workdir: the run's folder; its event files may be of TensorFlow or of `Writer`.

    Returns:
      {name: [(time in seconds since 1970, step, value)]}, in the order of writing.

    Raises:
      InputError: an event file is damaged; names it.
    """
    found = collections.defaultdict(list)
    for path in sorted(pathlib.Path(workdir).glob("events.out.tfevents.*")):
        for record in _records(path):
            event = data_compat.migrate_event(event_pb2.Event.FromString(record))
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == scalar_metadata.PLUGIN_NAME:
                    number = float(tensor_util.make_ndarray(value.tensor))
                    found[value.tag].append((event.wall_time, event.step, number))
    return dict(found)


def _records(path):
    """The records of a file: 8 bytes of length, 4 of its checksum, the record, 4 of the record's.

    The records' own checksums, in tensorboard's Python, would take seconds for ten sheets of pictures.
    """
    with open(path, "rb") as file:
        while len(head := file.read(12)) == 12:
            length, checksum = struct.unpack("<QI", head)
            if masked_crc32c(head[:8]) != checksum:
                raise InputError(f"{path} is damaged before byte {file.tell()}; the others can be read when it is gone")
            record = file.read(length + 4)
            if len(record) < length + 4:  # The run was killed, or is writing it.
                return
            yield record[:length]
