"""The methods, one file each, and their registry."""

from cgm.methods.base import Method
from cgm.methods.cgan import CGAN
from cgm.methods.cyclegan import CycleGAN
from cgm.methods.gan import GAN
from cgm.methods.gan_l1 import GANL1
from cgm.methods.mae import MAE
from cgm.methods.mse import MSE
from cgm.methods.perceptual import Perceptual
from cgm.methods.perceptual_style import PerceptualStyle
from cgm.methods.pix2pix import Pix2Pix
from cgm.methods.unpaired_gan import UnpairedGAN

METHODS: dict[str, type[Method]] = {
    "mae": MAE,
    "mse": MSE,
    "gan": GAN,
    "cgan": CGAN,
    "gan_l1": GANL1,
    "pix2pix": Pix2Pix,
    "unpaired_gan": UnpairedGAN,
    "cyclegan": CycleGAN,
    "perceptual": Perceptual,
    "perceptual_style": PerceptualStyle,
}
