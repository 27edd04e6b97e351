"""Recipes for ImageNet and Places365, after the papers; none of them has been run here yet.

Weight decays are Keras's decoupled ones: ten times the papers', whose momentum is 0.9 (see
`Recipe`). Batches are split so that one GPU holds them: the paper's batch is
`batch_size * gradient_accumulation_steps`.
"""

import dataclasses

from keras_se.recipes.recipe import Recipe

PAPER = Recipe(
    about="""SE-ResNet-50 on ImageNet by the paper's schedule of 100 epochs.

    keras-se train imagenet --data tfds:imagenet2012 --out runs/imagenet
    Section 5.1 of arXiv:1709.01507: SGD with momentum 0.9, batches of 1024, 0.6 divided by ten
    every 30 epochs, crops of random area and proportions, flips. Weight decay 1e-4 and crops from
    8 % of the area: the authors, github.com/hujie-frank/SENet, issue 37 and README. The paper:
    76.71 % top-1 (single crop), the plain twin 75.20 %. Not run here.
    """,
    network="SEResNet50",
    data="tfds:imagenet2012",
    size=224,
    crop=0.875,
    epochs=100,
    batch_size=256,
    gradient_accumulation_steps=4,
    optimizer="sgd",
    nesterov=False,
    learning_rate=0.6,
    base_batch_size=1024,
    momentum=0.9,
    weight_decay=1e-3,
    schedule="step",
    milestones=(30, 60, 90),
    warmup_epochs=0,
    augment=("resized_crop(0.08)", "flip"),
    normalize="imagenet",
    twin=False,
)

REFERENCE = dataclasses.replace(
    PAPER,
    about="""SE-ResNet-50 on ImageNet by the paper's reference schedule of 270 epochs.

    keras-se train imagenet-270 --data tfds:imagenet2012 --out runs/imagenet-270
    Footnote 2 of arXiv:1709.01507v4: 0.1 divided by ten at 125, 200 and 250 of 270 epochs, label
    smoothing; batches of 256 on one machine (section 6). The amount of smoothing is not given: 0.1
    is that of arXiv:1512.00567. The paper: 77.80 % top-1, the plain twin 76.79 %. Not run here.
    """,
    epochs=270,
    gradient_accumulation_steps=1,
    learning_rate=0.1,
    base_batch_size=256,
    milestones=(125, 200, 250),
    label_smoothing=0.1,
)

SENET154 = dataclasses.replace(
    PAPER,
    about="""SENet-154 on ImageNet, as the appendix of the paper says.

    keras-se train imagenet-senet154 --data tfds:imagenet2012 --out runs/senet154
    Appendix of arXiv:1709.01507: batches of 2048 at a rate of 1.0, label smoothing, dropout of 0.2
    (the network's own), all batch norms frozen for the last few epochs: three, which is our
    reading. The schedule is that of section 5.1. The paper: 81.32 % top-1. Not run here.
    """,
    network="SENet154",
    batch_size=64,
    gradient_accumulation_steps=32,
    learning_rate=1.0,
    base_batch_size=2048,
    label_smoothing=0.1,
    frozen_norm_epochs=3,
)

MOBILENET = dataclasses.replace(
    PAPER,
    about="""SE-MobileNet on ImageNet, as the paper trains its mobile networks.

    keras-se train imagenet-mobilenet --data tfds:imagenet2012 --out runs/mobilenet
    Section 5.1 of arXiv:1709.01507v4: batches of 256, a rate of 0.1 divided by ten whenever the
    loss stops falling, about 400 epochs, weaker augmentation; weight decay 4e-5 from an earlier
    version. The epochs of the divisions and the crops from 35 % of the area are ours. The paper:
    74.7 % top-1, the plain twin 71.6 %. Not run here.
    """,
    network="SEMobileNet",
    epochs=400,
    gradient_accumulation_steps=1,
    learning_rate=0.1,
    base_batch_size=256,
    weight_decay=4e-4,
    milestones=(200, 300, 360),
    augment=("resized_crop(0.35)", "flip"),
)

A2 = dataclasses.replace(
    PAPER,
    about="""SE-ResNet-50 on ImageNet by procedure A2 of "ResNet strikes back", 300 epochs.

    keras-se train imagenet-a2 --data tfds:imagenet2012 --out runs/a2
    Table 2 of arXiv:2110.00476. Differences: the cosine ends at zero, not 1e-6; Keras's LAMB
    decays weights beside the trust ratio, not within it; RandAugment draws its strengths evenly up
    to the magnitude. timm's weights of A2: 80.10 % top-1, the plain
    twin 79.83 %. Not run here.
    """,
    epochs=300,
    batch_size=256,
    gradient_accumulation_steps=8,
    crop=0.95,
    interpolation="bicubic",
    optimizer="lamb",
    learning_rate=5e-3,
    base_batch_size=2048,
    weight_decay=0.02,
    schedule="cosine",
    milestones=(),
    warmup_epochs=5,
    augment=("resized_crop(0.08)", "flip", "randaugment(7)"),
    mixup=0.1,
    cutmix=1.0,
    loss="bce",
    target_threshold=0.2,
    repeats=3,
    drop_path=0.05,
    precision="mixed_bfloat16",
)

A1 = dataclasses.replace(
    A2,
    about="""SE-ResNet-50 on ImageNet by procedure A1 of "ResNet strikes back", 600 epochs.

    keras-se train imagenet-a1 --data tfds:imagenet2012 --out runs/a1
    Table 2 of arXiv:2110.00476; differences as in imagenet-a2. Where targets are cut at 0.2, the
    label smoothing of 0.1 has no effect left on them. timm's weights of A1: 80.01 % top-1, the
    plain twin 80.38 %. Not run here.
    """,
    epochs=600,
    weight_decay=0.01,
    mixup=0.2,
    label_smoothing=0.1,
)

A3 = dataclasses.replace(
    A2,
    about="""SE-ResNet-50 on ImageNet by procedure A3 of "ResNet strikes back", 100 epochs.

    keras-se train imagenet-a3 --data tfds:imagenet2012 --out runs/a3
    Table 2 of arXiv:2110.00476: trained at 160 pixels, to be evaluated at 224 (here the held-out
    images have 160 too); differences as in imagenet-a2. timm's weights of A3: 75.10 % top-1 at
    160, 77.04 % at 224, the plain twin 75.99 % and 78.05 %. Not run here.
    """,
    size=160,
    epochs=100,
    learning_rate=8e-3,
    augment=("resized_crop(0.08)", "flip", "randaugment(6)"),
    repeats=1,
    drop_path=0.0,
)

RS = dataclasses.replace(
    PAPER,
    about="""SE-ResNet-50-D on ImageNet in the style of ResNet-RS, 350 epochs at 160 pixels.

    keras-se train imagenet-rs --data tfds:imagenet2012 --out runs/rs
    arXiv:2103.07579 and tensorflow/tpu, resnet_rs: batches of 4096 at 0.1 for each 256, cosine,
    weight decay 4e-5, label smoothing, averaged weights, RandAugment of magnitude 10. Differences:
    the network's gates have a ratio of 16, not 4, and it has no dropout (0.25 there). ResNet-RS-50:
    78.8 % top-1. Not run here.
    """,
    network="SEResNet50D",
    size=160,
    epochs=350,
    gradient_accumulation_steps=16,
    learning_rate=0.1,
    base_batch_size=256,
    weight_decay=4e-4,
    schedule="cosine",
    milestones=(),
    warmup_epochs=5,
    label_smoothing=0.1,
    ema_decay=0.9999,
    augment=("resized_crop(0.08)", "flip", "randaugment(10)"),
    precision="mixed_bfloat16",
)

PLACES365 = dataclasses.replace(
    PAPER,
    about="""SE-ResNet-152 on Places365, from random weights.

    keras-se train places365 --data places365:PATH --out runs/places365
    Section 5.2 of arXiv:1709.01507; the schedule is not given there: this is that of ImageNet. The
    paper: 40.37 % top-1 and 11.01 % top-5 error on the larger Places365-Challenge, ResNet-152
    41.15 % and 11.61 %. Not run here.
    """,
    network="SEResNet152",
    data="tfds:places365_small",
    batch_size=128,
    gradient_accumulation_steps=8,
)

IMAGENET = {
    "imagenet": PAPER,
    "imagenet-270": REFERENCE,
    "imagenet-senet154": SENET154,
    "imagenet-mobilenet": MOBILENET,
    "imagenet-a1": A1,
    "imagenet-a2": A2,
    "imagenet-a3": A3,
    "imagenet-rs": RS,
    "places365": PLACES365,
}
