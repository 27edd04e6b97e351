"""Prepares the folder that a machine with a GPU and without a network needs for `gpu.py`.

python benchmarks/gpu_pack.py OUT [--images cifar10.tar.xz] [--python 3.12]

It holds the wheels that a machine with JAX lacks for Keras, and, if there is one, the archive of
images, whose folders are `train/CLASS` and `test/CLASS`. At most 60 MB.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

# Keras, and what it needs that JAX does not bring.
PACKAGES = ("keras", "namex", "optree", "absl-py", "rich", "markdown-it-py", "mdurl", "pygments")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any")
LIMIT_MB = 60
CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"


def download_wheels(folder, python):
    """Downloads the wheels, in the versions that the tests run with."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    command += ["--only-binary=:all:", "--python-version", python, *platforms]
    # In a machine's image, the version that is there already is as good.
    subprocess.run([*command, "--constraint", CONSTRAINTS, *PACKAGES], check=True)


def main(arguments=None):
    """Fills the folder and lists what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--images", type=Path, help="archive of CIFAR-10 as image files")
    parser.add_argument("--python", default="3.12", help="version there (default: 3.12)")
    options = parser.parse_args(arguments)
    if options.images and not options.images.is_file():
        parser.error(f"--images must be a file. Received: {options.images}")
    options.out.mkdir(parents=True, exist_ok=True)
    download_wheels(options.out, options.python)
    if options.images:
        shutil.copyfile(options.images, options.out / options.images.name)
    total = 0
    for path in sorted(options.out.iterdir()):
        total += path.stat().st_size
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path.name}")
    print(f"{total / 1e6:8.2f} MB  in all")
    if total > LIMIT_MB * 1e6:
        sys.exit(f"The folder may have {LIMIT_MB} MB at most.")


if __name__ == "__main__":
    main()
