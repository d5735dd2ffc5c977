"""What pyproject.toml cannot say: a wheel carries the workflow inside the package, in snakefold/bundle."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WORKFLOW = ("workflow/rules", "workflow/report", "workflow/schemas")
CARRIED = ("Snakefile", *WORKFLOW, "scripts", "config", "envs", "profiles")


class BuildWithWorkflow(build_py):
    """Build the package and lay the workflow into it; an editable installation has it around it already."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        bundle = Path(self.build_lib, "snakefold/bundle")
        shutil.rmtree(bundle, ignore_errors=True)  # what an earlier build left
        for name in CARRIED:
            to = bundle / name
            to.parent.mkdir(parents=True, exist_ok=True)
            if Path(name).is_dir():
                shutil.copytree(name, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(name, to)


setup(cmdclass={"build_py": BuildWithWorkflow})
