"""Every metric of the benchmark: one file each, with its function and its record."""

from cgm.core.registry import Registry
from cgm.evaluation.metrics.metric import Metric

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "mae": "cgm.evaluation.metrics.mae:MAE",
        "mse": "cgm.evaluation.metrics.mse:MSE",
        "psnr": "cgm.evaluation.metrics.psnr:PSNR",
        "ssim": "cgm.evaluation.metrics.ssim:SSIM",
        "ms_ssim": "cgm.evaluation.metrics.ms_ssim:MS_SSIM",
        "pd": "cgm.evaluation.metrics.pd:PD",
        "lpips": "cgm.evaluation.metrics.lpips:LPIPS",
        "kid": "cgm.evaluation.metrics.kid:KID",
        "fid": "cgm.evaluation.metrics.fid:FID",
        "fjd": "cgm.evaluation.metrics.fjd:FJD",
        "precision": "cgm.evaluation.metrics.precision:PRECISION",
        "recall": "cgm.evaluation.metrics.recall:RECALL",
        "density": "cgm.evaluation.metrics.density:DENSITY",
        "coverage": "cgm.evaluation.metrics.coverage:COVERAGE",
        "vendi_ratio": "cgm.evaluation.metrics.vendi_ratio:VENDI_RATIO",
        "ndb": "cgm.evaluation.metrics.ndb:NDB",
        "jsd": "cgm.evaluation.metrics.jsd:JSD",
        "distinct_share": "cgm.evaluation.metrics.distinct_share:DISTINCT_SHARE",
        "near_duplicate_share": "cgm.evaluation.metrics.near_duplicate_share:NEAR_DUPLICATE_SHARE",
        "intra_diversity": "cgm.evaluation.metrics.intra_diversity:INTRA_DIVERSITY",
        "pairgain": "cgm.evaluation.metrics.pairgain:PAIRGAIN",
        "retrieval": "cgm.evaluation.metrics.retrieval:RETRIEVAL",
        "highfreq_ratio": "cgm.evaluation.metrics.highfreq_ratio:HIGHFREQ_RATIO",
        "gradient_ratio": "cgm.evaluation.metrics.gradient_ratio:GRADIENT_RATIO",
        "colourfulness_ratio": "cgm.evaluation.metrics.colourfulness_ratio:COLOURFULNESS_RATIO",
        "spectrum_distance": "cgm.evaluation.metrics.spectrum_distance:SPECTRUM_DISTANCE",
        "mean_distance": "cgm.evaluation.metrics.mean_distance:MEAN_DISTANCE",
        "median_distance": "cgm.evaluation.metrics.median_distance:MEDIAN_DISTANCE",
        "mode_distance": "cgm.evaluation.metrics.mode_distance:MODE_DISTANCE",
        "modes_found": "cgm.evaluation.metrics.modes_found:MODES_FOUND",
        "saturation_lost": "cgm.evaluation.metrics.saturation_lost:SATURATION_LOST",
    },
)
