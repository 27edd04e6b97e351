"""The projects whose files are Keras 2's, a table each.

Sources: rcmalli/keras-vggface, models.py; osmr/imgclsmob (tf2cv 0.0.18); tf_keras 2.21,
applications/resnet_rs.py and regnet.py.
"""

from keras_se.weights.origin import Origin

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

KERAS_2_ORIGINS = (
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
)
