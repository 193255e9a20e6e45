"""How Sphinx reads the workspace. The folder of its sources is the workspace itself, so that no text is copied."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(HERE / "extension")]

project = "Inverse problems with diffusion models, in Rust"
author = "the authors of the course"
html_title = project
language = "en"

extensions = ["myst_nb", "maths", "links", "overview", "contents", "offline"]
include_patterns = [
    "*.md",
    "site/*.md",
    "**/README.md",
    "notebooks/*.ipynb",
]
# Folders that hold no page, or pages for nobody but a developer who is in them already.
exclude_patterns = ["target", "**/target", "**/.*", "out", "**/tests", "grader/hidden"]
root_doc = "README"

# The texts are written for GitHub: $maths$, links to headings by their words, quotes as they are typed.
myst_enable_extensions = ["dollarmath"]
myst_dmath_double_inline = True
myst_heading_anchors = 4
smartquotes = False
highlight_language = "text"

# Notebooks are shown with the outputs that are stored in them.
nb_execution_mode = "off"
nb_merge_streams = True

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_copyright = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False}
