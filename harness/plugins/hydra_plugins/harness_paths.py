"""Let Hydra find tables and sweeps in experiments/, from any working directory."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from harness.base.schema import EXPERIMENTS


class ExperimentsSearchPath(SearchPathPlugin):
    """Adds experiments/ behind conf/: `table=table3` is experiments/table/table3.yaml."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="harness", path=EXPERIMENTS.as_uri())
