"""The projects whose checkpoints keras_se loads beside timm's, a table each.

Sources: NVIDIA/DeepLearningExamples, PyTorch/Classification/ConvNets; open-mmlab/mmpretrain,
se_resnet.py; moskomule/senet.pytorch; cydonia999/VGGFace2-pytorch, models/senet.py;
rcmalli/keras-vggface, models.py; osmr/imgclsmob (tf2cv 0.0.18); PaddlePaddle/PaddleClas,
se_resnet_vd.py, se_resnext.py and se_resnext_vd.py.
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
