"""The help of the command line as plain text: a flag on a line of its own, what it does below it."""

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

_WIDEST = 100
"""Width beyond which lines of text are hard to read."""


class PlainHelp:
    """Formatter that cyclopts calls for each part of a help text."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Print a list of verbs or flags."""
        if not panel.entries:
            return
        lines = [f"{panel.title}:"]
        if panel.format == "command":
            width = max(len(labels(entry)) for entry in panel.entries)
            for entry in panel.entries:
                text = f"{labels(entry).ljust(width)}  {plain_text(entry.description)}"
                lines += _wrapped(text, console, first="  ", rest=" " * (width + 4))
        else:
            for entry in panel.entries:
                lines.append(f"  {labels(entry)}")
                lines += _wrapped(_explanation(entry), console, first="      ", rest="      ")
        _print(console, lines)

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: Any) -> None:
        """Print how the verb is called."""
        _print(console, [f"Usage: {plain_text(usage).removeprefix('Usage: ')}"])

    def render_description(self, console: "Console", options: "ConsoleOptions", description: Any) -> None:
        """Print what the verb does, its paragraphs filled."""
        for paragraph in str(getattr(description, "plain", None) or _rendered(description)).split("\n\n"):
            _print(console, _wrapped(" ".join(paragraph.split()), console))


def labels(entry: "HelpEntry") -> str:
    """Give the names of a verb or flag, with what it takes."""
    names = ", ".join(entry.display_labels)
    if entry.metavar is None or entry.positional_label:
        return names
    return f"{names} {entry.metavar.replace('CHOICE', '|'.join(entry.choices or ['CHOICE']))}"


def _explanation(entry: "HelpEntry") -> str:
    text = plain_text(entry.description)
    if entry.required and not entry.positional_label:
        return f"{text} [required]"
    # a switch is off by default
    return f"{text} [default: {entry.default}]" if entry.default is not None and entry.metavar else text


def plain_text(renderable: Any) -> str:
    """Return the words of what cyclopts hands over, on one line."""
    return " ".join(_rendered(renderable).split())


def _rendered(renderable: Any) -> str:
    from rich.console import Console

    if renderable is None or isinstance(renderable, str):
        return renderable or ""
    console = Console(width=10_000, no_color=True, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def _wrapped(text: str, console: "Console", first: str = "", rest: str = "") -> list[str]:
    width = min(console.width, _WIDEST)
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _print(console: "Console", lines: list[str]) -> None:
    if any(lines):
        console.print("\n".join(lines), "", sep="\n", highlight=False, markup=False, soft_wrap=True)
