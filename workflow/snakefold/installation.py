"""Where the workflow stands that this library belongs to: around it in a clone, inside it where a wheel was installed.

A clone has the library in its folder workflow/. A wheel carries the Snakefile and all that it needs (setup.py) in the
folder bundle/ of the package, laid out as in the clone.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
BUNDLE = PACKAGE / "bundle"
BUNDLED = BUNDLE.is_dir()

# The folder that has Snakefile, workflow, scripts, config, envs and profiles.
ROOT = BUNDLE if BUNDLED else PACKAGE.parents[1]
SNAKEFILE = ROOT / "Snakefile"


def folder_of_library() -> Path:
    """Return a folder that has this package and nothing else, through which another Python can import it.

    In a clone that is its folder workflow/. Beside an installed package stand all others, which are for this Python, so
    a folder with a link to it is made below .snakemake, where Snakemake keeps its own.
    """
    if not BUNDLED:
        return PACKAGE.parent
    folder = Path(".snakemake/snakefold").absolute()
    link = folder / PACKAGE.name
    if not (link.is_symlink() and link.readlink() == PACKAGE):
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f".{PACKAGE.name}.{os.uname().nodename}.{os.getpid()}"  # jobs on several nodes may do the same
        new.symlink_to(PACKAGE)
        new.replace(link)
    return folder
