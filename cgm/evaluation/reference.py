"""What a dataset's outputs are compared with, beside their own targets: computed once a dataset, not once a run."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cgm.core.errors import UserError
from cgm.core.files import replacing
from cgm.core.progress import passing
from cgm.core.seeds import numpy_generator
from cgm.evaluation.inputs import kept_together, recurring
from cgm.evaluation.judges import Judge, device_of, load_judge
from cgm.evaluation.look import features_of, known_targets
from cgm.evaluation.metrics.bins import bin_shares, kmeans
from cgm.evaluation.metrics.blocks import distinct
from cgm.evaluation.metrics.frechet import Moments, moments
from cgm.evaluation.metrics.kid import RealPart, kid_real_part
from cgm.evaluation.metrics.luminance import CHUNK
from cgm.evaluation.metrics.spectrum import radial_spectrum
from cgm.evaluation.uncertainty import image_groups
from cgm.experiment.settings import Evaluation

if TYPE_CHECKING:
    from cgm.data.prepared import Prepared


@dataclass(frozen=True, kw_only=True)
class Reals:
    """Real images as distribution and diversity metrics see them."""

    features: np.ndarray
    """float32 M×D: the judge's features."""
    subset: np.ndarray
    """A fixed permutation of M: precision, recall, Vendi and near duplicates compare with the first as many as there are outputs."""
    centres: np.ndarray
    """bins×D: the k-means centres of NDB and JSD; 0×D where the images are too few."""
    shares: np.ndarray
    """The reals' share of each bin."""
    mean: np.ndarray
    root: np.ndarray
    """Their part of FID: the features' mean and the root of their covariance."""
    kernel_mean: np.ndarray
    """The reals' own term of KID (a scalar)."""
    kid_weights: np.ndarray
    kid_terms: np.ndarray
    """Their part of KID's interval."""

    @property
    def moments(self) -> Moments:
        return Moments(torch.from_numpy(self.mean), torch.from_numpy(self.root), len(self.features))

    @property
    def kid_part(self) -> RealPart:
        return RealPart(weights=self.kid_weights, terms=self.kid_terms, mean=float(self.kernel_mean))


@dataclass(frozen=True, kw_only=True)
class Reference(Reals):
    """The train targets, and what else of a dataset is the same for all of its runs."""

    judge: str
    judge_sha256: str
    data_sha256: str
    conditions: np.ndarray
    """float32 M×D: the judge's features of the train conditions, row by row those of :attr:`features`; 0×D where train holds no pairs."""
    test_conditions: np.ndarray
    """float32 N×D: of the test conditions; 0×D likewise."""
    target_features: np.ndarray
    target_embeddings: np.ndarray
    """float32 N×D and N×P: the judge's features and perceptual embeddings of the test targets (:func:`cgm.evaluation.look.known_targets`);
    of no rows where these are not aligned or too many to be kept."""
    spectrum: np.ndarray
    """The train targets' mean radial spectrum."""
    groups: np.ndarray
    """N: the group of each test image, by which intervals over images are made (:func:`cgm.evaluation.uncertainty.image_groups`). Images
    with the same input are in one group."""
    inputs: np.ndarray
    """N: the number of each test image's input; images with the same input have the same one (:mod:`cgm.evaluation.inputs`)."""

    @property
    def known_targets(self) -> tuple[np.ndarray, np.ndarray] | None:
        return (self.target_features, self.target_embeddings) if len(self.target_features) else None

    def save(self, path: str | Path) -> None:
        """In ``path``, and the embeddings in a file beside it, which is read in parts."""
        arrays: dict[str, Any] = {item.name: np.asarray(getattr(self, item.name)) for item in fields(self)}
        with replacing(_embeddings(path)) as temporary:
            np.save(temporary, arrays.pop(EMBEDDINGS))
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Raises :class:`UserError` if the file is missing or isn't a reference."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {item.name: file[item.name] for item in fields(cls) if item.name != EMBEDDINGS}
            arrays[EMBEDDINGS] = np.load(_embeddings(path), mmap_mode="r")
        except FileNotFoundError:
            raise UserError(f"{path}: not found; run the stage 'reference' of this dataset first") from None
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: not a reference file ({error}); run the stage 'reference' of this dataset again") from None
        values: dict[str, Any] = {name: str(value) if value.dtype.kind == "U" else value for name, value in arrays.items()}
        return cls(**values)


EMBEDDINGS = "target_embeddings"


def _embeddings(path: str | Path) -> Path:
    return Path(path).with_suffix(".targets.npy")


Stored = Callable[[], Reference]
"""Reads a reference when it is asked for. Of 50,000 images one is 1 GiB, so that no more than one should be held at a time."""


def opened(reference: Reference | Stored) -> Reference:
    return reference if isinstance(reference, Reference) else reference()


def build_reference(
    prepared: Prepared,
    config: Evaluation,
    judge: Judge | None = None,
    alike: Sequence[str] | None = None,
    *,
    inputs_known: bool = True,
    label: str = "",
) -> Reference:
    """The reference of a dataset. ``judge``: if ``config``'s is loaded already. ``alike``: a label for each test condition; those with the
    same one belong together, as crops of one photograph do. None: nothing is known of that. ``inputs_known``: False where something else
    than the inputs stands in ``prepared`` as A. ``label``: under which the progress of the
    passes over the images is shown; empty: nothing is.

    Raises :class:`UserError` where there is but one train target.
    """
    judge = judge or load_judge(config.judge, device_of(config))
    dataset, targets = str(prepared.card["dataset"]), prepared.rgb("train", "B")
    if len(targets) < 2:
        raise UserError(f"data/prepared/{dataset}: found 1 train target, expected 2 or more to compare outputs with")

    def seen(split: str, side: str) -> np.ndarray:
        return features_of(prepared.rgb(split, side), judge, label and f"{label} {split}/{side} ({judge.name})")

    features = seen("train", "B")
    reals = reals_of(features, config, numpy_generator(dataset, "", 0, "evaluation/reference"))
    none = features[:0]
    targets_seen = (none, none)
    if prepared.aligned:
        order = numpy_generator(dataset, "", 0, "evaluation/order")
        targets_seen = known_targets(prepared.rgb("test", "B"), judge, order, label and f"{label} test/B ({judge.name})")
    conditions = prepared.rgb("test", "A")
    inputs = recurring(conditions) if inputs_known else np.arange(len(conditions))
    return Reference(
        **vars(reals),
        judge=judge.name,
        judge_sha256=judge.sha256,
        data_sha256=prepared.data_sha256,
        conditions=seen("train", "A") if prepared.paired else none,
        test_conditions=seen("test", "A") if prepared.paired else none,
        target_features=targets_seen[0],
        target_embeddings=targets_seen[1],
        spectrum=_mean_spectrum(targets, label and f"{label} train/B (spectra)"),
        groups=image_groups(kept_together(alike, inputs), len(inputs), numpy_generator(dataset, "", 0, "evaluation/groups")),
        inputs=inputs,
    )


def _mean_spectrum(images: np.ndarray, label: str) -> np.ndarray:
    blocks = passing(np.split(np.arange(len(images)), range(CHUNK, len(images), CHUNK)), len(images), label)
    found: np.ndarray = np.concatenate([radial_spectrum(images[rows[0] : rows[-1] + 1])[1] for rows in blocks]).mean(axis=0)
    return found


def reals_of(features: np.ndarray, config: Evaluation, generator: np.random.Generator) -> Reals:
    """``features``: M×D, M ≥ 2."""
    subset = generator.permutation(len(features))
    enough = distinct(features) >= config.bins
    centres = kmeans(features, config.bins, generator) if enough else np.empty((0, features.shape[1]))
    gaussian, part = moments(features), kid_real_part(features, generator)
    return Reals(
        features=features,
        subset=subset,
        centres=centres,
        shares=bin_shares(features, centres) if enough else np.empty(0),
        mean=gaussian.mean.numpy(),
        root=gaussian.root.numpy(),
        kernel_mean=np.asarray(part.mean),
        kid_weights=part.weights,
        kid_terms=part.terms,
    )
