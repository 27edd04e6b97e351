"""The projects whose checkpoints keras_se loads beside timm's, a table each.

Sources: NVIDIA/DeepLearningExamples, PyTorch/Classification/ConvNets; open-mmlab/mmpretrain,
se_resnet.py; moskomule/senet.pytorch; cydonia999/VGGFace2-pytorch, models/senet.py.
"""

from keras_se.weights.origin import Origin

BLOCK = "layer{stage}.{block}"
NVIDIA = (
    (f"{BLOCK}.squeeze.squeeze", f"{BLOCK}.se.fc1"),
    (f"{BLOCK}.squeeze.expand", f"{BLOCK}.se.fc2"),
)
MMPRETRAIN = (
    (f"backbone.{BLOCK}.se_layer.conv{{number}}.conv", f"{BLOCK}.se.fc{{number}}"),
    ("backbone.{rest:.*}", "{rest}"),
    ("head.fc", "fc"),
)
MOSKOMULE = ((f"{BLOCK}.se.fc.0", f"{BLOCK}.se.fc1"), (f"{BLOCK}.se.fc.2", f"{BLOCK}.se.fc2"))
FACES = (
    (f"{BLOCK}.conv4", f"{BLOCK}.se_module.fc1"),
    (f"{BLOCK}.conv5", f"{BLOCK}.se_module.fc2"),
    ("{stem:conv1|bn1}", "layer0.{stem}"),
    ("fc", "last_linear"),
)

ORIGINS = (
    Origin("nvidia", NVIDIA[0][0], ("SEResNeXt101_32x4d",), NVIDIA),
    Origin("mmpretrain", MMPRETRAIN[0][0], ("SEResNet50", "SEResNet101"), MMPRETRAIN),
    Origin(
        "moskomule",
        MOSKOMULE[0][0],
        ("SEResNet50", "SEResNet101", "SEResNet152"),
        MOSKOMULE,
        without_bias=f"{BLOCK}.se.fc{{number}}",
    ),
    Origin(
        "vggface2",
        FACES[1][0],
        ("LegacySEResNet50",),
        FACES,
        note="Its images were blue, green and red; here they are red, green and blue.",
        first="layer0.conv1",
    ),
)
# Networks whose checkpoints agree in all names and shapes, while the graphs differ.
ALIKE = {}
