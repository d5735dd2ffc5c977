"""How Sphinx builds the documentation: `make docs`. The pages are Markdown, and readable as they are.

What they show comes from the pages alone: nothing is imported, and nothing is fetched when they are built or read.
"""

project = "Snakefold"
author = "the developers of Snakefold"
extensions = ["myst_parser"]
exclude_patterns = ["_*"]
root_doc = "index"

myst_heading_anchors = 4  # links to headings are those of GitHub
# Files of the repository that are pages here under another name.
PAGES = {"../config/README.md": "REFERENCE.md", "../README.md": "index.md"}

html_theme = "furo"
html_title = "Snakefold"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_search_summary = False  # is fetched, which a browser refuses to pages that are files
html_use_index = False
highlight_language = "none"


def _linked(app, page, source):
    """Let links to files of the repository point to the pages that they are here."""
    for file, name in PAGES.items():
        source[0] = source[0].replace(f"]({file}", f"]({name}")


def setup(app):
    """Tell Sphinx of it."""
    app.connect("source-read", _linked)
