"""The verb that lets a shell complete verbs and flags: completion."""

from typing import Annotated, Literal

from cyclopts import Parameter

from amorph.cli.output import say


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="Shell that is to complete verbs and flags.")],
    /,
) -> None:
    """Print the script by which a shell completes verbs, flags and files (docs/guide.md: the line that installs it)."""
    from amorph.cli.app import make_app

    say(make_app().generate_completion(prog_name="amorph", shell=shell))
