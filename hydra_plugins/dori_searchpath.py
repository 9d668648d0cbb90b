"""``experiments/`` and ``multirun_sweeps/`` lie beside ``conf/``: where Hydra looks for them."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from dori.core.config import ROOT


class DoriSearchPath(SearchPathPlugin):
    """Leaves ``hydra.searchpath`` to people who have options of their own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("dori", f"file://{ROOT}")
