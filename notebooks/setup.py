"""Sets up what the notebooks need: python3 notebooks/setup.py

It needs Rust (cargo), Python 3.9 or newer, and a network; no root. It writes into notebooks/.venv and target/notebooks only
(cargo also keeps its usual cache of downloaded sources), so deleting these two folders removes everything. A second run finds
everything in place and does nothing.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VENV = HERE / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
EXE = ".exe" if os.name == "nt" else ""
PYTHON = BIN / f"python{EXE}"
# cargo's --root puts programs into bin/ on every system.
EVCXR = VENV / "bin" / f"evcxr_jupyter{EXE}"
VERSION = "0.22.0"
KERNEL = "diffusion-rust"
BUILD = ROOT / "target" / "notebooks"
WARM = BUILD / "warm"

PLAN = f"""What this installs, where, and how long it takes on two cores (a second run does nothing):
  1. JupyterLab and what runs notebooks (requirements.txt)  into notebooks/.venv      about 1 minute, 250 MB
  2. the Rust kernel, evcxr_jupyter {VERSION}, from source     into notebooks/.venv      5 to 12 minutes, 40 MB
  3. its kernelspec, "Rust (diffusion)"                     into notebooks/.venv      at once
  4. the crates that the notebooks use, optimised           into target/notebooks     3 to 7 minutes, 1 GB
To remove it all, delete these two folders.
"""

# evcxr writes the manifest of the package `cells` itself, without dependencies at first; cargo would then forget which versions
# it compiled, take newer ones as soon as there are any, and compile for minutes in a reader's first cell. So `cells` stands in
# a workspace whose other member always depends on what the notebooks use: that keeps the lock file whole. Profiles count in
# a workspace's own manifest only.
WORKSPACE = """\
[workspace]
resolver = "3"
members = ["cells", "pin"]

[profile.dev]
opt-level = 3
debug = false
strip = "debuginfo"
rpath = true
debug-assertions = false
overflow-checks = false
"""
PIN = f"""\
[package]
name = "pin"
version = "1.0.0"
edition = "2024"

[dependencies]
notebook = {{ path = {json.dumps((HERE / "kit").as_posix())} }}
"""

# What the kernel is started with. A kernel that lacks the toolchain's component rust-src downloads it into the user's
# toolchain, unasked, as soon as a cell has a `let` without its type; a server that is not there stops it.
ENVIRONMENT = {
    "RUSTUP_DIST_SERVER": "http://127.0.0.1:9",
    # Not the user's own configuration of evcxr, which could name another build folder.
    "EVCXR_CONFIG_DIR": str(HERE),
    # An error is a sentence; where in the libraries it arose helps no reader.
    "RUST_LIB_BACKTRACE": "0",
}


def say(text):
    print(text, flush=True)


def run(arguments, **environment):
    """Runs a program; ends with its message if it fails."""
    words = [str(argument) for argument in arguments]
    if subprocess.call(words, cwd=ROOT, env={**os.environ, **environment}) != 0:
        sys.exit(f"setup: this failed, see its message above:\n    {' '.join(words)}")


def digest(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def read(path):
    return path.read_text(encoding="utf-8") if path.exists() else ""


def once(name, fingerprint, done, work):
    """Does some work unless its stamp says that it was done with this fingerprint."""
    stamp = VENV / f"setup-{name}.stamp"
    if done and read(stamp) == fingerprint:
        return False
    start = time.time()
    stamp.unlink(missing_ok=True)
    work()
    stamp.write_text(fingerprint, encoding="utf-8")
    say(f"   done in {time.time() - start:.0f} s")
    return True


def install_python():
    say("1. JupyterLab, into notebooks/.venv")
    venv.create(VENV, with_pip=True, clear=not PYTHON.exists())
    run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt"])


def install_evcxr():
    say(f"2. evcxr_jupyter {VERSION}, compiled from source")
    arguments = ["cargo", "install", "--locked", "--root", VENV, f"evcxr_jupyter@{VERSION}"]
    build = BUILD / "evcxr-build"
    own_target = "CARGO_TARGET_DIR" not in os.environ
    if own_target:
        arguments += ["--target-dir", build]
    # Most of the kernel's time goes into rustc: less optimisation halves the time of its own compilation.
    run(arguments, CARGO_PROFILE_RELEASE_OPT_LEVEL="1", CARGO_PROFILE_RELEASE_DEBUG="0")
    if own_target:
        shutil.rmtree(build, ignore_errors=True)


def install_kernelspec():
    say("3. the kernelspec")
    folder = VENV / "share" / "jupyter" / "kernels" / KERNEL
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "argv": [str(PYTHON), str(HERE / "kernel.py"), "{connection_file}"],
        "display_name": "Rust (diffusion)",
        "language": "rust",
        "interrupt_mode": "message",
        "env": ENVIRONMENT,
    }
    (folder / "kernel.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")


def warm_up(fingerprint):
    say("4. the crates of the notebooks, by running their common first cell")
    shutil.rmtree(WARM, ignore_errors=True)
    (WARM / "cells").mkdir(parents=True)
    (WARM / "pin" / "src").mkdir(parents=True)
    (WARM / "pin" / "src" / "lib.rs").touch()
    (WARM / "pin" / "Cargo.toml").write_text(PIN, encoding="utf-8")
    (WARM / "Cargo.toml").write_text(WORKSPACE, encoding="utf-8")
    # The versions that the rest of the repository is tested with.
    shutil.copy2(ROOT / "Cargo.lock", WARM / "Cargo.lock")
    run([PYTHON, HERE / "run.py", "--first-cell"], EVCXR_TMPDIR=str(WARM / "cells"))
    (WARM / "stamp").write_text(fingerprint, encoding="utf-8")


def check_tools():
    if sys.version_info < (3, 9):
        sys.exit(f"setup: Python 3.9 or newer is needed, this is {sys.version.split()[0]}")
    for tool in ("cargo", "rustc"):
        if shutil.which(tool) is None:
            sys.exit(f"setup: `{tool}` was not found: install Rust from https://rustup.rs, then open a new terminal")
    return subprocess.run(["rustc", "-vV"], capture_output=True, text=True, cwd=ROOT).stdout


def main():
    rust = check_tools()
    say(PLAN)
    VENV.mkdir(exist_ok=True)
    requirements = digest(read(HERE / "requirements.txt"), HERE, sys.version)
    crates = digest(rust, VERSION, read(ROOT / "Cargo.lock"), WORKSPACE, PIN, ENVIRONMENT)
    changed = [
        once("python", requirements, PYTHON.exists(), install_python),
        once("evcxr", VERSION, EVCXR.exists(), install_evcxr),
        once("kernelspec", digest(ENVIRONMENT, HERE), True, install_kernelspec),
        once("crates", crates, (WARM / "stamp").exists(), lambda: warm_up(crates)),
    ]
    say("everything is set up" if any(changed) else "everything was in place already; nothing to do")
    lab = BIN / f"jupyter-lab{EXE}"
    say(f"open the notebooks:   {os.path.relpath(lab)} {os.path.relpath(HERE)}")


if __name__ == "__main__":
    main()
