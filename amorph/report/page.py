"""Pages put together: templates with everything escaped, one file that asks for nothing."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from amorph.export import replacing
from amorph.export.charts import number, share

if TYPE_CHECKING:
    from jinja2 import Environment

_PAGE: Final = Path(__file__).parent / "page"
_LIBRARY: Final = "3Dmol/3Dmol-min.js"


def write_page(path: Path, template: str, **content: Any) -> None:
    """Render a template into one file that needs no other, and no network.

    What of a file's name is no character has its code, as on a terminal.
    """
    text = page_text(template, **content)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def page_text(template: str, **content: Any) -> str:
    """Render a template into the text of a page that needs no other file, and no network.

    The scripts are allowed by their digests alone, so that no word of a user's file can become one; nothing may be
    fetched from anywhere.
    """
    scripts = [_text(_LIBRARY), _text("view.js")]
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )
    page = _templates().get_template(template)
    return page.render(
        **content, policy=policy, scripts=scripts, style=_text("style.css"), licence=_text("3Dmol/LICENSE")
    )


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"number": number, "share": share}
    # our own files, which a browser must read as they are; what a user wrote never goes this way
    made.globals["raw"] = Markup
    made.policies["json.dumps_function"] = _compact
    return made


def _compact(value: Any, **_: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


@cache
def _text(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
