"""Let Hydra find tables and sweeps in experiments/, from any working directory, and what declared packages bring."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from harness.base.packages import configurations
from harness.base.schema import EXPERIMENTS


class ExperimentsSearchPath(SearchPathPlugin):
    """Adds experiments/ behind conf/: `table=table3` is experiments/table/table3.yaml. Behind them come the folders
    conf/ and experiments/ of declared packages, which can add files and replace none."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="harness", path=EXPERIMENTS.as_uri())
        for folder in configurations():
            search_path.append(provider="plugin", path=folder.resolve().as_uri())
