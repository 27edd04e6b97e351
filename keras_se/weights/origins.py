"""The projects whose checkpoints keras_se loads beside timm's, a table each.

Sources: NVIDIA/DeepLearningExamples, PyTorch/Classification/ConvNets; open-mmlab/mmpretrain,
se_resnet.py; moskomule/senet.pytorch; cydonia999/VGGFace2-pytorch, models/senet.py;
PaddlePaddle/PaddleClas, se_resnet_vd.py, se_resnext.py and se_resnext_vd.py; pytorch/vision,
models/regnet.py and mobilenetv3.py.
"""

from keras_se.weights.classification_models import ClassificationModels
from keras_se.weights.keras2_origins import BGR, KERAS_2_ORIGINS
from keras_se.weights.origin import Origin

BLOCK = "layer{stage}.{block}"
NVIDIA_GATE = f"{BLOCK}.squeeze.squeeze"
NVIDIA = (
    (NVIDIA_GATE, f"{BLOCK}.se.fc1"),
    (f"{BLOCK}.squeeze.expand", f"{BLOCK}.se.fc2"),
)
MMPRETRAIN_GATE = f"backbone.{BLOCK}.se_layer.conv{{number}}.conv"
MMPRETRAIN = (
    (MMPRETRAIN_GATE, f"{BLOCK}.se.fc{{number}}"),
    ("backbone.{rest:.*}", "{rest}"),
    ("head.fc", "fc"),
)
MOSKOMULE_GATE = f"{BLOCK}.se.fc.0"
MOSKOMULE = ((MOSKOMULE_GATE, f"{BLOCK}.se.fc1"), (f"{BLOCK}.se.fc.2", f"{BLOCK}.se.fc2"))
FACES_GATE = f"{BLOCK}.conv5"
FACES = (
    (f"{BLOCK}.conv4", f"{BLOCK}.se_module.fc1"),
    (FACES_GATE, f"{BLOCK}.se_module.fc2"),
    ("{stem:conv1|bn1}", "layer0.{stem}"),
    ("fc", "last_linear"),
)

# PaddleClas: `bb` numbers stages and blocks from zero. VD networks average before they project.
PADDLE = (
    ("conv1_1._conv", "conv1.0"),
    ("conv1_1._batch_norm", "conv1.1"),
    ("conv1_2._conv", "conv1.3"),
    ("conv1_2._batch_norm", "conv1.4"),
    ("conv1_3._conv", "conv1.6"),
    ("conv{none:|1_3}._batch_norm", "bn1"),
    ("conv._conv", "conv1"),
    ("bb_{stage}_{block}.conv{number}._conv", "layer{stage+1}.{block}.conv{number+1}"),
    ("bb_{stage}_{block}.conv{number}._batch_norm", "layer{stage+1}.{block}.bn{number+1}"),
    ("bb_{stage}_{block}.scale.squeeze", "layer{stage+1}.{block}.se.fc1"),
    ("bb_{stage}_{block}.scale.excitation", "layer{stage+1}.{block}.se.fc2"),
    ("out", "fc"),
)
PADDLE_PLAIN, PADDLE_VD = (
    (
        ("bb_{stage}_{block}.short._conv", f"layer{{stage+1}}.{{block}}.downsample.{first}"),
        ("bb_{stage}_{block}.short._batch_norm", f"layer{{stage+1}}.{{block}}.downsample.{second}"),
        *PADDLE,
    )
    for first, second in ((0, 1), (1, 2))
)
PADDLE_GATE = "bb_{stage}_{block}.scale.squeeze"
PADDLE_FIELDS = {"_mean": "running_mean", "_variance": "running_var"}

# torchvision: a module and its batch norm are 0 and 1 of a sequence.
TV_BLOCK, OUR_TV_BLOCK = "trunk_output.block{stage}.block{again}-{block}", "s{stage}.b{block+1}"
TORCHVISION_REGNET = (
    ("stem.0", "stem.conv"),
    ("stem.1", "stem.bn"),
    *(
        (f"{TV_BLOCK}.{theirs}.{index}", f"{OUR_TV_BLOCK}.{ours}.{kind}")
        for theirs, ours in (
            ("proj", "downsample"),
            ("f.a", "conv1"),
            ("f.b", "conv2"),
            ("f.c", "conv3"),
        )
        for index, kind in enumerate(("conv", "bn"))
    ),
    (f"{TV_BLOCK}.f.se.fc{{number}}", f"{OUR_TV_BLOCK}.se.fc{{number}}"),
    ("fc", "head.fc"),
)


def torchvision_mobilenet(depths):
    """The rules of a MobileNetV3 of stages of so many blocks, which torchvision numbers through."""
    blocks = [f"blocks.{stage}.{i}" for stage, depth in enumerate(depths) for i in range(depth)]
    return (
        ("features.0.0", "conv_stem"),
        ("features.0.1", "bn1"),
        # The first block expands nothing.
        ("features.1.block.0.0", "blocks.0.0.conv_dw"),
        ("features.1.block.0.1", "blocks.0.0.bn1"),
        ("features.1.block.{last:[12]}.0", "blocks.0.0.conv_pw"),
        ("features.1.block.{last:[12]}.1", "blocks.0.0.bn2"),
        *(
            (f"features.{number}.block.{theirs}", f"{block}.{ours}")
            for number, block in enumerate(blocks, start=1)
            for theirs, ours in (
                *(("0.0", "conv_pw"), ("0.1", "bn1"), ("1.0", "conv_dw"), ("1.1", "bn2")),
                *(("{last:[23]}.0", "conv_pwl"), ("{last:[23]}.1", "bn3")),
                *(("{gate}.fc1", "se.conv_reduce"), ("{gate}.fc2", "se.conv_expand")),
            )
        ),
        (f"features.{len(blocks) + 1}.0", f"blocks.{len(depths)}.0.conv"),
        (f"features.{len(blocks) + 1}.1", f"blocks.{len(depths)}.0.bn1"),
        ("classifier.0", "conv_head"),
        ("classifier.3", "classifier"),
    )


ORIGINS = (
    Origin(
        "nvidia",
        NVIDIA_GATE,
        ("SEResNeXt101NV_32x4d",),
        NVIDIA,
        note="Its gates have 16 units in all stages.",
    ),
    Origin("mmpretrain", MMPRETRAIN_GATE, ("SEResNet50", "SEResNet101"), MMPRETRAIN),
    Origin(
        "moskomule",
        MOSKOMULE_GATE,
        ("SEResNet50", "SEResNet101", "SEResNet152"),
        MOSKOMULE,
        without_bias=f"{BLOCK}.se.fc{{number}}",
    ),
    Origin(
        "vggface2",
        FACES_GATE,
        ("LegacySEResNet50",),
        FACES,
        note=BGR,
        first="layer0.conv1",
    ),
    Origin(
        "paddle",
        PADDLE_GATE,
        ("SEResNeXt50_32x4d", "SEResNeXt101_32x4d"),
        PADDLE_PLAIN,
        parameters=PADDLE_FIELDS,
        inputs_first=True,
    ),
    Origin(
        "paddle",
        PADDLE_GATE,
        ("SEResNet18VD", "SEResNet34VD", "SEResNet50D", "SEResNeXt50VD_32x4d", "SENet154VD"),
        PADDLE_VD,
        parameters=PADDLE_FIELDS,
        inputs_first=True,
    ),
    *KERAS_2_ORIGINS,
    Origin(
        "torchvision",
        f"{TV_BLOCK}.f.se.fc1",
        (
            *("RegNetY004", "RegNetY008TV", "RegNetY016", "RegNetY032", "RegNetY080TV"),
            *("RegNetY160", "RegNetY320", "RegNetY1280"),
        ),
        TORCHVISION_REGNET,
    ),
    *(
        Origin(
            "torchvision",
            "features.{number}.block.{gate}.fc1",
            (network,),
            torchvision_mobilenet(depths),
            note="Its batch normalizations have an epsilon of 0.001.",
        )
        for network, depths in (
            ("MobileNetV3LargeTV", (1, 2, 3, 4, 2, 3)),
            ("MobileNetV3SmallTV", (1, 2, 3, 2, 3)),
        )
    ),
    ClassificationModels(("SEResNet50V1", "SEResNet101V1", "SEResNet152V1"), grouped=False),
    ClassificationModels(("SEResNeXt50_32x4d", "SEResNeXt101_32x4d", "SENet154"), grouped=True),
    # Pre-activated networks with the same project's names, of which keras_se has none.
    Origin(
        "classification_models",
        "bn_data",
        (),
        (),
        note="It normalizes pixels by itself and activates before each convolution.",
    ),
)
