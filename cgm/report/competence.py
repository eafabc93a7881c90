"""Which methods take part in bold, ranks and the answer: those that were trained to competence."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from cgm.evaluation.metrics import METRICS
from cgm.methods import METHODS
from cgm.report import labels
from cgm.report.results import DatasetResult

RULE = (
    "Trained to competence: on validation images, by the mean over seeds, outputs look more like real targets (lower kernel distance) than "
    "the mean image and than the unchanged inputs do; and where the method has a condition and targets are aligned, they are nearer to "
    "their own target (lower perceptual distance) than the mean image is."
)
"""As the tables' footnotes say it."""


@dataclass(frozen=True)
class Competence:
    """The outcome of the test for one method of a dataset."""

    tested: bool
    """False where nothing was measured on validation images."""
    failures: tuple[str, ...] = ()
    """Which parts it failed, in words."""

    @property
    def passed(self) -> bool:
        """A method that could not be tested isn't held back."""
        return not self.failures


def competence(dataset: DatasetResult, method: str) -> Competence:
    """The test that :data:`RULE` states, by what :mod:`cgm.evaluation.competence` measured; the mean is over the seeds that ended well.

    The kernel distance is to all train targets (KID, or KD through another judge than Inception-2015).
    """
    measured = [run.scores["validation"] for run in dataset.runs[method] if run.ok and run.scores.get("validation")]
    untrained = dataset.untrained
    if not measured or not all(untrained.get(name) for name in ("mean_image", "copy_input")):
        return Competence(tested=False)
    kid = fmean(each["kid"] for each in measured)
    judge = dataset.judge_of("kid")
    scale = METRICS["kid"].scale
    failures = [
        f"{labels.scaled_title('kid', judge)} {scale * kid:.0f}, {words} {scale * untrained[name]['kid']:.0f}"
        for name, words in (("mean_image", "the mean image"), ("copy_input", "the unchanged input"))
        if kid >= untrained[name]["kid"]
    ]
    bound = untrained["mean_image"].get("pd")  # only where targets are aligned
    if METHODS[dataset.methods[method].implementation].conditional and bound is not None:
        pd = fmean(each["pd"] for each in measured)
        if pd >= bound:
            failures.append(f"{labels.metric_title('pd', judge)} {pd:.2f}, the mean image {bound:.2f}")
    return Competence(tested=True, failures=tuple(failures))


def competent(dataset: DatasetResult) -> list[str]:
    """The methods that take part."""
    return [method for method in dataset.methods if competence(dataset, method).passed]
