"""A page that is named, as in docs/verdict.md, becomes a link to it."""

import re
from pathlib import Path

_FENCE = re.compile(r"^(```.*?^```|:::.*?$)", flags=re.MULTILINE | re.DOTALL)


def setup(app):
    """Look at every page as it is read."""
    app.connect("source-read", _link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _link(app, name, source):
    if Path(app.env.doc2path(name)).suffix != ".md":
        return
    pages = "|".join(page.stem for page in Path(app.srcdir).glob("*.md"))
    named = re.compile(rf"(?<!\]\()(?<![\w/\[])(`?)(?:docs/)?({pages})\.md\1(?![\w\]])")
    parts = _FENCE.split(source[0])
    parts[::2] = [named.sub(_as_link, part) for part in parts[::2]]
    source[0] = "".join(parts)


def _as_link(found):
    return f"[{found[2].replace('_', ' ')}](/{found[2]}.md)"  # of the site's root: pages lie in folders too
