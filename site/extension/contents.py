"""The table of contents, at the side of each page: made from the files that are there."""

from fnmatch import fnmatch

# Headings of the table, and whose pages are below each, in their order. The cut tree of the students lacks some.
GROUPS = {
    "The tasks": ["tasks/*/README"],
    "Notebooks": ["notebooks/README", "notebooks/*"],
    "Results": ["RESULTS", "site/gallery"],
    "Reference": ["methods/README", "site/api", "data/*"],
    "For instructors": ["grader/README"],
    "How it is made": ["ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "site/README"],
    "More": ["*"],
}


def groups(docnames, root):
    """The pages below each heading; each page once, and what belongs nowhere else under the last heading."""
    left = sorted(set(docnames) - {root})
    for heading, patterns in GROUPS.items():
        pages = []
        for pattern in patterns:
            pages += [page for page in left if fnmatch(page, pattern) and page not in pages]
        left = [page for page in left if page not in pages]
        if pages:
            yield heading, pages


def append_to_the_first_page(app, docname, source):
    """Sphinx wants the table in a page. GitHub would show it, so it is in no file."""
    if docname != app.config.root_doc:
        return
    for heading, pages in groups(app.env.found_docs, docname):
        entries = "\n".join(f"/{page}" for page in pages)
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {heading}\n:maxdepth: 1\n\n{entries}\n```\n"


def setup(app):
    app.connect("source-read", append_to_the_first_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
