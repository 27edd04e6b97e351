"""Predicts the parts of a folder by actors of a Ray cluster."""

import logging
import os
from collections.abc import Iterator, Sequence

import keras

from keras_se.distribution.rendezvous import takes_connections
from keras_se.prediction.predictor import Predictor
from keras_se.validation import require_packages

# A node that dies leaves its actors to the others, which need room for them beside a reader.
PROCESSORS = 0.5
# How often an actor whose process or node has died is started again; Ray would do it for ever.
RESTARTS = 3
# Ray itself tries for minutes to reach a cluster that is not there.
CONNECT_SECONDS = 10


class PartPredictor:
    """An actor: predicts each part that it is given.

    Args:
        predictor: The `Predictor`.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    def __call__(self, batch: dict) -> dict:
        """Predicts the parts of a batch, `{"part": array}`; adds why some could not be."""
        errors = []
        for part in batch["part"]:
            try:
                self._predictor(int(part))
                errors.append("")
            except (ValueError, OSError, ImportError) as error:
                errors.append(f"{type(error).__name__}: {error}")
        return batch | {"error": errors}


def predict_on_ray(
    predictor: Predictor, parts: Sequence[int], workers: int, address: str | None
) -> Iterator[int]:
    """Distributes parts over the actors of a cluster by Ray Data.

    The images, the model and the folder must have the same paths on all nodes.

    Args:
        predictor: The `Predictor`.
        parts: The parts to predict.
        workers: The number of actors.
        address: Of the cluster, as for `predict_files`.

    Yields:
        The parts, in the order in which they are finished.

    Raises:
        OSError: If the cluster cannot be reached, or an actor fails.
        ValueError: If an address is given and this process is connected to a cluster already.
        ImportError: If Ray is not installed.
    """
    require_packages("The engine ray", "ray")
    _connect(address)
    import ray

    dataset = ray.data.from_items(
        [{"part": part} for part in parts], override_num_blocks=len(parts)
    )
    # The bar that shows images is enough. Ray sets up its loggers as it makes the first dataset.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    results = dataset.map_batches(
        PartPredictor,
        fn_constructor_args=(predictor,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(parts))),
        num_cpus=PROCESSORS,
        max_restarts=RESTARTS,
    )
    try:
        for row in results.iter_rows():
            if row["error"]:
                raise OSError(f"Part {row['part']} could not be predicted: {row['error']}")
            yield row["part"]
    except ray.exceptions.RayError as error:
        raise OSError(
            "An actor failed. The finished parts are kept; the same command again does the others. "
            f"{type(error).__name__}: {error}"
        ) from error


def _connect(address):
    """Joins the cluster, or starts one on this machine."""
    import ray

    if ray.is_initialized():
        if address:
            raise ValueError(f"This process is connected to a Ray cluster. Received: {address!r}")
        return
    address = address or os.environ.get("RAY_ADDRESS")
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    # Of `auto` and the like Ray knows where they are.
    if colon and not takes_connections(host, port, CONNECT_SECONDS):
        raise OSError(f"There is no Ray cluster at {address!r} that can be reached.")
    environment = {"KERAS_BACKEND": keras.backend.backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="error",
            runtime_env={"env_vars": environment},
        )
    except ConnectionError as error:
        raise OSError(f"There is no Ray cluster at {address!r} that can be reached.") from error
