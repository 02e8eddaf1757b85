"""How the documentation site is built: ``make docs``."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE / "_ext"), str(HERE.parent)]

project = "amorph"
author = "The amorph developers"
copyright = author
version = release = installed_version("amorph")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "generated_pages",
    "links_to_pages",
    "native_math",
]
root_doc = "index"
smartquotes = False  # -- begins a flag
exclude_patterns = ["gallery/*", "data/*", "_ext/*"]
suppress_warnings = ["config.cache"]  # the gallery's order is a function

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/\w+\.py$",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "matplotlib_animations": False,
    "abort_on_example_error": True,
    "min_reported_time": 0,
    "image_scrapers": ("matplotlib",),
    "copyfile_regex": r".*\.css$",
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "amorph"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"index": [], "theory": []}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
