"""Do networks give timm's logits on this machine's device, as they do on a CPU?

KERAS_BACKEND=jax python benchmarks/gpu_parity.py --out runs/parity.json [--networks seresnet18 ...]

The goldens, weights and images are those of the tests. A device may round float32 products to fewer
digits (TensorFloat-32), so each network is run with products as exact as they can be, which is what
must agree, and as the backend does it by default.
"""

import argparse
import gzip
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parent.parent / "tests"
NETWORKS = (
    "seresnet50",
    "seresnext26d_32x4d",
    "legacy_seresnet18",
    "mobilenetv3_large_100",
    "inception_v3",
    "densenet121",
)
# Relative to the largest logit, in float32: what the tests allow the networks that lose most.
TOLERANCE = 1e-4


def difference(model, golden, image):
    """The largest difference from timm's logits, as a fraction of the largest logit."""
    differences = []
    for size, expected in golden["logits"].items():
        first = np.asarray(expected["first"])
        scores = np.asarray(model.predict_on_batch(image(*map(int, size.split("x"))))[0], "float64")
        differences.append(np.abs(scores[: len(first)] - first).max() / expected["largest"])
    return float(max(differences))


def set_exact(exact):
    """Chooses products as exact as the backend can, or its default."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest" if exact else None)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_tensor_float_32_execution(not exact)
    else:
        import torch

        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not exact


def compare(name, golden):
    """Differences of one network, with exact products and by default, and its seconds."""
    from generated import image, state_dict
    from safetensors.numpy import save_file

    from keras_se.applications import get_model

    started = time.perf_counter()
    row = {"network": name}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "generated.safetensors")
        save_file(state_dict(golden), weights)
        for key, exact in (("exact", True), ("default", False)):
            set_exact(exact)
            # A model of its own: one that is compiled already stays as it is.
            model = get_model(name)(
                weights=weights, input_shape=(None, None, 3), classifier_activation=None
            )
            row[key] = difference(model, golden, image)
    return row | {"agrees": row["exact"] < TOLERANCE, "seconds": time.perf_counter() - started}


def main(arguments=None):
    """Prints and writes a row for each network; fails if one does not agree.

    Networks that an earlier call has measured are not measured again.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="names in the goldens")
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(TESTS))
    goldens = json.loads(gzip.decompress((TESTS / "goldens.json.gz").read_bytes()))
    if unknown := sorted(set(options.networks) - goldens.keys()):
        parser.error(f"--networks must be names in the goldens. Received: {unknown}")
    from keras_se.files import write_text

    partial = options.out.with_suffix(".partial")
    rows = json.loads(partial.read_text()) if partial.exists() else []
    measured = {row["network"] for row in rows}
    for name in (name for name in options.networks if name not in measured):
        row = compare(name, goldens[name])
        print(json.dumps(row), flush=True)
        # What is measured stays if the time is over; the last row is what completes the file.
        rows.append(row)
        write_text(partial, json.dumps(rows, indent=1))
    if not all(row["agrees"] for row in rows):
        sys.exit(f"{partial}: not all networks agree")
    partial.replace(options.out)


if __name__ == "__main__":
    main()
