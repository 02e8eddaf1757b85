"""The verb that copies the examples out of the package: examples."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import amorph
from amorph.cli.options import Json, Quiet
from amorph.cli.output import say, show_json, start
from amorph.export import replacing

_EXAMPLES = Path(amorph.__file__).parent / "examples"


def examples(
    folder: Annotated[Path, Parameter(help="Folder to copy them into; made if missing.")] = Path(),
    /,
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy the example crystals and workflows into a folder, as structures/ and workflows/.

    Every command of the documentation runs beside them. Files that are there already are left as they are; one of the
    same name and other content is refused, before anything is written.
    """
    start(quiet=quiet)
    found = {path.relative_to(_EXAMPLES): path.read_bytes() for path in sorted(_EXAMPLES.glob("*/*")) if path.is_file()}
    parents = dict.fromkeys(parent for name in found for parent in reversed((folder / name).parents))
    if files := [parent for parent in parents if parent.exists() and not parent.is_dir()]:
        raise ValueError(f"{files[0]} is a file, and a folder is needed there; give another, or move it away")
    there = [name for name in found if (folder / name).exists()]
    for name in there:
        if not (folder / name).is_file() or (folder / name).read_bytes() != found[name]:
            raise ValueError(f"{folder / name} is there with another content; give another folder, or move it away")
    missing = [name for name in found if name not in there]
    for name in missing:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder / name) as temporary:
            temporary.write_bytes(found[name])
    if json:
        show_json({"folder": folder, "written": missing, "kept": there})
    elif not quiet:
        say(f"{len(missing)} files written to {folder}, {len(there)} were there: " + ", ".join(_folders(found)))


def _folders(names: dict[Path, bytes]) -> list[str]:
    return [f"{folder}/" for folder in dict.fromkeys(str(name.parent) for name in names)]
