"""What a novelty detector has to beat."""

from novkit.baselines.autoencoder import AutoencoderDetector, AutoencoderSettings
from novkit.baselines.pixel_zscore import PixelZScore, PixelZScoreSettings
from novkit.baselines.statistic import OracleStatistic, Statistic, StatisticSettings

__all__ = [
    "AutoencoderDetector",
    "AutoencoderSettings",
    "OracleStatistic",
    "PixelZScore",
    "PixelZScoreSettings",
    "Statistic",
    "StatisticSettings",
]
