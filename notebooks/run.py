"""Runs the notebooks without a browser, and fails on any error, panic or output on stderr.

    python3 notebooks/run.py                 all notebooks; nothing is written
    python3 notebooks/run.py --quick         with few steps and samples: do they run?
    python3 notebooks/run.py --write 6_dps   this one, and its outputs are kept in the file

setup.py must have been run before.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
KERNEL = "diffusion-rust"
# No cell takes so long, not even a first one that has to compile everything.
SECONDS_PER_CELL = 3600


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebooks, such as 6_dps [default: all]")
    parser.add_argument("--quick", action="store_true", help="few steps and few samples: results mean nothing")
    parser.add_argument("--write", action="store_true", help="keep the outputs in the notebooks [default: they stay as they are]")
    parser.add_argument("--first-cell", action="store_true", help="run the first cell only, which compiles what all need")
    chosen = parser.parse_args()
    if chosen.write and (chosen.quick or chosen.first_cell):
        parser.error("--write is for whole runs with full settings: leave --quick and --first-cell out")
    return chosen


def notebooks(names):
    found = sorted(HERE.glob("*.ipynb"))
    known = {path.stem: path for path in found}
    for name in names:
        if Path(name).stem not in known:
            sys.exit(f"run: there is no notebook `{name}`; there are {', '.join(known)}")
    return [known[Path(name).stem] for name in names] or found


def complaint(cell):
    """What a cell said on stderr, or what error it ended with; empty if all is well."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "error":
            parts.append("\n".join(output.traceback) or output.evalue)
        elif output.output_type == "stream" and output.name == "stderr":
            parts.append(output.text)
    colours = re.compile(r"\x1b\[[0-9;]*m")
    return colours.sub("", "\n".join(parts)).strip()


class Stop(Exception):
    """A cell went wrong; what comes after it cannot work."""


def execute(path, only_first, nbformat, nbclient):
    """Runs a notebook in a fresh kernel; returns it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    if only_first:
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        notebook.cells = [first]
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    started = time.time()

    def check(cell, cell_index, **_):
        if text := complaint(cell):
            raise Stop(f"{path.name}, code cell {codes.index(cell) + 1} of {len(codes)}:\n{text}")
        if cell is codes[0]:
            print(f"{path.name}: first cell after {time.time() - started:.1f} s", flush=True)

    client = nbclient.NotebookClient(
        notebook,
        kernel_name=KERNEL,
        timeout=SECONDS_PER_CELL,
        resources={"metadata": {"path": str(HERE)}},
        record_timing=False,
        coalesce_streams=True,
        # Errors end up in the outputs, where they are found with what was said on stderr.
        allow_errors=True,
        on_cell_executed=check,
    )
    client.execute()
    return notebook


def number(notebook):
    """Numbers cells from 1; this kernel begins elsewhere."""
    codes = (cell for cell in notebook.cells if cell.cell_type == "code")
    for count, cell in enumerate(codes, start=1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count


def main():
    chosen = options()
    if Path(sys.prefix).resolve() != VENV.resolve():
        if not PYTHON.exists():
            sys.exit("run: nothing is set up yet; do it with:   python3 notebooks/setup.py")
        arguments = [str(PYTHON), str(Path(__file__).resolve()), *sys.argv[1:]]
        if os.name == "nt":
            import subprocess

            sys.exit(subprocess.call(arguments))
        os.execv(arguments[0], arguments)
    import nbclient
    import nbformat

    os.environ["NOTEBOOK_QUICK"] = "1" if chosen.quick else "0"
    paths = notebooks(chosen.names)
    failures = []
    for path in paths[:1] if chosen.first_cell else paths:
        start = time.time()
        try:
            notebook = execute(path, chosen.first_cell, nbformat, nbclient)
        except (Stop, nbclient.exceptions.CellControlSignal, RuntimeError) as error:
            failures.append(str(error))
            print(f"{path.name}: FAILED after {time.time() - start:.0f} s", flush=True)
            continue
        if chosen.write:
            number(notebook)
            nbformat.write(notebook, path)
        print(f"{path.name}: ran in {time.time() - start:.0f} s", flush=True)
    for failure in failures:
        print(f"\n{failure}", file=sys.stderr)
    if failures:
        sys.exit(f"\nrun: {len(failures)} of {len(paths)} notebooks failed; what went wrong first in each stands above")


if __name__ == "__main__":
    main()
