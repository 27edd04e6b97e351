"""Recipes for CIFAR-10 and CIFAR-100; only `cifar10-fast` has been run here, and shortened.

The paper (section 5.2 of arXiv:1709.01507) pads by four pixels, crops, flips and normalizes, and
takes the rest from the paper of each network. Weight decays are Keras's decoupled ones, ten times
those of the papers (see `Recipe`). What "from memory" stands at has not been checked.
"""

import dataclasses

from keras_se.recipes.recipe import Recipe

PRERESNET110 = Recipe(
    about="""SE-ResNet-110, pre-activated, on CIFAR-10.

    keras-se train cifar10-preresnet110 --data tfds:cifar10 --out runs/c10-110
    Batches of 128, 0.1 divided by ten after 32,000 and 48,000 of 64,000 steps, a first epoch of
    warm-up, weight decay 1e-4: arXiv:1603.05027, from memory. The paper's table 4: 5.21 % error,
    the plain twin 6.37 %. Not run here.
    """,
    network="SEPreResNet110",
    data="tfds:cifar10",
    size=32,
    epochs=164,
    batch_size=128,
    optimizer="sgd",
    nesterov=False,
    learning_rate=0.1,
    base_batch_size=128,
    momentum=0.9,
    weight_decay=1e-3,
    schedule="step",
    milestones=(82, 123),
    warmup_epochs=1,
    augment=("pad_crop(4)", "flip"),
    normalize="cifar10",
    twin=False,
)

PRERESNET164 = dataclasses.replace(
    PRERESNET110,
    about="""SE-ResNet-164, pre-activated, with bottlenecks, on CIFAR-10.

    keras-se train cifar10-preresnet164 --data tfds:cifar10 --out runs/c10-164
    As cifar10-preresnet110. The paper's table 4: 4.39 % error, the plain twin 5.46 %. Not run here.
    """,
    network="SEPreResNet164",
)

WIDE = dataclasses.replace(
    PRERESNET110,
    about="""SE-WRN-16-8 on CIFAR-10.

    keras-se train cifar10-wrn16-8 --data tfds:cifar10 --out runs/c10-wrn
    Batches of 128, Nesterov, 0.1 divided by five after 60, 120 and 160 of 200 epochs, weight decay
    5e-4: arXiv:1605.07146 and github.com/szagoruyko/wide-residual-networks, which pads by
    reflection, the paper by zeros. The paper's table 4: 3.88 % error, the plain twin 4.27 %. Not
    run here.
    """,
    network="SEWideResNet16_8",
    epochs=200,
    nesterov=True,
    weight_decay=5e-3,
    milestones=(60, 120, 160),
    decay_factor=0.2,
    warmup_epochs=0,
)

SHAKE = dataclasses.replace(
    PRERESNET110,
    about="""SE-Shake-Shake-26 2x96d with Cutout on CIFAR-10.

    keras-se train cifar10-shakeshake --data tfds:cifar10 --out runs/c10-shake
    Batches of 128, a cosine from 0.2 over 1800 epochs, Nesterov, weight decay 1e-4
    (github.com/xgastaldi/shake-shake), Cutout of 16 pixels (github.com/uoguelph-mlrg/Cutout). The
    paper's table 4: 2.12 % error, the plain twin 2.56 %. Not run here.
    """,
    network="SEShakeShake26_2x96d",
    epochs=1800,
    nesterov=True,
    learning_rate=0.2,
    schedule="cosine",
    milestones=(),
    warmup_epochs=0,
    augment=("pad_crop(4)", "flip", "cutout(16)"),
)

SHAKE_EVEN = dataclasses.replace(
    SHAKE,
    about="""SE-Shake-Even-29 2x4x64d with Cutout on CIFAR-100.

    keras-se train cifar100-shakeeven --data tfds:cifar100 --out runs/c100-shake
    As cifar10-shakeshake but in batches of 32, from 0.025, with weight decay 5e-4
    (github.com/xgastaldi/shake-shake) and Cutout of 8 pixels (github.com/uoguelph-mlrg/Cutout). The
    paper's table 5: 15.41 % error, the plain twin 15.85 %. Not run here.
    """,
    network="SEShakeEven29_2x4x64d",
    data="tfds:cifar100",
    normalize="cifar100",
    batch_size=32,
    base_batch_size=32,
    learning_rate=0.025,
    weight_decay=5e-3,
    augment=("pad_crop(4)", "flip", "cutout(8)"),
)

FAST = dataclasses.replace(
    PRERESNET110,
    about="""SE-ResNet-20 on CIFAR-10 in 30 epochs: cosine, label smoothing, bfloat16.

    keras-se train cifar10-fast --data tfds:cifar10 --out runs/c10-fast
    Ours: a single cycle with a warm-up, larger batches. With 12 epochs, batches of 128 and a
    warm-up of 2 it gave 15.93 +- 0.28 % error, the plain twin 16.03 +- 0.18 %, 3 seeds, on JPEG
    copies (2026-11-23). As it is: not run here. About 130 s an epoch on 2 CPU cores with --set
    xla=off.
    """,
    network="SEResNet20",
    epochs=30,
    batch_size=256,
    nesterov=True,
    weight_decay=5e-3,
    schedule="cosine",
    milestones=(),
    warmup_epochs=3,
    label_smoothing=0.1,
    precision="mixed_bfloat16",
)


def on_cifar100(recipe, result):
    """The same recipe on CIFAR-100, with the paper's result in its `about`."""
    title, _, command, *_ = recipe.about.splitlines()
    command = command.replace("cifar10", "cifar100").replace("c10", "c100")
    title = title.replace("CIFAR-10", "CIFAR-100")
    about = f"{title}\n\n{command}\n    As on CIFAR-10. {result} Not run here.\n    "
    return dataclasses.replace(recipe, about=about, data="tfds:cifar100", normalize="cifar100")


_PAPER = "The paper's table 5: {} % error, the plain twin {} %."
CIFAR = {
    "cifar10-preresnet110": PRERESNET110,
    "cifar10-preresnet164": PRERESNET164,
    "cifar10-wrn16-8": WIDE,
    "cifar10-shakeshake": SHAKE,
    "cifar10-fast": FAST,
    "cifar100-preresnet110": on_cifar100(PRERESNET110, _PAPER.format(23.85, 26.88)),
    "cifar100-preresnet164": on_cifar100(PRERESNET164, _PAPER.format(21.31, 24.33)),
    "cifar100-wrn16-8": on_cifar100(WIDE, _PAPER.format(19.14, 20.43)),
    "cifar100-shakeeven": SHAKE_EVEN,
    "cifar100-fast": on_cifar100(FAST, "Ours."),
}
