"""Builds the course's site: python3 site/build.py

It needs Rust (cargo), Python 3.11 or newer, and a network the first time; no root. It writes into site/.venv and
target/ only. The pages end up in target/site: open target/site/index.html, no server is needed.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

from workspace import PAGES, ROOT, crates, metadata

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
# What rustdoc's pages share: scripts, fonts, the index of its search.
SHARED = ["static.files", "search.index", "trait.impl", "type.impl", "crates.js", "help.html", "settings.html"]
# A link of a page of rustdoc to the source of what it describes.
SOURCE_LINK = re.compile(r'<a class="src[^"]*" href="[^"]*">Source</a>')

IN_THE_CORNER = "position:fixed;right:1rem;bottom:.5rem;z-index:9"
FIRST_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>The crates</title>
<meta http-equiv="refresh" content="0; url=../site/api.html"></head>
<body><a href="../site/api.html">The crates</a></body></html>
"""


def say(text):
    print(text, flush=True)


def run(arguments, stderr=None):
    """Runs a program; ends with its message if it fails."""
    words = [str(argument) for argument in arguments]
    done = subprocess.run(words, cwd=ROOT, stderr=stderr)
    if done.returncode != 0:
        sys.stderr.write((done.stderr or b"").decode(errors="replace"))
        sys.exit(f"build: this failed, see its message above:\n    {' '.join(words)}")


def check_tools():
    if sys.version_info < (3, 11):
        sys.exit(f"build: Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    if shutil.which("cargo") is None:
        sys.exit("build: `cargo` was not found: install Rust from https://rustup.rs, then open a new terminal")


def install_python():
    """Sphinx and what it stands on, unless they are there."""
    requirements = (HERE / "requirements.txt").read_text(encoding="utf-8")
    fingerprint = hashlib.sha256(f"{requirements}\0{HERE}\0{sys.version}".encode()).hexdigest()
    stamp = VENV / "build.stamp"
    if PYTHON.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint:
        return
    say("   Sphinx, into site/.venv (once: about 1 minute, 250 MB)")
    venv.create(VENV, with_pip=True, clear=True)
    run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt"])
    stamp.write_text(fingerprint, encoding="utf-8")


def document_crates():
    """rustdoc's pages of the workspace's own crates; the folder that they are in."""
    # Exercises that nobody has written yet are a hundred warnings: what cargo says is shown only where it fails.
    run(["cargo", "doc", "--locked", "--workspace", "--no-deps", "--quiet"], stderr=subprocess.PIPE)
    return Path(metadata()["target_directory"]) / "doc"


def write_pages():
    """Everything but the documentation of the crates."""
    shutil.rmtree(PAGES, ignore_errors=True)
    # Each warning is a page with a hole in it, so it is an error.
    sphinx = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--conf-dir", HERE]
    run([PYTHON, *sphinx, "--doctree-dir", ROOT / "target" / "site-doctrees", "--fresh-env", ROOT, PAGES])
    # Where a browser looks first. In the same folder all its links lead where they did.
    shutil.copy2(PAGES / "README.html", PAGES / "index.html")


def copy_documentation(rustdoc):
    """rustdoc's pages, into `api`, without the sources of what students write."""
    api = PAGES / "api"
    for name in SHARED:
        if (rustdoc / name).is_dir():
            shutil.copytree(rustdoc / name, api / name)
        elif (rustdoc / name).exists():
            shutil.copy2(rustdoc / name, api / name)
    for crate in crates().values():
        shutil.copytree(rustdoc / crate.name, api / crate.name)
        if crate.is_written_by_students:
            remove_source_links(api / crate.name)
        else:
            shutil.copytree(rustdoc / "src" / crate.name, api / "src" / crate.name)
    write_source_list(rustdoc, api)
    add_way_back(api)


def remove_source_links(folder):
    for page in folder.rglob("*.html"):
        page.write_text(SOURCE_LINK.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")


def write_source_list(rustdoc, api):
    """The list from which the pages of sources make their sidebar, with those that are there."""
    script = (rustdoc / "src-files.js").read_text(encoding="utf-8")
    listed = re.search(r"'(.*)'", script)
    sources = json.loads(listed[1])
    there = [source for source in sources if (api / "src" / source[0]).exists()]
    text = script[: listed.start(1)] + json.dumps(there, separators=(",", ":")) + script[listed.end(1) :]
    (api / "src-files.js").write_text(text, encoding="utf-8")


def add_way_back(api):
    """A link from each page of rustdoc to the course, and a first page, which rustdoc's own help asks for."""
    (api / "index.html").write_text(FIRST_PAGE, encoding="utf-8")
    for page in api.rglob("*.html"):
        up = "../" * len(page.relative_to(PAGES).parts[1:])
        link = f'<a href="{up}site/api.html" style="{IN_THE_CORNER}">Back to the course</a>'
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace("</body>", f"{link}</body>"), encoding="utf-8")


def main():
    check_tools()
    start = time.time()
    say("1. what the pages are made with")
    install_python()
    say("2. the documentation of the crates (cargo doc; some minutes where nothing is compiled yet)")
    rustdoc = document_crates()
    say("3. the pages")
    write_pages()
    copy_documentation(rustdoc)
    say(f"done in {time.time() - start:.0f} s; open   {os.path.relpath(PAGES / 'index.html')}")


if __name__ == "__main__":
    main()
