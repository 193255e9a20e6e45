"""What build.py, the pages and check.py have to know of the workspace: its folders, its crates, its solutions."""

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Where the pages are written.
PAGES = ROOT / "target" / "site"
# A link of rustdoc: [words], [words](place).
LINK = re.compile(r"\[([^\]]+)\](\([^)]*\))?")


@dataclass(frozen=True)
class Crate:
    """A library or program that rustdoc documents."""

    name: str  # as rustdoc's folders are called
    source: str  # its lib.rs or main.rs, relative to ROOT

    @property
    def top(self):
        """The folder at the top of the workspace that it belongs to."""
        return self.source.split("/")[0]

    @property
    def is_written_by_students(self):
        """Whether its sources hold what students are asked to write."""
        return self.top == "tasks" and self.name.startswith("task")

    @property
    def summary(self):
        """The first paragraph of its documentation."""
        lines = []
        for line in (ROOT / self.source).read_text(encoding="utf-8").splitlines():
            text = line.removeprefix("//!").strip()
            if not line.startswith("//!") or not text:
                break
            lines.append(text)
        # Links within rustdoc's pages lead nowhere outside of them.
        return LINK.sub(r"\1", " ".join(lines))


@cache
def metadata():
    """What `cargo metadata` says of the workspace."""
    arguments = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    return json.loads(subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@cache
def crates():
    """All crates with documentation, by name. Of a library and a program with one name rustdoc takes the library."""
    found = {}
    for kind in ("bin", "lib"):
        for package in metadata()["packages"]:
            for target in package["targets"]:
                if kind in target["kind"]:
                    name = target["name"].replace("-", "_")
                    found[name] = Crate(name, Path(target["src_path"]).relative_to(ROOT).as_posix())
    return dict(sorted(found.items()))


def solutions(source):
    """What stands between `BEGIN SOLUTION` and `END SOLUTION` in a Rust source: lists of lines without indentation."""
    found, inside = [], False
    for line in map(str.strip, source.splitlines()):
        if line.startswith("// BEGIN SOLUTION"):
            inside = True
            found.append([])
        elif line == "// END SOLUTION":
            inside = False
        elif inside:
            found[-1].append(line)
    return found


def all_solutions():
    """Those of all tasks. The students' tree has none."""
    sources = sorted(ROOT.glob("tasks/*/src/**/*.rs"))
    return [solution for path in sources for solution in solutions(path.read_text(encoding="utf-8"))]
