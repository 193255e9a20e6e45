"""Looks at the site that build.py made, and fails on what a reader would stumble over: python3 site/check.py [FOLDER]

A link or a picture that leads nowhere, something fetched from elsewhere, a picture without words, LaTeX that is shown
as it is typed, a part of a solution.
"""

import re
import sys
from functools import cached_property
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from workspace import PAGES, all_solutions

# rustdoc's pages. rustdoc has looked at the links in their texts itself.
API = "api"
# What stands in these is no text, or text that shows source.
NOT_READ = {"code", "pre", "script", "style", "svg", "math"}
# Elements without an end.
EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
# What a formula has become.
FORMULA = "mjx-container"
LATEX = re.compile(r"\\[a-zA-Z]+|\$[^$]*[\\_^{][^$]*\$")
FILE_NAME = re.compile(r"\S*\.(png|svg|jpe?g|gif|webp)", re.IGNORECASE)
REFERENCE = re.compile(r'(?:href|src)="([^"]*)"')
SCRIPT = re.compile(r"<script.*?</script>", re.DOTALL)
# As rustdoc writes it before each line of a source.
LINE_NUMBER = re.compile(r"<a href=#\d+ id=\d+ [^>]*>\d+</a>")
TAG = re.compile(r"<[^>]*>")
# A line such as `let [c, h, w] = model.image_shape();` also stands where nobody copied it from a solution, two in a row
# do not. Comments, brackets and the fields of what an observer is shown are the same in many places, and are not counted.
IN_A_ROW = 2
UNTELLING = re.compile(r"//.*|[\])}?;,]*|\w+(: .*)?,")


class Page(HTMLParser):
    """What a page refers to, where it can be entered, and what is wrong with it by itself."""

    def __init__(self, path):
        super().__init__()
        self.references, self.names, self.faults = [], set(), []
        self.inside = []
        self.last_text, self.is_after_formula = "", False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        if tag not in EMPTY:
            self.inside.append(tag)
        if tag == FORMULA and self.last_text.endswith("$"):
            self.faults.append("a dollar is shown before a formula: give $$ ... $$ a paragraph of its own")
        values = dict(attributes)
        self.names.update(values[name] for name in ("id", "name") if values.get(name))
        self.references += [values[name] for name in ("href", "src", "xlink:href") if values.get(name)]
        if tag == "img":
            self.look_at_picture(values)
        if tag in ("img", "script", "iframe") or (tag == "link" and "stylesheet" in values.get("rel", "")):
            self.look_at_source(values.get("src") or values.get("href") or "")

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass
        self.is_after_formula = tag == FORMULA
        self.last_text = ""

    def handle_data(self, text):
        if self.is_after_formula and text.startswith("$"):
            self.faults.append("a dollar is shown after a formula: give $$ ... $$ a paragraph of its own")
        self.last_text, self.is_after_formula = text, False
        if not NOT_READ.intersection(self.inside) and (found := LATEX.search(text)):
            self.faults.append(f"LaTeX is shown as it is typed, `{found[0]}`: put it between dollars, or mark it as code")

    def look_at_picture(self, values):
        words = (values.get("alt") or "").strip()
        if not words or FILE_NAME.fullmatch(words):
            self.faults.append(
                f"the picture `{values.get('src')}` has no words for those who cannot see it: write ![words](picture), "
                'or in a notebook the cell\'s metadata {"mystnb": {"image": {"alt": "words"}}}'
            )

    def look_at_source(self, source):
        if urlsplit(source).netloc:
            self.faults.append(f"`{source}` is fetched from elsewhere: ship the file with the site")


class Site:
    """All pages of a folder."""

    def __init__(self, folder):
        self.folder = folder
        paths = sorted(folder.rglob("*.html"))
        self.documentation = [path for path in paths if path.relative_to(folder).parts[0] == API]
        self.pages = {path: Page(path) for path in paths if path not in set(self.documentation)}

    def faults(self):
        """Everything that is wrong, a sentence each."""
        if not self.pages:
            yield f"there are no pages in `{self.folder}`: make them with   python3 site/build.py"
        for path, page in self.pages.items():
            wrong = [*page.faults, *(self.dead_end(path, reference) for reference in page.references)]
            yield from (f"{self.name(path)}: {fault}" for fault in dict.fromkeys(wrong) if fault)
        for path in self.documentation:
            references = set(REFERENCE.findall(SCRIPT.sub("", path.read_text(encoding="utf-8"))))
            wrong = (self.dead_end(path, unescape(one).split("#")[0]) for one in sorted(references))
            yield from (f"{self.name(path)}: {fault}" for fault in wrong if fault)
        yield from self.solutions()

    def name(self, path):
        return path.relative_to(self.folder).as_posix()

    def dead_end(self, path, reference):
        """What is wrong with a reference, if anything is."""
        parts = urlsplit(reference)
        if parts.scheme or parts.netloc or not reference:
            return None
        place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not place.is_file():
            return f"`{reference}` leads nowhere: there is no `{parts.path}`"
        fragment = unquote(parts.fragment)
        if fragment and place in self.pages and fragment not in self.pages[place].names:
            return f"`{reference}` leads nowhere: `{self.name(place)}` has no heading or mark `{fragment}`"
        return None

    @cached_property
    def secrets(self):
        """What stands in a row in a solution, where this tree has any."""
        return {row for solution in all_solutions() for row in rows(solution)}

    def solutions(self):
        """Pages that show a part of a solution."""
        for path in [*self.pages, *self.documentation]:
            text = LINE_NUMBER.sub("", path.read_text(encoding="utf-8"))
            text = unescape(TAG.sub("", text))
            shown = self.secrets.intersection(rows(map(str.strip, text.splitlines())))
            yield from (f"{self.name(path)}: shows a part of a solution, `{row}`" for row in sorted(shown))


def rows(lines):
    """Lines of code that stand in a row."""
    code = [line for line in lines if not UNTELLING.fullmatch(line)]
    return {" ".join(code[first : first + IN_A_ROW]) for first in range(len(code) - IN_A_ROW + 1)}


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else PAGES).resolve()
    site = Site(folder)
    faults = list(site.faults())
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        sys.exit(f"check: {len(faults)} faults in {len(site.pages)} pages, see above")
    print(f"check: {len(site.pages)} pages and {len(site.documentation)} of the crates' documentation are whole")


if __name__ == "__main__":
    main()
