"""The smallest network of each family of `keras.applications`, and KerasHub's image classifiers.

The classifiers have the kinds of layers that their families have, and fewer and narrower ones.
"""

from functools import partial

import keras
import numpy as np
from conftest import run
from random_statistics import randomized

CLASSES = 10
FIRST_GAIN, GAIN, MOST_GAINS = 10.0, 1.1, 7
SIDES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
SMALLEST = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
)


def of_keras(name):
    """A network of `keras.applications`."""
    side = SIDES.get(name, 64)
    make = getattr(keras.applications, name)
    return make(
        weights=None,
        input_shape=(side, side, 3),
        classes=CLASSES,
        # Probabilities of networks that were not trained would all be alike.
        classifier_activation=None,
    )


def of_keras_hub(family, backbone, **options):
    """An image classifier of KerasHub."""
    import keras_hub

    shape = "input_shape" if family == "EfficientNet" else "image_shape"
    trunk = getattr(keras_hub.models, f"{family}Backbone")(**{shape: (64, 64, 3)}, **backbone)
    classifier = getattr(keras_hub.models, f"{family}ImageClassifier")
    return classifier(trunk, num_classes=CLASSES, **options)


RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 80],
    "stackwise_num_blocks": [1, 1],
    "stackwise_num_strides": [1, 2],
    "block_type": "basic_block",
}
CSPNET = {
    "stem_filters": 16,
    "stem_kernel_size": 3,
    "stem_strides": 1,
    "stackwise_depth": [1, 2],
    "stackwise_strides": [2, 2],
    "stackwise_num_filters": [16, 32],
    "block_type": "dark_block",
    "stage_type": "dark",
}
TRANSFORMER = {"patch_size": 16, "num_layers": 2, "num_heads": 3, "hidden_dim": 48}
EFFICIENTNET = {
    "stackwise_kernel_sizes": [3, 5],
    "stackwise_num_repeats": [1, 2],
    "stackwise_input_filters": [16, 16],
    "stackwise_output_filters": [16, 24],
    "stackwise_expansion_ratios": [1, 6],
    "stackwise_squeeze_and_excite_ratios": [0.25, 0.25],
    "stackwise_strides": [1, 2],
    "stackwise_block_types": ["v1", "v1"],
    "stackwise_force_input_filters": [0, 0],
    "stackwise_nores_option": [False, False],
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "num_features": 64,
}
HGNET = {
    "depths": [1, 1],
    "embedding_size": 16,
    "hidden_sizes": [32, 48],
    "stem_channels": [3, 8, 16],
    "hidden_act": "relu",
    "use_learnable_affine_block": True,
    "stackwise_stage_filters": [(16, 8, 32, 1, 2, 3), (32, 16, 48, 1, 2, 5)],
    "apply_downsample": [False, True],
    "use_lightweight_conv_block": [False, True],
}
MIT = {
    "layerwise_depths": [1, 1],
    "num_layers": 2,
    "layerwise_num_heads": [1, 2],
    "layerwise_sr_ratios": [4, 2],
    "max_drop_path_rate": 0.0,
    "layerwise_patch_sizes": [7, 3],
    "layerwise_strides": [4, 2],
    "hidden_dims": [16, 32],
}
MOBILENET = {
    "stackwise_expansion": [[16], [40, 56]],
    "stackwise_num_blocks": [1, 2],
    "stackwise_num_filters": [[16], [24, 24]],
    "stackwise_kernel_size": [[3], [5, 5]],
    "stackwise_num_strides": [[2], [2, 1]],
    "stackwise_se_ratio": [[None], [0.25, 0.25]],
    "stackwise_activation": [["relu"], ["hard_swish", "hard_swish"]],
    "stackwise_padding": [[1], [2, 2]],
    "output_num_filters": 48,
    "input_num_filters": 16,
    "depthwise_filters": 8,
    "depthwise_stride": 2,
    "depthwise_residual": False,
    "last_layer_filter": 64,
    "squeeze_and_excite": 0.5,
}
MOBILENET_V5 = {
    "stackwise_block_types": [["er"], ["uir", "mqa"]],
    "stackwise_num_blocks": [1, 2],
    "stackwise_num_filters": [[24], [48, 48]],
    "stackwise_strides": [[2], [2, 1]],
    "stackwise_act_layers": [["gelu"], ["gelu", "gelu"]],
    "stackwise_exp_ratios": [[4.0], [4.0, 0.0]],
    "stackwise_se_ratios": [[0.0], [0.0, 0.0]],
    "stackwise_dw_kernel_sizes": [[0], [5, 0]],
    "stackwise_dw_start_kernel_sizes": [[0], [0, 0]],
    "stackwise_dw_end_kernel_sizes": [[0], [0, 0]],
    "stackwise_exp_kernel_sizes": [[3], [0, 0]],
    "stackwise_pw_kernel_sizes": [[1], [0, 0]],
    "stackwise_num_heads": [[0], [0, 2]],
    "stackwise_key_dims": [[0], [0, 16]],
    "stackwise_value_dims": [[0], [0, 16]],
    "stackwise_kv_strides": [[0], [0, 1]],
    "stackwise_use_cpe": [[False], [False, False]],
    "use_msfa": False,
}
SWIN = {"embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4), "window_size": 4}
VGG = {"stackwise_num_repeats": [1, 1], "stackwise_num_filters": [16, 32]}
XCEPTION = {"stackwise_conv_filters": [[16, 24], [32, 32]], "stackwise_pooling": [True, True]}
NETWORKS = {name: partial(of_keras, name) for name in SMALLEST} | {
    f"KerasHub {family}": partial(of_keras_hub, family, backbone, **options)
    for family, backbone, options in (
        ("CSPNet", CSPNET, {}),
        ("DeiT", TRANSFORMER | {"intermediate_dim": 96}, {}),
        ("DenseNet", {"stackwise_num_repeats": [2, 2], "growth_rate": 16}, {}),
        ("EfficientNet", EFFICIENTNET, {}),
        ("HGNetV2", HGNET, {"preprocessor": None, "head_filters": 64}),
        ("MiT", MIT, {}),
        ("MobileNet", MOBILENET, {"num_features": 64}),
        ("MobileNetV5", MOBILENET_V5, {"head_hidden_size": 64}),
        ("ResNet", RESNET, {}),
        ("SwinTransformer", SWIN, {}),
        ("VGG", VGG, {"pooling_hidden_dim": 32}),
        ("ViT", TRANSFORMER | {"mlp_dim": 96}, {}),
        ("Xception", XCEPTION, {}),
    )
}


def build(name):
    """A network of `NETWORKS` whose outputs depend on its images."""
    keras.utils.set_random_seed(0)
    model = randomized(NETWORKS[name]())
    images = np.random.default_rng(0).standard_normal((2, *model.input_shape[1:])).astype("float32")
    kernels = [weight for weight in model.weights if weight.name == "kernel"]
    # Keras's own draws differ between backends.
    random = np.random.default_rng(1)
    for kernel in kernels:
        if len(kernel.shape) == 4 and kernel.shape[-1] == 1:
            continue  # of each channel, drawn already
        deviation = np.sqrt(2 / np.prod(kernel.shape[:-1]))
        kernel.assign(random.normal(0, deviation, kernel.shape))
    convolutions = [kernel for kernel in kernels if len(kernel.shape) == 4]
    for _ in range(MOST_GAINS):
        first, second = run(model, images * [[[[1.0]]], [[[0.1]]]])
        if np.abs(first - second).max() > 1e-3 * np.abs(first).max():
            return model
        # The images are lost on the way, at once where they are divided by 255, or layer by layer,
        # where larger weights enlarge the errors of rounding as well.
        for kernel in convolutions:
            kernel.assign((FIRST_GAIN if kernel is convolutions[0] else GAIN) * kernel)
    raise RuntimeError(f"{name} says the same of all images: nothing could be told of an export")
