"""What pyproject.toml can't say: a wheel has the configurations in the package, a clone has them beside it."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

INSTALLED = ("conf/**/*.yaml", "experiments/**/*.yaml", "experiments/reference/*.*")


class BuildWithConfigurations(build_py):
    """Copies conf/ and experiments/ into harness/, less the results: harness/base/schema.py finds them in both."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for pattern in INSTALLED:
            for source in Path().glob(pattern):
                target = Path(self.build_lib, "harness", source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


setup(cmdclass={"build_py": BuildWithConfigurations})
