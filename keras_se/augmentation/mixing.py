"""MixUp and CutMix of a batch, by one draw for its images and targets."""

from keras import layers, ops, random

from keras_se.augmentation.seeds import StepSeeds

# More than both layers draw for a batch.
SEEDS_PER_STEP = 64


class Mixing:
    """Mixes the images of a batch with each other, and their targets in the same proportions.

    With both ways of mixing, each batch gets one of them, as in timm.

    Args:
        mixup: Alpha of MixUp (https://arxiv.org/abs/1710.09412); zero for none.
        cutmix: Alpha of CutMix (https://arxiv.org/abs/1905.04899); zero for none.
        seed: Integer that fixes the mixtures.
    """

    def __init__(self, mixup: float, cutmix: float, seed: int):
        self._seed, self._layers = seed, []
        if mixup:
            self._layers.append(layers.MixUp(mixup, dtype="float32"))
        if cutmix:
            self._layers.append(layers.CutMix((cutmix, cutmix), dtype="float32"))

    def __bool__(self) -> bool:
        """Whether anything is mixed."""
        return bool(self._layers)

    def __call__(self, images, targets, step) -> tuple:
        """Mixes a batch.

        Args:
            images: Float tensor, a batch of images in Keras's data format.
            targets: Tensor of probabilities `(image, class)`.
            step: Number of the step, on which the mixture depends.

        Returns:
            The mixed images and targets.
        """
        seeds = StepSeeds(self._seed, step * SEEDS_PER_STEP)
        use_mixup = random.uniform((), seed=seeds) < 0.5
        results = []
        for layer in self._layers:
            drawn = layer.get_random_transformation(images, training=True, seed=seeds)
            mixed = layer.transform_images(images, drawn)
            results.append((mixed, layer.transform_labels(targets, drawn)))
        if len(results) == 2:
            return tuple(ops.where(use_mixup, *pair) for pair in zip(*results, strict=True))
        return results[0] if results else (images, targets)
