"""A metric of images by names: `harness plot boxes --x defense --y psnr_unit --by attack --out a.png`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from harness.base.component import component
from harness.plots.bars import Bars, points, scatter
from harness.plots.style import INK, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@component
class Boxes(Bars):
    """Quartiles and median by a column of names, whiskers to the last image within 1.5 times their distance (Tukey),
    and a point for each image: a panel per metric, a box per group."""

    averages: ClassVar[bool] = False

    @override
    def draw_one(
        self, axes: "Axes", at: float, width: float, line: Mapping[Any, Any], look: Look, name: str
    ) -> None:
        values = points(line)
        if not values:
            return
        axes.boxplot(
            [values],
            positions=[at],
            widths=0.8 * width,
            manage_ticks=False,
            showfliers=False,  # they are among the points
            patch_artist=True,
            boxprops={"facecolor": look.colour, "alpha": 0.55, "edgecolor": look.colour},
            medianprops={"color": INK},
            label=name,
        )
        scatter(axes, at, width, line, INK)
