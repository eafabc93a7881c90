"""What becomes of a command whose output nobody reads on, or has no room for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pipeline.closed_pipe import ends_quietly

@ends_quietly()
def main():
    for line in range(int(sys.argv[1])):
        print("line", line)
    sys.exit(1)

main()
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_who_goes_ends_the_command_without_a_word(lines: int, unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(lines)], stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_reader_who_stays_gets_all_and_the_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "3"], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"line 0\nline 1\nline 2\n", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", PROGRAM, "3"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == b"error: standard output: no space left on device; free some, or write to another place\n"
