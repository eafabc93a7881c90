"""The papers' own settings, for the methods' records: the report names every setting of a run that differs.

Names are those of ``params.yaml``: ``learning_rate`` and its like stand in ``training``, ``unet.width`` in ``networks``, the others in the
method's own entry. A name that a method has no setting for does not count.
"""

WITHOUT = {"ema_kimg": 0.0, "r1": 0.0, "diffaugment": []}
"""What came after these papers: an average of G's weights, a penalty on D's gradient, augmentation of what D sees."""

PIX2PIX = {
    **WITHOUT,
    "generator": "unet",
    "adversarial": "vanilla",
    "batch_size": 1,
    "learning_rate": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "constant_fraction": 1.0,
    "augment": "resize-crop",
    "jitter": 30 / 256,
    "flip": True,
    "unet.width": 64,
    "unet.dropout": 0.5,
    "unet.norm": "batch",
    "patchgan.width": 64,
    "patchgan.layers": 3,
    "patchgan.norm": "batch",
}
"""Isola et al. 2017, sections 3.3 and 6; the published train.lua, which has no decay of the learning rate."""

CYCLEGAN = {
    **WITHOUT,
    "generator": "resnet",
    "adversarial": "lsgan",
    "batch_size": 1,
    "learning_rate": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "constant_fraction": 0.5,
    "augment": "resize-crop",
    "jitter": 30 / 256,
    "flip": True,
    "resnet.width": 64,
    "resnet.blocks": None,
    "patchgan.width": 64,
    "patchgan.layers": 3,
    "patchgan.norm": "instance",
}
"""Zhu et al. 2017, sections 4 and 7; jitter and flip as in the published code."""

PIX2PIXHD = {
    **WITHOUT,
    "adversarial": "lsgan",
    "batch_size": 1,
    "learning_rate": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "constant_fraction": 0.5,
    "jitter": 0.0,
    "flip": True,
    "patchgan.width": 64,
    "patchgan.layers": 3,
    "patchgan.norm": "instance",
}
"""Wang et al. 2018 (pix2pixHD), section 4 and the published options: 100 epochs, then 100 of decay; resized, not cropped."""

CUT = {**CYCLEGAN, "positions": 256, "temperature": 0.07}
"""Park et al. 2020, section 4 and appendix: CycleGAN's settings. 9 residual blocks at 256 px."""

MSGAN = {
    **WITHOUT,
    "generator": "unet",
    "adversarial": "lsgan",
    "batch_size": 1,
    "learning_rate": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "constant_fraction": 0.5,
    "jitter": 0.0,
    "flip": True,
    "unet.width": 64,
    "unet.norm": "instance",
    "patchgan.width": 64,
    "patchgan.layers": 3,
    "patchgan.norm": "instance",
}
"""Mao et al. 2019, of which the published options of its Pix2Pix: 100 epochs, then 100 of decay; resized to 256 px, not cropped."""

ESRGAN = {
    **WITHOUT,
    "batch_size": 16,
    "learning_rate": 1e-4,
    "beta1": 0.9,
    "beta2": 0.999,
    "constant_fraction": 1.0,
    "jitter": 0.0,
    "flip": True,
}
"""Wang et al. 2018 (ESRGAN), section 4.1. The rate is halved at four steps, which ``constant_fraction`` can't say."""

DCGAN = {
    **WITHOUT,
    "generator": "dcgan",
    "adversarial": "vanilla",
    "batch_size": 128,
    "learning_rate": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "constant_fraction": 1.0,
    "jitter": 0.0,
    "flip": False,
    "dcgan.width": 128,
    "dcgan.latent": 100,
}
"""Radford et al. 2016, sections 3 and 4 (no augmentation; figure 1: 1024 channels at 4×4)."""

JOHNSON = {
    "ema_kimg": 0.0,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "constant_fraction": 1.0,
    "jitter": 0.0,
    "flip": False,
    "loss_network": "vgg16",
    "tap": None,
    "content_weight": 1.0,
    "pixel_weight": 0.0,
    "tv_weight": 1e-6,
}
"""Johnson et al. 2016, section 4 and the published train.lua (Adam as it comes, 40,000 steps of 4 images, no augmentation)."""
