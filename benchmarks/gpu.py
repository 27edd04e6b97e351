"""Measures on a GPU, without a network, what no CPU can tell: one command, part by part.

KERAS_BACKEND=jax python benchmarks/gpu.py --out runs/gpu --pack PACK
    [--parts parity train speed profile decode ablate] [--minutes train=6 speed=5] [--smoke]

* `parity`: six networks against timm's logits.
* `speed`: training and inference of SE-ResNet-50 and its twin at 224 pixels in bfloat16, in turns
  with timm in PyTorch (channels last, autocast, with and without torch.compile).
* `profile`: where the time of a training step goes, and how much of it is SE's.
* `decode`: image files decoded and cropped by all cores, which is what a GPU waits for.
* `train`: SE-ResNet-20, -56 and -110 and their twins on CIFAR-10, several at a time.
* `ablate`: ratio, gate, squeeze and stages of SE-ResNet-20 on CIFAR-10, several axes at a time.

Each part has a time budget; what is complete is not done again if the command is repeated, and
trainings go on from their last epoch. A part that fails says so in the report and does not stop the
others. `PACK` is the folder that `gpu_pack.py` filled. Writes `report.json` and `report.md`.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Minutes of each part.
BUDGETS = {"parity": 4, "speed": 8, "profile": 3, "decode": 3, "train": 15, "ablate": 60}
LAYERS, SEEDS = (20, 56, 110), (0, 1, 2)
AXES = ("ratio", "gate", "squeeze", "stages")
# Of trainings, several run at a time, each in a folder of its own.
FOLDERS = ("train", "ablate")


@dataclasses.dataclass
class Job:
    """One process of a part.

    Attributes:
        name: Its name in the report.
        command: Its words.
        result: The file that is there when it is complete.
    """

    name: str
    command: list
    result: Path

    def run(self, deadline, log):
        """Runs it until the deadline; returns how it ended."""
        if self.result.exists():
            return "complete"
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            return "out of time"
        words = [str(word) for word in self.command]
        with log.open("a") as output:
            print(f"$ {shlex.join(words)}", file=output, flush=True)
            # A session of its own, to end with all the processes that it starts.
            process = subprocess.Popen(words, stdout=output, stderr=output, start_new_session=True)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return "out of time"
        if status == 0 and self.result.exists():
            return "complete"
        return f"failed ({status}): {last_line(log)}"


def last_line(log):
    """The last line of a log that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")[:300]


def parity_jobs(options):
    """The comparison of six networks with timm's logits."""
    networks = ["--networks", "legacy_seresnet18"] if options.smoke else []
    result = options.out / "parity.json"
    yield Job(
        "parity", [sys.executable, HERE / "gpu_parity.py", "--out", result, *networks], result
    )


def speed_jobs(options):
    """Training and inference of Keras and timm in turns."""
    size, batch, steps, rounds = (32, 4, 1, 1) if options.smoke else (224, 256, 20, options.rounds)
    ours, theirs = "seresnet50", "seresnet50 resnet50"
    if options.smoke:
        ours, theirs = "seresnet20", "se_resnet20 resnet20"
    with_timm = imports(options.torch_python, "torch" if options.smoke else "torch, timm")
    for task in ("train", "predict"):
        work = f"--task {task} --size {size} --batch {batch} --steps {steps} --precision bfloat16"
        commands = [
            f"{shlex.quote(sys.executable)} {HERE}/throughput.py --network {ours} {work} --xla on",
            f"{options.torch_python} {HERE}/torch_throughput.py --networks {theirs} {work} "
            f"--compile {'off' if options.smoke else 'on off'}",
        ]
        result = options.out / f"speed_{task}.json"
        turns = [sys.executable, HERE / "turns.py", "--rounds", rounds, "--out", result]
        commands = commands if with_timm else commands[:1]
        yield Job(f"speed, {task}", [*turns, "--compile-together", *commands], result)


def imports(python, names):
    """Whether an interpreter has packages; if not, the output says so."""
    there = subprocess.run([*shlex.split(python), "-c", f"import {names}"], capture_output=True)
    if there.returncode:
        print(f"speed: only Keras, since {python} does not import {names}", flush=True)
    return not there.returncode


def profile_jobs(options):
    """The time of each kind of layer in a training step."""
    words = "--network seresnet20 --size 32 --batch 4 --steps 1" if options.smoke else ""
    words += f" --keep {shlex.quote(str(options.out / 'trace'))}"
    result = options.out / "profile.json"
    command = [sys.executable, HERE / "gpu_profile.py", "--out", result, *shlex.split(words)]
    yield Job("profile", command, result)


def decode_jobs(options):
    """The input pipeline without a network."""
    words = "--images 128 --side 64 --size 32 --rounds 1" if options.smoke else "--images 4096"
    result = options.out / "decode.json"
    command = [sys.executable, HERE / "data.py", "--out", result, *words.split()]
    yield Job("decode", command, result)


def train_jobs(options):
    """The trainings, the small networks and the first seed first."""
    settings = [f"epochs={options.epochs}", "twin=false", *options.set]
    if options.smoke:
        settings += [
            "epochs=1",
            "warmup_epochs=1",
            "learning_rate=0.01",
            "batch_size=32",
            "steps_per_epoch=1",
        ]
    for layers in (20,) if options.smoke else options.layers:
        for seed in (0,) if options.smoke else options.seeds:
            for network in (f"SEResNet{layers}", f"ResNet{layers}"):
                out = options.out / f"{network.lower()}-seed{seed}"
                command = [sys.executable, "-m", "keras_se", "train", "--out", out]
                if (out / "recipe.json").exists():
                    command.append("--resume")
                else:
                    command += ["cifar10-fast", "--data", options.data]
                    fields = (f"network={network}", f"seed={seed}", *settings)
                    command += [word for field in fields for word in ("--set", field)]
                yield Job(out.name, command, out / "results.json")


def ablate_jobs(options):
    """The grids of trainings, an axis in each process."""
    settings = [f"epochs={options.epochs}", *options.set]
    values = []
    if options.smoke:
        settings = ["epochs=1", "warmup_epochs=1", "learning_rate=0.01", "steps_per_epoch=1"]
        settings.append("batch_size=32")
        values = ["--values", "4"]
    for axis in ("ratio",) if options.smoke else AXES:
        out = options.out / f"ablate_{axis}"
        command = [sys.executable, "-m", "keras_se", "ablate", axis, *values, "--out", out]
        command += ["--recipe", "cifar10-fast", "--data", options.data]
        command += ["--seeds", 1 if options.smoke else len(options.seeds)]
        command += [word for setting in settings for word in ("--set", setting)]
        yield Job(out.name, command, out / f"ablation_{axis}.json")


PARTS = {
    "parity": parity_jobs,
    "train": train_jobs,
    "speed": speed_jobs,
    "profile": profile_jobs,
    "decode": decode_jobs,
    "ablate": ablate_jobs,
}


def run_part(part, options):
    """Runs the jobs of a part within its time, and returns how each of them ended."""
    deadline = time.monotonic() + 60 * options.minutes.get(part, BUDGETS[part])
    jobs = list(PARTS[part](options))
    workers = options.processes if part in FOLDERS else 1

    def run(job):
        started = time.monotonic()
        log = options.out / f"{job.result.parent.name if part in FOLDERS else job.result.stem}.log"
        ended = job.run(deadline, log)
        print(f"{job.name}: {ended} after {time.monotonic() - started:.0f} s", flush=True)
        return ended

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return {job.name: ended for job, ended in zip(jobs, pool.map(run, jobs), strict=True)}


def install(pack, out):
    """Installs the wheels of a pack beside the results; returns the folder."""
    site = out / "site"
    if not site.exists():
        wheels = sorted(str(path) for path in pack.glob("*.whl"))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        subprocess.run([*command, "--target", site, *wheels], check=True)
    return site


def prepare_images(pack, out):
    """Unpacks the images of a pack into one file; returns what `--data` of a training is."""
    archives = list(pack.glob("*.tar.*"))
    if not archives:
        return None
    images, prepared = out / "images", out / "images.npz"
    if not prepared.exists():
        with tarfile.open(archives[0]) as archive:
            archive.extractall(images, filter="data")
        (folder,) = (path.parent for path in images.rglob("train") if path.is_dir())
        command = [sys.executable, "-m", "keras_se", "data", "prepare", folder, prepared]
        subprocess.run([*command, "--size", "32"], check=True)
    return f"array:{prepared}"


def minutes(text):
    """A part and its minutes."""
    part, _, value = text.partition("=")
    if part not in BUDGETS:
        raise argparse.ArgumentTypeError(f"must be PART=MINUTES with a part of {list(BUDGETS)}")
    return part, float(value)


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--pack", type=Path, help="folder that gpu_pack.py filled")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--minutes", nargs="+", type=minutes, default=[], metavar="PART=MINUTES")
    parser.add_argument("--data", help="of the trainings (default: the pack's images)")
    parser.add_argument("--epochs", type=int, default=150, help="of a training (default: 150)")
    parser.add_argument("--layers", nargs="+", type=int, choices=LAYERS, default=LAYERS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--set", nargs="+", default=[], help="other fields of the recipe")
    parser.add_argument("--processes", type=int, default=4, help="trainings at a time (default: 4)")
    parser.add_argument("--rounds", type=int, default=5, help="of the speeds (default: 5)")
    parser.add_argument("--torch-python", default=sys.executable, help="where PyTorch and timm are")
    parser.add_argument("--smoke", action="store_true", help="the same in a minute, on a CPU")
    options = parser.parse_args(arguments)
    options.minutes = dict(options.minutes)
    return options


def main(arguments=None):
    """Runs the parts and writes the report."""
    options = parse(arguments)
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    # Several processes share the device: none may take most of its memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("MPLBACKEND", "agg")
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    if options.pack:
        paths.insert(0, str(install(options.pack, options.out)))
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    if options.pack and set(FOLDERS) & set(options.parts) and not options.data:
        options.data = prepare_images(options.pack, options.out)
    options.data = options.data or "tfds:cifar10"
    ended_file = options.out / "ended.json"
    ended = json.loads(ended_file.read_text()) if ended_file.exists() else {}
    for part in options.parts:
        ended[part] = run_part(part, options)
        ended_file.write_text(json.dumps(ended, indent=1))
    # A process of its own, for until the pack is there Keras may not be.
    subprocess.run([sys.executable, HERE / "gpu_report.py", options.out], check=True)


if __name__ == "__main__":
    main()
