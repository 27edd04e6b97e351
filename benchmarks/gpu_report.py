"""Writes the report of `gpu.py`: tables in Markdown, and everything as JSON.

python benchmarks/gpu_report.py runs/gpu
"""

import argparse
import csv
import json
import statistics
import subprocess
import time
from pathlib import Path

import turns
from data import PILLOW
from timing import processor

from keras_se.files import write_text
from keras_se.formatting import markdown_table
from keras_se.training import ablation

LAST_EPOCHS = 5


def write(out):
    """Writes what is known by now, and returns it as Markdown."""
    # A part that ran out of time may have some rows.
    files = [*out.glob("*.partial"), *out.glob("*.json")]
    results = {path.stem: json.loads(path.read_text()) for path in files}
    # Also on another machine, the report is of the one that measured.
    about = results.pop("about", None) or {
        "date": time.strftime("%Y-%m-%d"),
        "device": device(),
        "processor": processor(),
    }
    write_text(out / "about.json", json.dumps(about, indent=1) + "\n")
    report = {
        "about": about,
        "ended": results.pop("ended", {}),
        "ablations": [
            json.loads(path.read_text()) for path in sorted(out.glob("*/ablation_*.json"))
        ],
        "results": {name: value for name, value in results.items() if name != "report"},
        "trainings": {
            file.parent.name: training(file.parent) for file in out.glob("*/results.json")
        },
    }
    text = "\n".join(page(report)) + "\n"
    write_text(out / "report.json", json.dumps(report, indent=1) + "\n")
    write_text(out / "report.md", text)
    return text


def device():
    """Names of the GPUs, if there are any."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no GPU"


def training(folder):
    """Accuracies in percent of one training, after the last epoch and over the last few."""
    (row,) = json.loads((folder / "results.json").read_text())["networks"].values()
    with (folder / "history.csv").open() as file:
        held_out = [100 * float(line["val_accuracy"]) for line in csv.DictReader(file)]
    recipe = json.loads((folder / "recipe.json").read_text())
    return {
        "network": recipe["network"],
        "seed": recipe["seed"],
        "epochs": len(held_out),
        "last": row["test_accuracy"],
        "last_epochs": statistics.mean(held_out[-LAST_EPOCHS:]),
        "seconds": row["seconds"],
    }


def page(report):
    """The report as lines of Markdown."""
    yield "; ".join(f"{key}: {value}" for key, value in report["about"].items()) + "\n"
    for part, jobs in report["ended"].items():
        yield from (f"- {part}, {name}: {end}" for name, end in jobs.items() if end != "complete")
    for name, (title, table) in TABLES.items():
        if name in report["results"]:
            result = report["results"][name]
            size = f" at {result['size']} pixels" if "size" in result else ""
            yield f"\n### {title}{size}\n\n{table(result)}"
    for result in report["ablations"]:
        yield f"\n### {result['axis']} of SE-ResNet-20 on CIFAR-10\n\n{ablation.table(result)}"
    if report["trainings"]:
        yield f"\n### Trainings on CIFAR-10\n\n{trainings(report['trainings'])}"


def parity(rows):
    """Differences from timm's logits."""
    lines = [("network", "exact products", "default products", "agrees")]
    lines += [
        (
            row["network"],
            f"{row['exact']:.1e}",
            f"{row['default']:.1e}",
            "yes" if row["agrees"] else "NO",
        )
        for row in rows
    ]
    return markdown_table(lines, "<>><")


def profile(result):
    """Milliseconds of a step by kind of layer."""
    total = result["all_kernels"]
    rows = {"kernels with any SE": result["kernels_with_se"], **result["milliseconds"]}
    lines = [("kernels that end in", "ms a step", "share")]
    lines += [(kind, f"{value:.2f}", f"{value / total:.1%}") for kind, value in rows.items()]
    return markdown_table(lines, "<>>")


def speed(result):
    """Images per second, as `turns.py` prints them."""
    rates = {tuple(key): values for *key, values in result["images per second"]}
    return "\n".join(turns.page(result["software"], rates))


def decode(result):
    """Images per second of image files, by who decodes them."""
    rates = result["images per second"]
    pillow = rates[PILLOW]
    lines = [("decoded by", "images/s", "of Pillow's")]
    lines += [(name, f"{rate:.0f}", f"{rate / pillow:.2f}") for name, rate in rates.items()]
    return markdown_table(lines, "<>>")


def trainings(runs):
    """Accuracies of each network: of each seed, their mean and spread."""
    lines = [
        ("network", "epochs", "seeds", "accuracy in %", "mean of the last 5 epochs", "minutes")
    ]
    by_network = {}
    for run in sorted(runs.values(), key=lambda run: (run["network"], run["epochs"], run["seed"])):
        by_network.setdefault((run["network"], run["epochs"]), []).append(run)
    for (network, epochs), group in by_network.items():
        last = [run["last"] for run in group]
        spread = f" +- {statistics.stdev(last):.2f}" if len(last) > 1 else ""
        lines.append(
            (
                network,
                str(epochs),
                ", ".join(str(run["seed"]) for run in group),
                f"{statistics.mean(last):.2f}{spread}",
                f"{statistics.mean(run['last_epochs'] for run in group):.2f}",
                f"{statistics.mean(run['seconds'] for run in group) / 60:.1f}",
            )
        )
    return markdown_table(lines, "<><>>>")


TABLES = {
    "parity": ("Largest difference from timm's logits, as a fraction of the largest", parity),
    "speed_train": ("Training", speed),
    "speed_predict": ("Inference", speed),
    "profile": ("Where the time of a training step goes", profile),
    "decode": ("Image files decoded, cropped and put into batches", decode),
}


def main(arguments=None):
    """Writes and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the results")
    print(write(parser.parse_args(arguments).out))


if __name__ == "__main__":
    main()
