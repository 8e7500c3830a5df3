"""What a novelty detector has to beat."""

from novkit.baselines.alocc import Alocc, AloccSettings
from novkit.baselines.autoencoder import AutoencoderDetector, AutoencoderSettings
from novkit.baselines.deep_svdd import DeepSvdd, DeepSvddSettings
from novkit.baselines.ocsvm import Ocsvm, OcsvmSettings
from novkit.baselines.patch_knn import PatchKnn, PatchKnnSettings
from novkit.baselines.pixel_zscore import PixelZScore, PixelZScoreSettings
from novkit.baselines.statistic import OracleStatistic, Statistic, StatisticSettings
from novkit.baselines.vae import Vae, VaeSettings

__all__ = [
    "Alocc",
    "AloccSettings",
    "AutoencoderDetector",
    "AutoencoderSettings",
    "DeepSvdd",
    "DeepSvddSettings",
    "Ocsvm",
    "OcsvmSettings",
    "OracleStatistic",
    "PatchKnn",
    "PatchKnnSettings",
    "PixelZScore",
    "PixelZScoreSettings",
    "Statistic",
    "StatisticSettings",
    "Vae",
    "VaeSettings",
]
