"""The learning rate of each step, the optimizer and the loss of a recipe."""

import re
from typing import Any

import keras

from keras_se.layers import SqueezeExcite
from keras_se.recipes.recipe import Recipe
from keras_se.training.phases import distance_from_head

# The weights of norms and the biases. Keras shows its optimizers "gamma" or, on the TensorFlow
# backend, "bn1/gamma:0".
NOT_DECAYED = (r"(^|/)(gamma|beta|bias)(:\d+)?$",)


def schedule(
    recipe: Recipe, steps: int, factor: float = 1.0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate of each step.

    The rate rises linearly over the warm-up, not from zero but from one step's share, so that no
    step is lost. Then it stays, falls as half a cosine that reaches zero after the last step, or is
    multiplied by the recipe's `decay_factor` at each of its milestones.

    Args:
        recipe: The `Recipe`.
        steps: Number of steps in an epoch.
        factor: What all rates are multiplied by.

    Returns:
        A Keras learning rate schedule: a function of the step, counted from zero.
    """
    warmup = recipe.warmup_epochs * steps
    rate = factor * recipe.scaled_learning_rate
    if recipe.schedule == "step":
        falling = _step_schedule(recipe, steps, rate)
        return LinearWarmup(falling, rate, warmup) if warmup else falling
    rising = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
    return keras.optimizers.schedules.CosineDecay(
        rate / max(warmup, 1),
        # A recipe may be all warm-up; Keras divides by this number all the same.
        decay_steps=max((recipe.epochs - recipe.warmup_epochs) * steps, 1),
        # The fraction of the rate that the cosine falls to.
        alpha=1.0 if recipe.schedule == "constant" else 0.0,
        **rising,
    )


def _step_schedule(recipe, steps, rate):
    # Keras holds a value up to its boundary and with it; the next begins one step later.
    ends = [round(epoch * steps) - 1 for epoch in recipe.milestones]
    values = [rate * recipe.decay_factor**index for index in range(len(ends) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(ends, values)


class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """Replaces the first steps of a schedule by a linear rise.

    Args:
        schedule: A Keras learning rate schedule.
        target: What the rate rises to, from its `1 / steps`.
        steps: Number of steps of the rise.
    """

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        target: float,
        steps: int,
    ):
        self.schedule, self.target, self.steps = schedule, target, steps

    def __call__(self, step: Any) -> Any:
        """Returns the rate of a step, counted from zero."""
        first = self.target / self.steps
        done = keras.ops.cast(step, "float32") / self.steps
        return keras.ops.where(
            step < self.steps, first + (self.target - first) * done, self.schedule(step)
        )


def optimizer(
    recipe: Recipe, steps: int, network: keras.Model | None = None
) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a recipe, which decays neither norms nor biases.

    Nor, if the recipe says so, the dense layers of the gates.

    Args:
        recipe: The `Recipe`.
        steps: Number of steps in an epoch.
        network: The network, if the recipe's `layer_decay` is less than one or its
            `se_weight_decay` is false.

    Returns:
        A Keras optimizer.
    """
    gates = [] if recipe.se_weight_decay or network is None else _gate_kernels(network)
    if network is None or recipe.layer_decay == 1:
        result = _optimizer(recipe, schedule(recipe, steps), gates)
    else:
        result = _by_stage(recipe, steps, network, gates)
    # Keras does so itself for a model of this policy, but ours is in float32 around the network.
    is_half = recipe.precision == "mixed_float16"
    return keras.optimizers.LossScaleOptimizer(result) if is_half else result


def _gate_kernels(network):
    """The kernels of each SE block."""
    blocks = [layer for layer in network.layers if isinstance(layer, SqueezeExcite)]
    return [kernel for block in blocks for kernel in block.kernels]


def _by_stage(recipe, steps, network, not_decayed):
    """An optimizer for each stage, slower the farther it is from the classifier."""
    distances = distance_from_head(network)
    stages = {
        distance: _optimizer(
            recipe, schedule(recipe, steps, recipe.layer_decay**distance), not_decayed
        )
        for distance in sorted(set(distances.values()))
    }
    by_layer = {f"{re.escape(name)}/.*": stages[distance] for name, distance in distances.items()}
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(stages[0], by_layer))


def _optimizer(recipe, rates, not_decayed):
    keywords = {"weight_decay": recipe.weight_decay or None}
    batches = recipe.gradient_accumulation_steps
    if batches > 1:
        keywords["gradient_accumulation_steps"] = batches
    if recipe.ema_decay:
        # Keras averages after every batch, also after those that only add to the gradients.
        keywords |= {
            "use_ema": True,
            "ema_momentum": recipe.ema_decay ** (1 / batches),
        }
    if recipe.optimizer == "sgd":
        result = keras.optimizers.SGD(rates, recipe.momentum, nesterov=recipe.nesterov, **keywords)
    else:
        kind = {"adamw": keras.optimizers.AdamW, "lamb": keras.optimizers.Lamb}[recipe.optimizer]
        result = kind(rates, beta_1=recipe.momentum, **keywords)
    result.exclude_from_weight_decay(var_list=not_decayed, var_names=NOT_DECAYED)
    return result


def loss(recipe: Recipe) -> keras.losses.Loss:
    """Returns the loss of a recipe, of rows of probabilities.

    The targets of a binary cross-entropy come smoothed: Keras would smooth them toward one half.
    """
    if recipe.loss == "bce":
        return keras.losses.BinaryCrossentropy()
    return keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
