"""Damages files at random and reads them: `python tests/fuzz.py [--mutants 100000] [--seconds S]`.

Every mutant is made from a sound file by its number and the seed alone, and read in a child
process with limits of memory and time, which is started anew after a crash. Prints how many mutants
of each format crashed the process, hung, changed a network and were refused all the same (half
loaded), raised an error that says nothing to a user (unclear), did what no reader may do (such as
starting a program), were refused, or were loaded, equal to the sound file or not; every 5,000
mutants it shows the counts so far. `--first NUMBER` begins later, and `--only NUMBER` reads one
mutant here and shows what happens. With `--projects` the files are checkpoints of other projects,
whose names become timm's; the numbers of their mutants are their own.
"""

import argparse
import contextlib
import io
import json
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from fuzz_seeds import OF_PROJECTS, network, write_project_seeds, write_seeds

BAD = ("crashed", "hung", "half loaded", "unclear", "forbidden")
OUTCOMES = (*BAD, "refused", "equal", "other")
# Events of `sys.addaudithook` that reading a file must not cause.
FORBIDDEN = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"}
FORBIDDEN |= {"socket.connect", "pickle.find_class", "os.remove", "os.rename", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
INTERESTING = [0, 1, 2, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40]
INTERESTING += [2**63 - 1, 2**63, 2**64 - 1]
MOST_MEMORY = 2**30  # bytes above what the process has before
PATIENCE = 60  # seconds of the processor for a mutant
LONGEST_WAIT = 1800  # seconds for what takes no time of the processor, or on a busy machine
START_WAIT = 3600  # seconds for the imports of a child
STARTED = "started"  # what a child says first
REPORT_EVERY = 5000


class Readers:
    """Reads files as the package does; what is read is compared with what the sound file gives."""

    def __init__(self, folder):
        self.model = network()
        self.sound = [np.zeros_like(one) for one in self.model.get_weights()]
        self.expected = {path.name: self.read(path)[0] for path in sorted(folder.iterdir())}

    def outcome(self, name, path):
        """One of `OUTCOMES` for a mutant of the file `name`."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value, _ = self.read(path, name)
        except (ValueError, OSError):
            return "half loaded" if self.changed() else "refused"
        except Exception:
            return "unclear"
        return "equal" if same(value, self.expected[name]) else "other"

    def changed(self):
        """Whether the network is not what it was."""
        return not same(self.model.get_weights(), self.sound)

    def read(self, path, name=None):
        """What a file gives, and by what; a network has zeros for weights before."""
        name = name or path.name
        return getattr(self, f"_{name.split('.')[-1]}")(path, name), name

    def _checkpoint(self, path, name):
        from keras_se.weights.checkpoint import read_checkpoint
        from keras_se.weights.translate import translate

        if self.changed():
            self.model.set_weights(self.sound)
        if name in OF_PROJECTS:
            values = translate(read_checkpoint(path), OF_PROJECTS[name], name).values
            return [" ".join(sorted(values)), *(values[key] for key in sorted(values))]
        read_checkpoint(path).load_into(self.model, ("fc",))
        loaded = self.model.get_weights()
        self.model.set_weights(self.sound)
        return loaded

    _safetensors = _h5 = _zip = _pth = _pdparams = _pkl = _checkpoint

    def _keras(self, path, name):
        if name.startswith("export"):
            return self._onnx(path, name)
        return self._checkpoint(path, name)

    def _onnx(self, path, name):
        from keras_se.export import read_metadata

        return json.dumps(read_metadata(path), sort_keys=True)

    def _npz(self, path, name):
        from keras_se.data.sources.array import ArrayFile
        from keras_se.training.checkpoint import State

        if name == "state.npz":
            state = State(path)
            state.read(9)
            return [state.record["epoch"], *(state.arrays[key] for key in sorted(state.arrays))]
        found = ArrayFile(path).load()
        return [found.train_images, found.train_labels, found.test_images, found.class_names]

    def _json(self, path, name):
        from keras_se.recipes import from_json

        return from_json(path.read_text(encoding="utf-8")).to_json()

    def _picture(self, path, name):
        from keras_se.preprocessing import Preprocessing

        return Preprocessing(8).load_image(path)

    _jpg = _png = _webp = _gif = _bmp = _tif = _ppm = _picture


def same(value, other):
    """Whether two values are equal, arrays in lists too."""
    if isinstance(value, list) or isinstance(other, list):
        return (
            type(value) is type(other) and len(value) == len(other) and all(map(same, value, other))
        )
    return np.shape(value) == np.shape(other) and bool(np.all(value == other))


def mutate(content, random):
    """A damaged copy of the bytes of a file; of a zip archive, often with the right checksums."""
    if content[:2] == b"PK" and random.random() < 0.6:
        with contextlib.suppress(Exception):  # of what is no archive any more
            return mutate_member(content, random)
    result = bytearray(content)
    for _ in range(random.choice([1, 1, 1, 2, 4, 16])):
        MUTATIONS[random.integers(len(MUTATIONS))](result, random)
    return bytes(result)


def mutate_member(content, random):
    """Damages a file in an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(entry, archive.read(entry)) for entry in archive.infolist()]
    chosen, output = random.integers(len(members)), io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        for index, (entry, data) in enumerate(members):
            if index != chosen or random.random() < 0.9:
                data = mutate(data, random) if index == chosen else data
                archive.writestr(entry, data, entry.compress_type)
    return output.getvalue()


def place(data, random):
    """A position; half of them at the beginning, where files describe themselves."""
    end = min(len(data), 2048) if random.random() < 0.5 else len(data)
    return int(random.integers(max(end, 1)))


def flip(data, random):
    """Changes a bit."""
    if data:
        data[place(data, random)] ^= 1 << random.integers(8)


def put_number(data, random):
    """Writes a number in binary."""
    size, order = random.choice([1, 2, 4, 8]), random.choice(["little", "big"])
    number = INTERESTING[random.integers(len(INTERESTING))] % 256 ** int(size)
    start = place(data, random)
    data[start : start + size] = number.to_bytes(int(size), str(order))


def put_digits(data, random):
    """Writes another number for one in text."""
    start = place(data, random)
    if found := re.compile(rb"\d+").search(data, start, start + 4096):
        number = INTERESTING[random.integers(len(INTERESTING))]
        sign = b"-" if random.random() < 0.2 else b""
        data[found.start() : found.end()] = sign + str(number).encode()


def cut(data, random):
    """Ends early."""
    del data[place(data, random) :]


def delete(data, random):
    """Leaves a part out."""
    start = place(data, random)
    del data[start : start + int(random.integers(1, 64))]


def insert(data, random):
    """Has random bytes more."""
    start = place(data, random)
    data[start:start] = random.bytes(int(random.integers(1, 64)))


def repeat(data, random):
    """Has a part of it somewhere else, or there again."""
    start, target, size = place(data, random), place(data, random), int(random.integers(1, 256))
    end = target + size * int(random.integers(2))
    data[target:end] = data[start : start + size]


MUTATIONS = (flip, flip, put_number, put_number, put_digits, cut, delete, insert, repeat)


def mutant(folder, seed, number):
    """The name of a sound file, and the bytes of a mutant of it."""
    paths = sorted(folder.iterdir())
    path = paths[number % len(paths)]
    return path.name, mutate(path.read_bytes(), np.random.default_rng([seed, number]))


def is_forbidden(event, arguments):
    """Whether an event of `sys.addaudithook` is none that reading a file may cause."""
    if event == "open":
        return bool((arguments[2] or 0) & WRITING)
    if event == "exec":
        # Modules that are imported have files; what is made of a text has none.
        return arguments[0].co_filename.startswith("<string>")
    return event in FORBIDDEN


def read_mutants(folder, scratch, seed, numbers, report):
    """Reads mutants and reports the outcome of each."""
    readers, happened = Readers(folder), []
    watching = [False]

    def watch(event, arguments):
        if watching[0] and is_forbidden(event, arguments):
            happened.append(event)

    # A hook stays as long as the process.
    sys.addaudithook(watch)
    for number in numbers:
        name, content = mutant(folder, seed, number)
        path = scratch / name
        path.write_bytes(content)
        watching[0] = True
        outcome = readers.outcome(name, path)
        watching[0] = False
        report(number, name, "forbidden" if happened else outcome)
        happened.clear()


def limit_memory():
    """Lets the process take no more than `MOST_MEMORY` beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def child(folder, seed, first, last):
    """Reads the mutants from one number to another; a line for each."""
    answers, sys.stdout = sys.stdout, sys.stderr
    Readers(folder)
    print(STARTED, file=answers, flush=True)
    limit_memory()

    def report(*answer):
        print(*answer, sep="\t", file=answers, flush=True)
        # Ends the process, whatever it is in.
        signal.setitimer(signal.ITIMER_PROF, PATIENCE)

    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    with tempfile.TemporaryDirectory() as scratch:
        read_mutants(folder, Path(scratch), seed, range(first, last), report)


def drive(folder, seed, first, count, end):
    """Yields the number, name and outcome of each mutant, by children that follow one another."""
    done, names = first, sorted(path.name for path in folder.iterdir())
    while done < count and time.monotonic() < end:
        with started_child(folder, seed, done, count) as process:
            while time.monotonic() < end:
                line = next_line(process, LONGEST_WAIT)
                if not line:
                    if done < count:
                        is_hung = line is None or process.wait() == -signal.SIGPROF
                        yield done, names[done % len(names)], "hung" if is_hung else "crashed"
                        done += 1
                    break
                number, name, outcome = line.split("\t")
                yield int(number), name, outcome
                done = int(number) + 1


@contextlib.contextmanager
def started_child(folder, seed, first, count):
    """A child that is ready to read mutants; if it is not, that is no mutant's fault."""
    words = ["--child", folder, "--seed", seed, "--first", first, "--mutants", count]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, __file__, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
        )
        try:
            if next_line(process, START_WAIT) != STARTED:
                errors.seek(0)
                message = errors.read().decode(errors="replace")
                raise RuntimeError(f"a child could not start:\n{message}")
            yield process
        finally:
            process.kill()
            process.communicate()


def next_line(process, patience):
    """The next line of a child, an empty one if it has ended, `None` if it takes too long."""
    # Nothing is buffered here, where `select` would not see it.
    ready, _, _ = select.select([process.stdout], [], [], patience)
    return process.stdout.readline().decode().rstrip() if ready else None


def table(counts):
    """The counts as text."""
    from keras_se.formatting import text_table

    rows = {name: counts[name] for name in sorted(counts)}
    rows["all"] = sum(counts.values(), Counter())
    cells = [("format", "mutants", *OUTCOMES)]
    for name, row in rows.items():
        cells.append((name, *map(str, (row.total(), *(row[outcome] for outcome in OUTCOMES)))))
    return text_table(cells, "<" + ">" * (len(OUTCOMES) + 1))


def main(arguments=None):
    """Reads the mutants; the exit status is 1 if any of them did harm."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=100_000, help="the number of the last")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--projects", action="store_true", help="files with the names of others")
    parser.add_argument("--only", type=int, metavar="NUMBER")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        return child(options.child, options.seed, options.first, options.mutants)
    folder = Path(tempfile.mkdtemp())
    try:
        (write_project_seeds if options.projects else write_seeds)(folder)
        if options.only is None:
            return read_all(folder, options)
        name, content = mutant(folder, options.seed, options.only)
        path, readers = folder / name, Readers(folder)
        path.write_bytes(content)
        return print(name, readers.read(path))
    finally:
        shutil.rmtree(folder)


def read_all(folder, options):
    """Reads the mutants and prints what came of them; 1 if any of them did harm."""
    started, counts, done = time.monotonic(), {}, 0
    end = started + options.seconds
    for number, name, outcome in drive(folder, options.seed, options.first, options.mutants, end):
        if outcome in BAD:
            print(f"mutant {number} of {name}: {outcome}", flush=True)
        counts.setdefault(name, Counter())[outcome] += 1
        done += 1
        if done % REPORT_EVERY == 0:
            print(table(counts), f"{number + 1} of {options.mutants}", sep="\n", flush=True)
    seconds = time.monotonic() - started
    print(table(counts))
    print(f"{done} mutants in {seconds:.0f} s: {done / seconds:.0f} a second")
    return int(any(row[outcome] for row in counts.values() for outcome in BAD))


if __name__ == "__main__":
    sys.exit(main())
