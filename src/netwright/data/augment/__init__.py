"""Random transforms of whole batches of training images, each sample with its own parameters.

Every file holds one family: functions of explicit parameters (`crop`, `flip`, `rotate`, …), which tests compare with
torchvision one image at a time, and beside each a function that turns uniform numbers into those parameters.
"""

from netwright.data.augment.mixing import Mixer, build_mixer
from netwright.data.augment.pipeline import Augment, build_augmentation

__all__ = ["Augment", "Mixer", "build_augmentation", "build_mixer"]
