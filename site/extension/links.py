"""Links to files that are no pages. A crate's lib.rs leads to its documentation, any other text to a page that shows
it, a folder to a page that shows its pictures."""

import html
import os
import shutil
from pathlib import Path, PurePosixPath

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri

import workspace

# Where the pages that show a file are.
SHOWN = "files"


class LinksToFiles(SphinxTransform):
    """Before Sphinx makes downloads of them."""

    default_priority = 870

    def apply(self):
        kinds = (addnodes.download_reference, addnodes.pending_xref)
        for node in list(self.document.findall(lambda node: isinstance(node, kinds))):
            if node.get("reftype") == "myst" and (path := self.path_of(node)):
                uri = relative_uri(self.app.builder.get_target_uri(self.env.docname), self.page_of(path))
                inside = [child.deepcopy() for child in node.children]
                node.replace_self(nodes.reference("", "", *inside, refuri=uri, internal=True))

    def path_of(self, node):
        """The file or folder that a link names, relative to the workspace; nothing if it names a page or a heading."""
        if node.get("refdomain") == "doc" or node["reftarget"].startswith("#"):
            return None
        here = PurePosixPath(self.env.docname).parent
        path = os.path.normpath(here / node["reftarget"])
        return path if (workspace.ROOT / path).exists() else None

    def page_of(self, path):
        """The page that shows a file or folder; it is asked for if it is none of rustdoc's."""
        for crate in workspace.crates().values():
            if crate.source == path and path.endswith("/lib.rs"):
                return f"api/{crate.name}/index.html"
        self.env.course_files.add(path)
        return self.app.builder.get_target_uri(f"{SHOWN}/{path}")


def begin(app):
    """The files that pages link to."""
    app.env.course_files = set()


def pages_of_files(app):
    """A page for each of them."""
    for path in sorted(app.env.course_files):
        place = workspace.ROOT / path
        body = folder(app, path, place) if place.is_dir() else text(place)
        yield f"{SHOWN}/{path}", {"title": path, "body": f"<h1>{html.escape(path)}</h1>\n{body}"}, "page.html"


def text(place):
    """A text with the colours of its language."""
    try:
        lexer = get_lexer_for_filename(place.name)
    except ClassNotFound:
        lexer = TextLexer()
    return highlight(place.read_text(encoding="utf-8"), lexer, HtmlFormatter(cssclass="highlight"))


def folder(app, path, place):
    """The pictures of a folder, each with its name."""
    there = Path(app.outdir) / SHOWN / path
    there.mkdir(parents=True, exist_ok=True)
    shown = []
    for picture in sorted(place.glob("*.png")):
        shutil.copy2(picture, there / picture.name)
        name = html.escape(picture.name)
        source = html.escape(f"{there.name}/{picture.name}")
        words = html.escape(picture.stem.replace("-", " "))
        shown.append(f'<figure><img src="{source}" alt="{words}"><figcaption>{name}</figcaption></figure>')
    return f'<div class="pictures">{"".join(shown)}</div>'


def setup(app):
    app.add_transform(LinksToFiles)
    app.connect("builder-inited", begin)
    app.connect("html-collect-pages", pages_of_files)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
