"""Search without a server. Sphinx's index comes as a script, which a page on a disk may load; the excerpts below what
it finds are cut from pages that a page on a disk may not read. So the pages' texts come as a script as well."""

import json
from pathlib import Path

from docutils import nodes

from maths import spoken

SCRIPT = "_static/texts.js"


def plain_text(doctree):
    """The words of a page, formulas in a line as letters, those in lines of their own left out."""
    texts = doctree.findall(lambda node: isinstance(node, nodes.Text) and not isinstance(node.parent, nodes.math_block))
    words = (spoken(str(text)) if isinstance(text.parent, nodes.math) else str(text) for text in texts)
    return " ".join(" ".join(words).split())


def keep_text(app, doctree, docname):
    app.course_texts[docname] = plain_text(doctree)


def begin(app):
    app.course_texts = {}


def only_in_the_search(app, pagename, templatename, context, doctree):
    if pagename == "search":
        app.add_js_file("texts.js")
        app.add_js_file("offline.js")


def write_texts(app, exception):
    if exception is None:
        script = f"const PAGE_TEXTS = {json.dumps(app.course_texts, ensure_ascii=False)};\n"
        (Path(app.outdir) / SCRIPT).write_text(script, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", begin)
    app.connect("doctree-resolved", keep_text)
    app.connect("html-page-context", only_in_the_search)
    app.connect("build-finished", write_texts)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
