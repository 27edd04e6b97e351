"""The projects whose checkpoints keras_se loads beside timm's, a table each.

Sources: NVIDIA/DeepLearningExamples, PyTorch/Classification/ConvNets; open-mmlab/mmpretrain,
se_resnet.py; moskomule/senet.pytorch; cydonia999/VGGFace2-pytorch, models/senet.py;
rcmalli/keras-vggface, models.py; osmr/imgclsmob (tf2cv 0.0.18); PaddlePaddle/PaddleClas,
se_resnet_vd.py, se_resnext.py and se_resnext_vd.py; tf_keras 2.21, applications/resnet_rs.py and
regnet.py; pytorch/vision, models/regnet.py and mobilenetv3.py.
"""

from keras_se.weights.classification_models import ClassificationModels
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

FACES_OF_KERAS = (
    ("conv1/7x7_s2", "layer0.conv1"),
    ("conv1/7x7_s2/bn", "layer0.bn1"),
    *(
        (f"conv{{stage}}_{{block}}_{theirs}", f"layer{{stage-1}}.{{block-1}}.{ours}")
        for theirs, ours in (
            ("1x1_reduce", "conv1"),
            ("1x1_reduce/bn", "bn1"),
            ("3x3", "conv2"),
            ("3x3/bn", "bn2"),
            ("1x1_increase", "conv3"),
            ("1x1_increase/bn", "bn3"),
            ("1x1_down", "se_module.fc1"),
            ("1x1_up", "se_module.fc2"),
            ("1x1_proj", "downsample.0"),
            ("1x1_proj/bn", "downsample.1"),
        )
    ),
    ("classifier", "last_linear"),
)
BGR = "Its images were blue, green and red; here they are red, green and blue."

# imgclsmob: the class of the network, then its scopes. Keras numbers unnamed gates by itself.
UNIT, OUR_UNIT = r"{net:\w+}/features/stage{stage}/unit{unit}", "layer{stage}.{unit-1}"
IMGCLSMOB = (
    (r"{net:\w+}/features/init_block/conv", "conv1"),
    (r"{net:\w+}/features/init_block/{bn:conv/bn|bn}", "bn1"),
    (r"{net:\w+}/features/init_block/conv1/conv", "conv1.0"),
    (r"{net:\w+}/features/init_block/conv1/bn", "conv1.1"),
    (r"{net:\w+}/features/init_block/conv2/conv", "conv1.3"),
    (r"{net:\w+}/features/init_block/conv2/bn", "conv1.4"),
    (r"{net:\w+}/features/init_block/conv3/conv", "conv1.6"),
    (r"{net:\w+}/features/init_block/conv3/bn", "bn1"),
    (f"{UNIT}/body/conv{{number}}/conv", f"{OUR_UNIT}.conv{{number}}"),
    (f"{UNIT}/body/conv{{number}}/conv/convgroup{{part}}", f"{OUR_UNIT}.conv{{number}}"),
    (f"{UNIT}/body/conv{{number}}/bn", f"{OUR_UNIT}.bn{{number}}"),
    (rf"{UNIT}/{{gate:se\w*}}/conv{{number}}/conv", f"{OUR_UNIT}.se.fc{{number}}"),
    (f"{UNIT}/identity_conv/conv", f"{OUR_UNIT}.downsample.0"),
    (f"{UNIT}/identity_conv/bn", f"{OUR_UNIT}.downsample.1"),
    ("output1", "fc"),
)
IMGCLSMOB_V1 = (
    (
        r"{net:\w+}/features/stage{stage:[234]}/unit1/body/conv1/conv",
        "layer{stage}.0.conv1_strided",
    ),
    *IMGCLSMOB,
)
IMGCLSMOB_PRE = (
    (f"{UNIT}/identity_conv/conv", f"{OUR_UNIT}.downsample"),
    (r"{net:\w+}/features/final_block/bn", "norm"),
    *IMGCLSMOB,
)
GATE = r"/features/stage1/unit1/{gate:se\w*}/conv1/conv"
SMALL = ("20", "56", "110", "164", "272")

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

# tf_keras, the Keras 2 that lives on: a session counts the stems and the heads.
RS_BLOCK, OUR_RS_BLOCK = "BlockGroup{group}__block_{block}", "layer{group-1}.{block}"
RESNET_RS = (
    *(
        (f"stem_{{session}}_stem_{kind}_{number}", name)
        for kind, names in (
            ("conv", ("conv1.0", "conv1.3", "conv1.6", "maxpool.0")),
            ("batch_norm", ("conv1.1", "conv1.4", "bn1", "maxpool.1")),
        )
        for number, name in enumerate(names, start=1)
    ),
    (f"{RS_BLOCK}__conv_{{number}}", f"{OUR_RS_BLOCK}.conv{{number}}"),
    (f"{RS_BLOCK}{{bar:__?}}batch_norm_{{number}}", f"{OUR_RS_BLOCK}.bn{{number}}"),
    (f"{RS_BLOCK}__se_se_reduce", f"{OUR_RS_BLOCK}.se.fc1"),
    (f"{RS_BLOCK}__se_se_expand", f"{OUR_RS_BLOCK}.se.fc2"),
    (f"{RS_BLOCK}__projection_conv", f"{OUR_RS_BLOCK}.downsample.1"),
    (f"{RS_BLOCK}__projection_batch_norm", f"{OUR_RS_BLOCK}.downsample.2"),
    ("predictions", "fc"),
)
Y_BLOCK = r"{net:\w+}_Stage_{stage}_YBlock_{block}"
OUR_Y_BLOCK = "s{stage+1}.b{block+1}"
KERAS_2_REGNET = (
    (r"{net:\w+}_stem_{kind:conv|bn}", "stem.{kind}"),
    *(
        rule
        for theirs, ours in (
            *(("conv_1x1_1", "conv1"), ("conv_3x3", "conv2"), ("conv_1x1_2", "conv3")),
            ("skip_1x1", "downsample"),
        )
        for rule in (
            (f"{Y_BLOCK}_{theirs}", f"{OUR_Y_BLOCK}.{ours}.conv"),
            (f"{Y_BLOCK}_{theirs.replace('skip_1x1', 'skip')}_bn", f"{OUR_Y_BLOCK}.{ours}.bn"),
        )
    ),
    (f"{Y_BLOCK}_squeeze_and_excite_squeeze", f"{OUR_Y_BLOCK}.se.fc1"),
    (f"{Y_BLOCK}_squeeze_and_excite_excite", f"{OUR_Y_BLOCK}.se.fc2"),
    ("{session}head_dense", "head.fc"),
)
# Networks that Keras 2 had.
KERAS_2_SIZES = ("002", "004", "006", "008", "016", "032", "040", "064", "080", "120", "160", "320")

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
    Origin("nvidia", NVIDIA_GATE, ("SEResNeXt101_32x4d",), NVIDIA),
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
    Origin(
        "rcmalli",
        "conv{stage}_{block}_1x1_down",
        ("LegacySEResNet50",),
        FACES_OF_KERAS,
        note=BGR,
        first="layer0.conv1",
    ),
    Origin(
        "imgclsmob",
        r"{net:(cifar)?se_res_net\w*}" + GATE,
        ("SEResNet50V1", "SEResNet101V1", "SEResNet152V1"),
        IMGCLSMOB_V1,
    ),
    Origin(
        "imgclsmob",
        r"{net:(cifar)?se_(res_ne_?x?t|net)\w*}" + GATE,
        (
            *(f"SEResNet{depth}V1" for depth in (10, 12, 14, 16, 18, 26)),
            *("SEResNetBC26", "SEResNetBC38", "SEResNet50", "SEResNet101", "SEResNet152"),
            *("SEResNeXt50_32x4d", "SEResNeXt101_32x4d", "SEResNeXt101_64x4d"),
            *("SENet16", "SENet28", "SENet154"),
            *(f"SEResNet{depth}" for depth in SMALL),
        ),
        IMGCLSMOB,
    ),
    Origin(
        "imgclsmob",
        r"{net:(cifar)?se_pre_res_net\w*}" + GATE,
        (
            *(f"SEPreResNet{name}" for name in (10, 12, 16, 18, 26, 50, "BC26", "BC38")),
            *(f"SEPreResNet{depth}" for depth in SMALL),
        ),
        IMGCLSMOB_PRE,
    ),
    Origin(
        "tf_keras",
        f"{RS_BLOCK}__se_se_reduce",
        tuple(f"ResNetRS{depth}" for depth in (50, 101, 152, 200, 270, 350, 420)),
        RESNET_RS,
    ),
    Origin(
        "tf_keras",
        f"{Y_BLOCK}_squeeze_and_excite_squeeze",
        tuple(f"TFRegNetY{size}" for size in KERAS_2_SIZES),
        KERAS_2_REGNET,
        note="It pads strided convolutions as TensorFlow does, at the end.",
    ),
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
