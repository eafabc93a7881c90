"""The methods: one file each, which states its losses in its paper's notation; and pictures that other models made.

A method of the user's own needs no line here: it is named by its place, ``my_losses/focal.py:FocalFrequency``.
"""

from cgm.core.registry import Registry
from cgm.methods.method import Implementation
from cgm.methods.own import complete

METHODS: Registry[type[Implementation]] = Registry(
    "method",
    {
        "mae": "cgm.methods.mae:MAE",
        "mse": "cgm.methods.mse:MSE",
        "gan": "cgm.methods.gan:GAN",
        "cgan": "cgm.methods.cgan:CGAN",
        "gan_l1": "cgm.methods.gan_l1:GANL1",
        "pix2pix": "cgm.methods.pix2pix:Pix2Pix",
        "unpaired_gan": "cgm.methods.unpaired_gan:UnpairedGAN",
        "cyclegan": "cgm.methods.cyclegan:CycleGAN",
        "cut": "cgm.methods.cut:CUT",
        "fastcut": "cgm.methods.fastcut:FastCUT",
        "pix2pixhd": "cgm.methods.pix2pixhd:Pix2PixHD",
        "msgan": "cgm.methods.msgan:MSGAN",
        "ms_ssim_l1": "cgm.methods.ms_ssim_l1:MSSSIML1",
        "perceptual": "cgm.methods.perceptual:Perceptual",
        "perceptual_style": "cgm.methods.perceptual_style:PerceptualStyle",
        "weighted": "cgm.methods.weighted:Weighted",
        "perceptual_gan": "cgm.methods.perceptual_gan:PerceptualGAN",
        "external": "cgm.methods.external:External",
    },
    complete,
)
