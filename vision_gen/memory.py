"""How the CPU backend gets its memory, and how much a process has had.

XLA asks for all temporaries of a step at once and gives them back after it, and glibc passes both on to the
kernel: a step of 150 MB maps 40,000 pages of 4 KiB anew, every time. With huge pages, and what was given back
kept, steps of the GANs here take a tenth less time (docs/speed_log.md).
"""

import os
import pathlib
import platform
import resource
import sys

# https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
TUNABLES = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=8589934592"


def environment():
    """Variables that a process must begin with; empty where there is no glibc, or GLIBC_TUNABLES is set already."""
    if "GLIBC_TUNABLES" in os.environ or platform.libc_ver()[0] != "glibc":
        return {}
    return {"GLIBC_TUNABLES": TUNABLES}


def restart():
    """Begins this program anew in the same process with `environment()`, unless it already has it.

    glibc reads its tunables before anything else runs. Call first, before long imports.
    """
    missing = environment()
    if missing:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **missing})


def peak():
    """Bytes of memory that this process has held at most, everything included."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # Elsewhere it counts what the process that began this one had held.
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
