"""Processes that train together wait for each other, or say how many of them came."""

import socket
import threading
import time

import pytest

from keras_se.distribution import rendezvous

pytestmark = pytest.mark.backend_neutral

# What the second of three processes sends.
GREETING = b"keras_se 1/3"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(rendezvous, "TIMEOUT", 2)
    monkeypatch.setattr(rendezvous, "RETRY_INTERVAL", 0.1)


def start(results, processes, process_id, coordinator):
    """Waits for the others in a thread, whose error or `None` is put into `results`."""

    def go():
        try:
            results[process_id] = rendezvous.wait_for_processes(processes, process_id, coordinator)
        except OSError as error:
            results[process_id] = error

    thread = threading.Thread(target=go)
    thread.start()
    return thread


def start_all(coordinator, *processes):
    """Starts several, each given as `(processes, process_id)`, with a pause between them."""
    results, threads = {}, []
    for arguments in processes:
        threads.append(start(results, *arguments, coordinator))
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    return results


def connect(coordinator):
    """A connection to process 0, once it listens."""
    host, port = coordinator.split(":")
    end = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((host, port))
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_processes_come_in_any_order(coordinator, order, capsys):
    assert start_all(coordinator, *((3, index) for index in order)) == {0: None, 1: None, 2: None}
    assert capsys.readouterr().out.count(coordinator) == 3


@pytest.mark.parametrize("present", [(0,), (0, 1), (2, 0)])
def test_all_that_came_hear_how_many_did(coordinator, present):
    errors = start_all(coordinator, *((3, index) for index in present))
    assert len(errors) == len(present)
    for error in errors.values():
        assert f"Only {len(present)} of the 3" in str(error)


def test_without_process_0_the_others_say_so_in_time(coordinator):
    started = time.monotonic()
    with pytest.raises(OSError, match=coordinator):
        rendezvous.wait_for_processes(2, 1, coordinator)
    assert time.monotonic() - started < 10


def test_a_process_of_another_run_does_not_count(coordinator):
    errors = start_all(coordinator, (3, 0), (2, 1))
    assert "Only 1 of the 3" in str(errors[0])
    assert "did not answer" in str(errors[1])


def test_a_connection_of_another_program_stops_nothing(coordinator):
    results = {}
    thread = start(results, 2, 0, coordinator)
    with connect(coordinator) as mute, connect(coordinator) as web:
        web.sendall(b"GET / HTTP/1.0\r\n\r\n")
        start(results, 2, 1, coordinator).join()
        assert mute.recv(64) == b""
    thread.join()
    assert results == {0: None, 1: None}


def test_a_process_that_is_started_again_counts_once(coordinator):
    results = {}
    thread = start(results, 3, 0, coordinator)
    with connect(coordinator) as first, connect(coordinator) as again:
        for connection in (first, again):
            connection.sendall(GREETING)
        thread.join()
    assert "Only 2 of the 3" in str(results[0])


@pytest.mark.parametrize("comes_again", [False, True])
def test_a_process_that_left_does_not_count_unless_it_comes_again(coordinator, comes_again):
    results = {}
    thread = start(results, 3, 0, coordinator)
    with connect(coordinator) as left:
        left.sendall(GREETING)
    others = [start(results, 3, index, coordinator) for index in ((2, 1) if comes_again else (2,))]
    for each in (thread, *others):
        each.join()
    if comes_again:
        assert results == {0: None, 1: None, 2: None}
    else:
        assert "Only 2 of the 3" in str(results[0])


def test_a_port_that_is_taken_is_said_at_once(coordinator):
    taken = socket.create_server(("", int(coordinator.split(":")[1])))
    with taken, pytest.raises(OSError, match="in use"):
        rendezvous.wait_for_processes(2, 0, coordinator)
