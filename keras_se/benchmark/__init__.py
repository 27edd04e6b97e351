"""Times exports in their runtimes, each in a process of its own, in turns.

`measure` is what `keras-se bench` and `benchmarks/deploy.py` stand on.
"""

from keras_se.benchmark.bench import Row, bench, recommend
from keras_se.benchmark.turns import Task, Worker, measure, quartiles

__all__ = ["Row", "Task", "Worker", "bench", "measure", "quartiles", "recommend"]
