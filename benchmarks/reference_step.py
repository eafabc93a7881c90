"""The other side of :mod:`benchmarks.training`: Pix2Pix and CycleGAN trained as their public PyTorch implementation trains them.

A plain loop after the papers (Isola et al. 2017; Zhu et al. 2017) and that implementation: float32; Pillow reads, resizes and crops each
image in the DataLoader's worker processes; the losses compare with a tensor of labels; Adam has its defaults; both updates share one output
of G; D's parameters are frozen in G's update; losses are read every 100 iterations. Networks, batch size and learning rate are those of
``params.yaml``, so that only the step itself differs.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cgm.core import seeds
from cgm.data.prepared import Prepared
from cgm.experiment.params import Params, Run
from cgm.methods import models
from cgm.methods.pool import ImagePool
from cgm.networks.init import initialise
from cgm.networks.layers import BatchNorm2d, DoublingConv, FoldedConv, FoldedDoublingConv, HalvingConv, InstanceNorm2d, ReflectionPad

TORCH_LAYERS: dict[type, type] = {
    HalvingConv: nn.Conv2d,
    FoldedConv: nn.Conv2d,
    DoublingConv: nn.ConvTranspose2d,
    FoldedDoublingConv: nn.ConvTranspose2d,
    InstanceNorm2d: nn.InstanceNorm2d,
    BatchNorm2d: nn.BatchNorm2d,
}
WORKERS = 4
"""Loader processes, the implementation's default."""
READ_EVERY = 100
"""Iterations between two readings of the losses, the implementation's default."""
LOAD, CROP = 286, 256
"""Images are resized to LOAD and cropped to CROP, or in this proportion."""
PAIRS = "pairs"
"""The folder of side-by-side pictures; those of the two domains are A and B."""
Sample = dict[str, torch.Tensor]


def write_images(prepared: Prepared, folder: Path) -> None:
    """The train split as the implementation reads it: ``pairs/`` of A|B side by side, and the folders ``A/`` and ``B/``; all PNG."""
    a, b = (prepared.images("train", side) for side in "AB")
    for name in (PAIRS, "A", "B"):
        (folder / name).mkdir(parents=True)
    for index, (left, right) in enumerate(zip(a, b, strict=True)):
        for name, picture in ((PAIRS, np.concatenate([left, right], axis=1)), ("A", left), ("B", right)):
            Image.fromarray(picture).save(folder / name / f"{index:05d}.png")


class Aligned(Dataset[Sample]):
    """Side-by-side pictures, cut in the middle; both halves cropped and flipped alike.

    ``random`` and torch's global generator are what the loader seeds in each worker; an explicit one would be the same in all of them.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.paths = sorted((folder / PAIRS).glob("*.png"))
        self.load, self.size = size * LOAD // CROP, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        picture = Image.open(self.paths[index]).convert("RGB")
        width, height = picture.size
        left, top = (random.randint(0, self.load - self.size) for _ in range(2))
        flipped = random.random() > 0.5
        prepare = transforms.Compose(
            [
                transforms.Resize([self.load, self.load], transforms.InterpolationMode.BICUBIC),
                transforms.Lambda(lambda image: image.crop((left, top, left + self.size, top + self.size))),
                transforms.Lambda(lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else image),
                *_to_tensor(),
            ]
        )
        halves = {"A": (0, 0, width // 2, height), "B": (width // 2, 0, width, height)}
        return {side: prepare(picture.crop(box)) for side, box in halves.items()}


class Unaligned(Dataset[Sample]):
    """Two folders: A in the loader's order, B drawn at random; each cropped and flipped by itself."""

    def __init__(self, folder: Path, size: int) -> None:
        self.paths = {side: sorted((folder / side).glob("*.png")) for side in "AB"}
        load = size * LOAD // CROP
        self.prepare = transforms.Compose(
            [
                transforms.Resize([load, load], transforms.InterpolationMode.BICUBIC),
                transforms.RandomCrop(size),
                transforms.RandomHorizontalFlip(),
                *_to_tensor(),
            ]
        )

    def __len__(self) -> int:
        return max(len(paths) for paths in self.paths.values())

    def __getitem__(self, index: int) -> Sample:
        a, b = self.paths["A"], self.paths["B"]
        chosen = {"A": a[index % len(a)], "B": b[random.randint(0, len(b) - 1)]}
        return {side: self.prepare(Image.open(path).convert("RGB")) for side, path in chosen.items()}


def with_torch_layers(network: nn.Module) -> None:
    """Put torch's own layers, which the public implementation uses, in the place of ours; parameters and values stay."""
    for name, child in network.named_children():
        if isinstance(child, ReflectionPad):
            setattr(network, name, nn.ReflectionPad2d(child.width))
        elif type(child) in TORCH_LAYERS:
            child.__class__ = TORCH_LAYERS[type(child)]
        else:
            with_torch_layers(child)


class ReferenceStep:
    """One training of Pix2Pix or CycleGAN; ``folder`` holds what :func:`write_images` wrote. ``KeyError`` for another method."""

    def __init__(self, params: Params, run: Run, folder: Path, size: int, workers: int = WORKERS) -> None:
        training, settings = params.training, params.method(run.dataset, run.method)
        self.device = torch.device("cuda" if torch.cuda.is_available() and params.compute.device != "cpu" else "cpu")
        if self.device.type == "cuda":  # as torch has it by itself, whatever was trained in this process before
            torch.set_deterministic_debug_mode("default")
            torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = True
        dataset, self._step = {"pix2pix": (Aligned, self._pix2pix), "cyclegan": (Unaligned, self._cyclegan)}[settings.implementation]
        self.settings = settings
        self.players = models.build(settings, params.networks, size, params.is_paired(run.dataset)).players
        for player in self.players.values():
            for name, network in player.items():
                initialise(network, seeds.torch_generator(run.dataset, "", run.seed, f"init-{name}"))
                with_torch_layers(network)
            player.to(self.device).train()
        rate = settings.learning_rate or training.learning_rate
        self.optimisers = {
            name: torch.optim.Adam(player.parameters(), lr=rate, betas=(training.beta1, training.beta2))
            for name, player in self.players.items()
        }
        self.noise = seeds.torch_generator(run.dataset, run.method, run.seed, "noise", self.device)
        pool_size = getattr(settings, "pool_size", 0)
        self.pool_A, self.pool_B = (ImagePool(pool_size, seeds.numpy_stream(run.seed, f"pool {side}"), self.device) for side in "AB")
        self.loader = DataLoader(
            dataset(folder, size), training.batch_size, shuffle=True, num_workers=workers, generator=torch.Generator().manual_seed(run.seed)
        )
        self.batches = self._epochs()
        self.iterations = 0
        self.read: dict[str, float] = {}
        """The losses as last read."""

    def advance(self) -> int:
        """One iteration, loading included. Returns the number of its images."""
        sample = next(self.batches)
        x, y = (sample[side].to(self.device) for side in "AB")
        losses = self._step(x, y)
        self.iterations += 1
        if self.iterations % READ_EVERY == 0:
            self.read = {name: loss.item() for name, loss in losses.items()}
        return len(x)

    def _epochs(self) -> Iterator[Sample]:
        while True:
            yield from self.loader

    def _pix2pix(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        G, D, criterion = self.players["G"]["G"], self.players["D"]["D"], nn.BCEWithLogitsLoss()
        y_hat = G(x, self.noise)

        _require_gradients(self.players["D"], True)
        self.optimisers["D"].zero_grad()
        d_fake = _adversarial(criterion, D(torch.cat([x, y_hat], 1).detach()), False)
        d_real = _adversarial(criterion, D(torch.cat([x, y], 1)), True)
        ((d_fake + d_real) * 0.5).backward()
        self.optimisers["D"].step()

        _require_gradients(self.players["D"], False)
        self.optimisers["G"].zero_grad()
        g_gan = _adversarial(criterion, D(torch.cat([x, y_hat], 1)), True)
        g_l1 = nn.L1Loss()(y_hat, y) * self.settings.l1_weight
        (g_gan + g_l1).backward()
        self.optimisers["G"].step()
        return {"G_GAN": g_gan, "G_L1": g_l1, "D_real": d_real, "D_fake": d_fake}

    def _cyclegan(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        (G, F), (D_A, D_B) = (self.players["G"][name] for name in "GF"), (self.players["D"][name] for name in ("D_A", "D_B"))
        criterion, l1 = nn.MSELoss(), nn.L1Loss()
        y_hat = G(x, self.noise)
        x_again = F(y_hat, self.noise)
        x_hat = F(y, self.noise)
        y_again = G(x_hat, self.noise)

        _require_gradients(self.players["D"], False)
        self.optimisers["G"].zero_grad()
        losses = {
            "idt_A": l1(G(y, self.noise), y) * self.settings.identity_weight,
            "idt_B": l1(F(x, self.noise), x) * self.settings.identity_weight,
            "G_A": _adversarial(criterion, D_B(y_hat), True),
            "G_B": _adversarial(criterion, D_A(x_hat), True),
            "cycle_A": l1(x_again, x) * self.settings.cycle_weight,
            "cycle_B": l1(y_again, y) * self.settings.cycle_weight,
        }
        sum(losses.values(), torch.zeros((), device=self.device)).backward()
        self.optimisers["G"].step()

        _require_gradients(self.players["D"], True)
        self.optimisers["D"].zero_grad()
        for name, D, real, fake, pool in (("D_B", D_B, y, y_hat, self.pool_B), ("D_A", D_A, x, x_hat, self.pool_A)):
            pool.draw(len(fake))
            past = pool.query(fake.detach())
            losses[name] = (_adversarial(criterion, D(real), True) + _adversarial(criterion, D(past), False)) * 0.5
            losses[name].backward()
        self.optimisers["D"].step()
        return losses


def _to_tensor() -> Iterable[nn.Module]:
    """To float in [-1, 1], channels first."""
    return transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _adversarial(criterion: nn.Module, logits: torch.Tensor, real: bool) -> torch.Tensor:
    """The loss against a label for each patch."""
    return criterion(logits, torch.tensor(1.0 if real else 0.0, device=logits.device).expand_as(logits))


def _require_gradients(player: nn.Module, required: bool) -> None:
    for parameter in player.parameters():
        parameter.requires_grad = required
