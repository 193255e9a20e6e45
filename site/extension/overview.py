"""Two lists that no text has to repeat: `{gallery}`, all pictures of the other pages, and `{crates}`, all crates."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

import workspace


class gallery(nodes.General, nodes.Element):
    """Stands for the pictures until all pages have been read."""


class Gallery(SphinxDirective):
    """`{gallery}`: every picture with its words, and a link to where it stands."""

    def run(self):
        return [gallery()]


def fill(app, doctree, docname):
    """Puts the pictures in their places. A picture that stands in several pages is shown once, for the first of them in
    the table of contents that is not the first page."""
    for place in list(doctree.findall(gallery)):
        seen, sections = set(), []
        for page in pages(app, docname):
            pictures = [one for one in app.env.get_doctree(page).findall(nodes.image) if one["uri"] not in seen]
            seen.update(one["uri"] for one in pictures)
            if pictures:
                sections.append(section(app, docname, page, pictures))
        place.replace_self(sections)


def pages(app, docname):
    """All other pages in the order of the table of contents, the first page last."""
    root = app.config.root_doc
    below = [page for page in app.env.toctree_includes.get(root, []) if page != docname]
    return [*below, root]


def section(app, docname, page, pictures):
    """A heading and the pictures of a page."""
    title = app.env.titles[page].deepcopy()
    heading = nodes.title("", "", *title.children)
    shown = nodes.container("", *(figure(app, docname, page, picture) for picture in pictures), classes=["pictures"])
    return nodes.section("", heading, shown, ids=[f"of-{page.replace('/', '-').lower()}"])


def figure(app, docname, page, picture):
    """A picture, which leads to its section, above its words."""
    here = app.builder.get_target_uri(docname)
    anchor = next(iter(picture_section(picture)["ids"]), "")
    uri = relative_uri(here, app.builder.get_target_uri(page)) + f"#{anchor}"
    image = picture.deepcopy()
    image["loading"] = "lazy"
    words = nodes.caption("", picture.get("alt", ""))
    name = f"picture-{picture['uri'].replace('/', '-')}"
    return nodes.figure("", nodes.reference("", "", image, refuri=uri, internal=True), words, ids=[name])


def picture_section(node):
    """The section in which a picture stands."""
    while not isinstance(node, nodes.section):
        node = node.parent
    return node


class Crates(SphinxDirective):
    """`{crates}`: every crate below the named folders with what it is for."""

    optional_arguments = 100

    def run(self):
        rows = nodes.tbody()
        for crate in workspace.crates().values():
            if crate.top in self.arguments:
                rows += row(self.link(crate), self.words(crate))
        if not rows.children:
            return []
        columns = [nodes.colspec(colwidth=1), nodes.colspec(colwidth=4)]
        head = nodes.thead("", row([nodes.paragraph("", "crate")], [nodes.paragraph("", "what it is for")]))
        return [nodes.table("", nodes.tgroup("", *columns, head, rows, cols=2))]

    def link(self, crate):
        here = self.env.app.builder.get_target_uri(self.env.docname)
        uri = relative_uri(here, f"api/{crate.name}/index.html")
        name = nodes.literal("", crate.name)
        return [nodes.paragraph("", "", nodes.reference("", "", name, refuri=uri, internal=True))]

    def words(self, crate):
        found, _ = self.state.inline_text(crate.summary, self.lineno)
        return [nodes.paragraph("", "", *found)]


def row(*cells):
    """A row of a table."""
    return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


def setup(app):
    app.add_node(gallery)
    app.add_directive("gallery", Gallery)
    app.add_directive("crates", Crates)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
