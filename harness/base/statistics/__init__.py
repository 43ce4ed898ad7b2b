"""What some values say: their mean and interval, how two rows differ, how many more would decide it."""

from harness.base.statistics.summary import FEWEST as FEWEST
from harness.base.statistics.summary import Statistic as Statistic
from harness.base.statistics.summary import statistic as statistic
