import os
import platform
import subprocess
import sys

import pytest

from vision_gen import memory

PROGRAM = "from vision_gen import memory; memory.restart(); import os, sys; print(os.environ['GLIBC_TUNABLES'], sys.argv)"


def run(**variables):
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"} | variables
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "--a", "b c"], env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunables are glibc's")
def test_a_program_begins_anew_once_with_the_tunables_and_its_arguments():
    assert run() == f"{memory.TUNABLES} ['-c', '--a', 'b c']\n"


def test_the_peak_is_in_bytes():
    program = "before = memory.peak(); block = b'1' * 300_000_000; print(memory.peak() - before)"
    found = int(subprocess.check_output([sys.executable, "-c", f"from vision_gen import memory; {program}"]))
    assert 2.9e8 < found < 3.5e8


def test_what_the_user_has_set_stays():
    assert run(GLIBC_TUNABLES="glibc.malloc.check=0") == "glibc.malloc.check=0 ['-c', '--a', 'b c']\n"
