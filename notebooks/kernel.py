"""Starts the Rust kernel in a build folder of its own. Jupyter calls this; nobody needs to.

evcxr compiles each cell in the folder EVCXR_TMPDIR, which is `cells` in a build folder that setup.py has laid out. Two kernels
in one folder would overwrite each other's cells, and a new folder takes minutes to fill. So each kernel locks the first
folder that is free, and one that is not there yet is copied from what setup.py has compiled.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "target" / "notebooks"
WARM = BUILD / "warm"
# Says which compilation a folder holds; see setup.py.
STAMP = "stamp"
MOST_KERNELS = 64


def lock(path):
    """Locks a file and returns its descriptor; None if another kernel has it. The lock ends with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    # The kernel takes this process's place, and the lock with it.
    os.set_inheritable(descriptor, True)
    return descriptor


def stamp(folder):
    try:
        return (folder / STAMP).read_text()
    except OSError:
        return None


def free_folder():
    """Locks the first folder that is free, and fills it if it is not up to date."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for number in range(MOST_KERNELS):
        folder = BUILD / f"kernel-{number}"
        if lock(BUILD / f"kernel-{number}.lock") is None:
            continue
        if stamp(WARM) is not None and stamp(folder) != stamp(WARM):
            shutil.rmtree(folder, ignore_errors=True)
            # Times of files are kept, or cargo would compile everything again. The stamp comes last: without it the
            # folder counts as unfinished.
            shutil.copytree(WARM, folder, ignore=lambda where, names: [STAMP] if Path(where) == WARM else [])
            shutil.copy2(WARM / STAMP, folder / STAMP)
        return folder
    sys.exit(f"{MOST_KERNELS} kernels are running already: shut some down")


def main():
    if "EVCXR_TMPDIR" not in os.environ:
        os.environ["EVCXR_TMPDIR"] = str(free_folder() / "cells")
    # It would move the compiled cells to where the kernel does not look for them.
    os.environ.pop("CARGO_TARGET_DIR", None)
    program = Path(sys.prefix) / ("Scripts" if os.name == "nt" else "bin") / "evcxr_jupyter"
    program = program if program.exists() else Path(sys.prefix) / "bin" / "evcxr_jupyter.exe"
    arguments = [str(program), "--control_file", sys.argv[1]]
    if os.name == "nt":
        sys.exit(subprocess.call(arguments))
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main()
