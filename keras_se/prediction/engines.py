"""Who predicts the parts of a folder: this process, several processes, or a Ray cluster."""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import keras

import keras_se_command
from keras_se.prediction.folder import PredictionFolder
from keras_se.prediction.predictor import Predictor
from keras_se.prediction.ray_engine import predict_on_ray
from keras_se.validation import check_choice, check_positive

ENGINES = ("processes", "ray")


def predict_files(
    load_model: Callable,
    folder: PredictionFolder,
    *,
    batch_size: int = 32,
    top: int = 5,
    engine: str = "processes",
    workers: int = 1,
    address: str | None = None,
    verbose: bool = True,
) -> int:
    """Predicts the parts of a folder that are not finished, each into a Parquet file of its own.

    A part is written when all of it is predicted, so a prediction that ends early loses at most the
    parts that it was at. Which engine, how many workers and how often it was begun again does not
    change the files, as long as the runtime gives the same numbers for the same batch.

    The columns are `path`; `error`, why the file could not be read; and `classes`, `names` and
    `probabilities` of the likeliest classes, lists with the likeliest first, all of them null if
    there is an error.

    Args:
        load_model: Callable that loads the model, which has `predict(images)`,
            `require_preprocessing()` and `class_names`. With several workers it is pickled.
        folder: The parts, of `open_folder`.
        batch_size: Images of a batch.
        top: How many classes to keep of an image.
        engine: `"processes"` of this machine, or `"ray"`.
        workers: How many processes, or actors of Ray; each loads the model. One process is this.
        address: Of the Ray cluster, `"host:port"`. By default that of the environment's
            `RAY_ADDRESS`, one that was started on this machine, or a new one.
        verbose: Whether to show a progress bar.

    Returns:
        The number of image files that could not be read.

    Raises:
        ValueError: If an argument is not legal, or it is not known how images are prepared.
        OSError: If a file cannot be written, a worker ended, or the cluster cannot be reached.
        ImportError: If Ray is asked for and not installed.
    """
    check_choice("engine", engine, ENGINES)
    for name, value in (("batch_size", batch_size), ("top", top), ("workers", workers)):
        check_positive(name, value, integer=True)
    predictor = Predictor(load_model, folder, batch_size, top)
    parts = folder.unfinished()
    if not parts:
        finished = ()
    elif engine == "ray":
        finished = predict_on_ray(predictor, parts, workers, address)
    elif workers > 1:
        finished = _predict_by_processes(predictor, parts, workers)
    else:
        finished = map(predictor, parts)
    _show_progress(finished, folder, parts, verbose)
    return folder.count_unreadable()


def _show_progress(finished, folder, parts, verbose):
    """Waits for all parts and shows how many images are done."""
    done = folder.file_count - sum(map(folder.part_size, parts))
    progress = keras.utils.Progbar(folder.file_count, verbose=int(verbose), unit_name="image")
    for part in finished:
        done += folder.part_size(part)
        progress.update(done)


def _predict_by_processes(
    predictor: Predictor, parts: Sequence[int], workers: int
) -> Iterator[int]:
    """Lets each process predict one part after the other."""
    pool = ProcessPoolExecutor(
        min(workers, len(parts)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=keras_se_command.start_worker,
        initargs=(True,),
    )
    # Unpickled when the process has loaded Keras, without the lines of its backend.
    pickled = pickle.dumps(predictor)
    try:
        futures = [pool.submit(_predict_pickled, pickled, part) for part in parts]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        left = len(predictor.folder.unfinished())
        raise OSError(
            f"A process that predicted has ended, killed by the system perhaps for want of memory. "
            f"{len(predictor.folder) - left} of {len(predictor.folder)} parts are finished; the "
            "same command again does the others."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


# Of a process that predicts: the predictor by its pickle, of which there is one.
_PREDICTORS = {}


def _predict_pickled(pickled, part):
    if pickled not in _PREDICTORS:
        _PREDICTORS[pickled] = pickle.loads(pickled)
    return _PREDICTORS[pickled](part)
