"""The studio's server: one process, a document for each visitor, all that a page needs from the server itself."""

import errno
import logging
import signal
import socket
import warnings

from bokeh.util.warnings import BokehUserWarning
import panel as pn

from vision_gen.errors import InputError
from vision_gen.studio import page, style

log = logging.getLogger("vision_gen")
# Bytes of what a visitor sends at once: files are sent as text.
LARGEST_MESSAGE = 96 * 2**20
# Milliseconds that a change waits for others; Panel's own 50 are most of an answer, and `visit.Newest` drops the old.
WAIT = 1


def make(library, address="127.0.0.1", port=0):
    """A server that listens but has not started.

    Args:
      library: a `library.Library`.
      address, port: to listen on; port 0 is one that is free.

    Returns:
      (Bokeh's server, its address for a browser).

    Raises:
      InputError: the address is none of this machine, or the port is taken.
    """
    port = port or _free(address)
    pn.extension(raw_css=[style.PAGE], inline=True)
    pn.config.notifications = False
    pn.reactive.Syncable._debounce = WAIT
    # The browser sends whole what the server has made since it last wrote, as a button that is pressed at once. Bokeh
    # then keeps its own, which is right, and warns each time.
    warnings.filterwarnings("ignore", "reference already known", BokehUserWarning)
    hosts = {address, "localhost", "127.0.0.1", socket.gethostname()}
    try:
        server = pn.serve(
            {"/": lambda: page.page(library)},
            address=address,
            port=port,
            websocket_origin=[f"{host}:{port}" for host in sorted(hosts)],
            title="vision_gen studio",
            show=False,
            start=False,
            verbose=False,
            websocket_max_message_size=LARGEST_MESSAGE,
        )
    except OSError as error:
        other = "; --port=0 takes one that is free" if error.errno == errno.EADDRINUSE else ""
        why = f"cannot be listened on ({error.strerror}){other}"
        raise InputError(f"--address={address} --port={port}: {why}") from error
    return server, f"http://{address}:{port}/"


def serve(library, address, port):
    """Serves until it is interrupted."""
    server, where = make(library, address, port)
    for name in ("bokeh", "panel", "tornado"):  # The root logger does not tell of their errors; see `commands.show_log`.
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(name).addHandler(logging.StreamHandler())
    print(f"the studio is at {where}", flush=True)
    stop = lambda *_: server.io_loop.add_callback_from_signal(server.io_loop.stop)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    server.start()
    server.io_loop.start()
    server.stop()


def _free(address):
    """A port that nobody listens on."""
    with socket.socket() as found:
        try:
            found.bind((address, 0))
        except OSError as error:
            raise InputError(f"--address: {address!r} cannot be listened on ({error.strerror})") from error
        return found.getsockname()[1]
