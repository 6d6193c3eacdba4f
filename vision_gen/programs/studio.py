"""Opens the studio: a web page on which trained systems are used by hand.

python -m vision_gen.studio
python -m vision_gen.studio --workdir=runs/x --port=0

The runs below --runs and the models of the zoo are listed; one is loaded when somebody opens it. It needs
`pip install 'vision_gen[studio]'` and no network. Where the package is installed it is `vision-gen studio`.
"""

import importlib.util

from absl import flags

from vision_gen.engine import commands
from vision_gen.errors import InputError

_WORKDIR = commands.define_path("workdir", "The run that is opened first, or zoo/NAME; otherwise the list of all.")
_RUNS = commands.define_path("runs", "Folder below which runs are looked for (default runs).")
_PORT = flags.DEFINE_integer("port", 5006, "Port to listen on; 0: one that is free.", 0, 65535)
_ADDRESS = flags.DEFINE_string(
    "address", "127.0.0.1", "Address to listen on. Another than this lets others in: there are no passwords."
)


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected {argv[1]!r}; a run is opened by --workdir={argv[1]}")
    if importlib.util.find_spec("panel") is None:
        raise InputError("the studio needs Panel: pip install 'vision_gen[studio]', or where the clone is, '.[studio]'")
    from vision_gen.engine import loop
    from vision_gen.studio import library, server

    loop.use_compilation_cache()
    server.serve(library.Library(_RUNS.value or "runs", _WORKDIR.value), _ADDRESS.value, _PORT.value)
