"""What compares speeds asks one process at a time, and its ratios are of the same round."""

import importlib
import json
import shlex
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
# Answers with the seconds that are given for each row, round by round.
WORKER = """
import sys, time, types
sys.path.insert(0, {folder!r})
import timing

def answer(seconds):
    print("what libraries say while they work")
    for word in ("begin", "end"):
        with open({log!r}, "a") as log:
            print(word, {software!r}, file=log)
        time.sleep(0.02)
    return seconds.pop(0)

timing.timed = answer
output = timing.keep_output()
print("what libraries say at first", flush=True)
rows = [(role, role + "Net", "float32", "off") for role in ("SE", "plain")]
options = types.SimpleNamespace(task="train", size=32, batch=4, steps=5)
timing.take_turns({seconds!r}, rows, options, {software!r}, output)
"""


def command(software, seconds, log):
    """A command that trains nothing; the first second of each row is that of compiling."""
    given = {"folder": str(BENCHMARKS), "software": software, "seconds": seconds, "log": str(log)}
    return shlex.join([sys.executable, "-c", WORKER.format(**given)])


def test_ratios_are_of_the_same_round(monkeypatch, tmp_path, capfd):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    turns, log = importlib.import_module("turns"), tmp_path / "log"
    slow = command("slow 1.0", [[9.0, 4.0, 8.0, 2.0], [9.0, 2.0, 2.0, 2.0]], log)
    fast = command("fast 1.0", [[9.0, 2.0, 2.0, 1.0], [9.0, 1.0, 1.0, 0.5]], log)
    out = tmp_path / "rates" / "turns.json"
    turns.main([slow, fast, "--rounds", "3", "--out", str(out)])
    table = [line for line in capfd.readouterr().out.splitlines() if line.startswith("|")]
    # Of 20 images in 4, 8 and 2 seconds; the plain network in 2 each.
    assert table[2:] == [
        "| slow 1.0 | SENet | float32 | off | 5.0 | 0.50 (0.38 to 0.75) | 0.50 (0.38 to 0.50) |",
        "| slow 1.0 | plainNet | float32 | off | 10.0 | - | 0.50 (0.38 to 0.50) |",
        "| fast 1.0 | SENet | float32 | off | 10.0 | 0.50 (0.50 to 0.50) | - |",
        "| fast 1.0 | plainNet | float32 | off | 20.0 | - | - |",
    ]
    written = json.loads(out.read_text())
    assert written["software"] == ["slow 1.0", "fast 1.0"]
    assert written["images per second"][0] == [0, "SE", "SENet", "float32", "off", [5, 2.5, 10]]
    turn = ["begin slow 1.0", "end slow 1.0"] * 2 + ["begin fast 1.0", "end fast 1.0"] * 2
    assert log.read_text().splitlines() == turn * 4
