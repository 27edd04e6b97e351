"""Speed of SE-ResNet-20 and ResNet-20 in plain PyTorch, or of networks of timm.

python benchmarks/torch_throughput.py [--networks se_resnet20 resnet20] [--task train] [--size 32]
    [--batch 128] [--steps 10] [--rounds 5] [--precision float32 bfloat16] [--compile on off]

The same steps as in `throughput.py`, channels last, with autocast for bfloat16, on images that are
on the device already. Names other than the two written here are timm's, such as seresnet50.
"""

import argparse
import itertools
import platform
import time

import torch
from timing import interleave, keep_output, take_turns
from torch import nn
from torch.nn import functional


class Excite(nn.Module):
    """Gates of the means of the channels, as the paper has them."""

    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(self.fc1.out_channels, channels, 1)

    def forward(self, x):
        """Rescales the channels."""
        gates = self.fc2(functional.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gates)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, before, channels, stride, se):
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(before, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            Excite(channels) if se else nn.Identity(),
        )
        self.skip = nn.Identity()
        if before != channels:
            convolution = nn.Conv2d(before, channels, 1, stride, bias=False)
            self.skip = nn.Sequential(convolution, nn.BatchNorm2d(channels))

    def forward(self, x):
        """Adds the residual."""
        return functional.relu(self.residual(x) + self.skip(x))


def resnet20(se):
    """The network of `keras_se.applications.SEResNet20`, layer by layer."""
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    before = 16
    for channels in (16, 32, 64):
        for index in range(3):
            stride = 2 if channels > 16 and index == 0 else 1
            layers.append(Block(before, channels, stride, se))
            before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def build(name):
    """A network written here, or timm's."""
    if name in ("se_resnet20", "resnet20"):
        return resnet20(se=name.startswith("se"))
    import timm

    return timm.create_model(name)


def runner(name, precision, compiled, options):
    """A function that trains one network for some steps, or predicts with it."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build(name).to(device, memory_format=torch.channels_last)
    step = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9, nesterov=True)
    images = torch.randn(options.batch, 3, options.size, options.size, device=device)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (options.batch,), device=device)

    def predict():
        with torch.inference_mode():
            for _ in range(options.steps):
                with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                    scores = step(images)
                # Each time, as Keras does.
                scores.float().cpu()

    def train():
        for _ in range(options.steps):
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                loss = functional.cross_entropy(step(images).float(), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()

    if options.task == "predict":
        model.eval()
        return predict
    return train


def main(arguments=None):
    """Prints images per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("se_resnet20", "resnet20")
    parser.add_argument("--networks", nargs=2, default=names, help="a network and its plain twin")
    parser.add_argument("--task", default="train", choices=("train", "predict"))
    parser.add_argument("--size", type=int, default=32, help="side in pixels (default: 32)")
    parser.add_argument("--batch", type=int, default=128, help="images of a step (default: 128)")
    parser.add_argument("--steps", type=int, default=10, help="steps of a turn (default: 10)")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns (default: 5)")
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--compile", nargs="+", choices=("on", "off"), default=["on", "off"])
    parser.add_argument(
        "--take-turns", action="store_true", help="answer turns.py, which adds this"
    )
    options = parser.parse_args(arguments)
    output = keep_output() if options.take_turns else None
    torch.manual_seed(0)
    keys = itertools.product(options.networks, options.precision, options.compile)
    runners = {key: runner(*key[:2], key[2] == "on", options) for key in keys}
    if options.take_turns:
        roles = dict(zip(options.networks, ("SE", "plain"), strict=True))
        rows = [(roles[key[0]], *key) for key in runners]
        software = f"PyTorch {torch.__version__}"
        take_turns(list(runners.values()), rows, options, software, output)
        return
    seconds = interleave(runners, options.rounds)
    print(f"date: {time.strftime('%Y-%m-%d')}; {platform.machine()}, PyTorch {torch.__version__}")
    print(f"{options.size} pixels, batches of {options.batch}")
    images = options.batch * options.steps
    for (name, precision, compiled), one in seconds.items():
        print(f"{name:14} {precision:10} compile {compiled:4} {images / one:9.1f} images/s")


if __name__ == "__main__":
    main()
