"""Where the workflow stands that this library belongs to: around it in a clone, inside it where a wheel was installed.

A clone has the library in its folder workflow/. A wheel carries the Snakefile and all that it needs (setup.py) in the
folder bundle/ of the package, laid out as in the clone.
"""

import os
import platform
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
BUNDLE = PACKAGE / "bundle"
BUNDLED = BUNDLE.is_dir()

# The folder that has Snakefile, workflow, scripts, config, envs and profiles.
ROOT = BUNDLE if BUNDLED else PACKAGE.parents[1]
SNAKEFILE = ROOT / "Snakefile"


def about() -> dict[str, str]:
    """Return what runs where: versions of Snakefold and Python, the commit where it is a clone, the host."""
    from snakefold import __version__

    known = {"Snakefold": __version__}
    if not BUNDLED and (ROOT / ".git").exists():
        words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
        try:
            told = subprocess.run(words, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            told = None
        if told is not None and told.returncode == 0:
            known["Commit of Snakefold"] = told.stdout.strip()
    return known | {"Python": platform.python_version(), "Host": platform.node(), "Platform": platform.platform()}


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
