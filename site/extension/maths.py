"""Formulas become pictures (SVG) while the site is built. A reader's browser runs no script and loads no font for them,
and a formula that MathJax does not understand stops the build instead of showing in the page."""

import html
import json
import re
from functools import cache
from pathlib import Path

import mathjax
from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.util import logging

log = logging.getLogger(__name__)

FILES = Path(next(iter(mathjax.__path__))) / "static" / "mathjax" / "es5"
PARTS = [
    "startup.js",
    "core.js",
    "adaptors/liteDOM.js",
    "input/tex-full.js",
    "output/svg.js",
    "output/svg/fonts/tex.js",
    "a11y/assistive-mml.js",
]
# Each glyph is drawn once in a page and used from there. What is unknown is an error and not a word in red.
CONFIGURATION = """
var MathJax = {
  startup: {typeset: false, ready() {}},
  svg: {fontCache: "global"},
  tex: {packages: {"[-]": ["noundefined", "noerrors", "autoload", "require"]}},
};
"""
FUNCTIONS = """
MathJax.startup.defaultReady();
var show = (element) => MathJax.startup.adaptor.outerHTML(element);
var typeset = (tex, display) => show(MathJax.tex2svg(tex, {display}));
var glyphs = () => show(MathJax.startup.document.outputJax.fontCache.getCache());
"""
MATHML = re.compile(r"<math[^>]*>(.*)</math>")
TAG = re.compile(r"<[^>]*>")
ERROR = re.compile(r'data-mjx-error="([^"]*)"')
GLYPH = re.compile(r'<path id="([^"]+)"[^>]*></path>')
USE = re.compile(r'xlink:href="#(MJX-[^"]+)"')


@cache
def engine():
    """A JavaScript engine that has read MathJax."""
    racer = MiniRacer()
    racer.eval(CONFIGURATION)
    for part in PARTS:
        racer.eval((FILES / part).read_text(encoding="utf-8") + "\n;0")
    racer.eval(FUNCTIONS + "0")
    return racer


@cache
def typeset(tex, display):
    """A formula as HTML, with MathML for those who listen; raises ValueError with what is wrong with it."""
    markup = engine().eval(f"typeset({json.dumps(tex)}, {json.dumps(display)})")
    if error := ERROR.search(markup):
        raise ValueError(html.unescape(error[1]))
    return markup


def spoken(tex):
    """A formula as plain letters, for where there can be no picture."""
    try:
        return html.unescape(TAG.sub("", MATHML.search(typeset(tex, False))[1]))
    except ValueError:
        # What is wrong with it is said where its picture goes.
        return tex


def used_glyphs(markup):
    """The outlines that the formulas of a page use."""
    names = set(USE.findall(markup))
    if not names:
        return ""
    found = {glyph[1]: glyph[0] for glyph in GLYPH.finditer(engine().eval("glyphs()"))}
    outlines = "".join(found[name] for name in sorted(names))
    return f'<svg class="glyphs" aria-hidden="true"><defs>{outlines}</defs></svg>'


def visit(display):
    """What the HTML writer does with a formula."""

    def write(writer, node):
        tex = node.astext()
        try:
            writer.body.append(typeset(tex, display))
        except ValueError as error:
            log.warning("MathJax does not understand this formula: %s\n    %s", error, tex, location=node)
        raise nodes.SkipNode

    return write


def add_glyphs(app, pagename, templatename, context, doctree):
    """Formulas stand in the page's text and, as parts of headings, in its table of contents."""
    body = context.get("body")
    if body:
        context["body"] = used_glyphs(body) + body


def note_headings(app, doctree):
    """Which headings have formulas, and how they read without."""
    for title in doctree.findall(nodes.title):
        parts = [spoken(part.astext()) if isinstance(part, nodes.math) else part.astext() for part in title.children]
        app.course_headings[title.astext()] = "".join(parts)


def begin(app):
    app.course_headings = {}


def spell_headings(app):
    """The search shows headings as plain text: without this, formulas as they are typed."""
    headings = app.course_headings
    for found in app.builder.indexer._all_titles.values():
        found[:] = [(headings.get(title, title), anchor) for title, anchor in found]
    return []


def setup(app):
    app.add_html_math_renderer("svg", (visit(False), None), (visit(True), None))
    app.config.html_math_renderer = "svg"
    app.connect("builder-inited", begin)
    app.connect("doctree-read", note_headings)
    app.connect("html-page-context", add_glyphs)
    app.connect("html-collect-pages", spell_headings)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
