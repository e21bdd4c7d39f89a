"""Sphinx's settings."""

from letkf import __version__

project = "letkf-mpi"
author = "The letkf-mpi authors"
copyright = author
version = release = __version__.partition("+")[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "letkf-mpi"
html_extra_path = ["experiment.schema.json"]
html_theme_options = {"source_edit_link": "", "navigation_with_keys": True}
exclude_patterns = ["conf.py"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
suppress_warnings = ["myst.header"]
highlight_language = "none"
