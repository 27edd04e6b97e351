"""Where a training step on PyTorch spends its time, with Keras and without.

KERAS_BACKEND=torch python benchmarks/torch_profile.py [--steps 4] [--rounds 12]

Prints the shares of PyTorch's operations in steps of SE-ResNet-20 (32 pixels, batches of 128,
float32), and the seconds of the processor that single layers take forward and backward, on one
thread: the least of some rounds.
"""

import argparse
import time

import keras
import throughput
import torch
import torch_throughput
from torch import nn
from torch.profiler import ProfilerActivity, profile

from keras_se.applications import SEResNet20
from keras_se.layers import SqueezeExcite

SHOWN = 14


def shares(run, steps):
    """Prints the operations of a training that take the most time of their own."""
    run()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        run()
    rows = sorted(recorded.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    for row in rows[:SHOWN]:
        share = 100 * row.self_cpu_time_total / total
        print(f"  {row.key[:50]:50} {row.count // steps:5} a step {share:6.1f} %")


def layers(channels):
    """Pairs of a layer of Keras and the same of PyTorch, by name."""
    convolution = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False)
    theirs = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    yield "convolution", convolution, theirs.to(memory_format=torch.channels_last)
    norm = keras.layers.BatchNormalization()
    yield "batch norm", lambda x: norm(x, training=True), nn.BatchNorm2d(channels)
    yield "squeeze and excitation", SqueezeExcite(), torch_throughput.Excite(channels)
    yield "ReLU", keras.layers.Activation("relu"), nn.ReLU()


def seconds(layer, images, rounds):
    """The least seconds of the processor that a layer takes forward and backward."""

    def run():
        result = layer(images)
        torch.autograd.backward(result, torch.ones_like(result))

    run()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def main():
    """Prints the shares and the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4, help="steps profiled (default: 4)")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of a layer (default: 12)")
    options = parser.parse_args()
    options.size, options.batch, options.task = 32, 128, "train"
    print("Keras")
    shares(throughput.runner(SEResNet20, True, "float32", False, options), options.steps)
    print("plain PyTorch")
    shares(torch_throughput.runner("se_resnet20", "float32", False, options), options.steps)
    torch.set_num_threads(1)
    for channels, side in ((16, 32), (64, 8)):
        last = torch.randn(options.batch, side, side, channels, requires_grad=True)
        first = last.detach().permute(0, 3, 1, 2).requires_grad_(True)
        for name, ours, theirs in layers(channels):
            pair = [seconds(*one, options.rounds) for one in ((ours, last), (theirs, first))]
            sides = f"{channels} channels, {side} pixels"
            print(f"{name:22} {sides:24} {1000 * pair[0]:6.1f} ms {pair[0] / pair[1]:5.2f}")


if __name__ == "__main__":
    main()
