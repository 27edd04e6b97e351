"""Processes that train together find each other, or say which number of them came."""

import socket
import threading
import time

import pytest

from keras_se.distribution import rendezvous as meeting


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(meeting, "WAIT", 2)
    monkeypatch.setattr(meeting, "PAUSE", 0.1)


@pytest.fixture
def coordinator():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def come(results, processes, process_id, coordinator):
    """Goes to a meeting in a thread; what becomes of it is put into `results`."""

    def go():
        try:
            results[process_id] = meeting.meet(processes, process_id, coordinator)
        except OSError as error:
            results[process_id] = error

    thread = threading.Thread(target=go)
    thread.start()
    return thread


def meet(coordinator, *those):
    """Has several come, each given as `(processes, process_id)`, with a pause between them."""
    results, threads = {}, []
    for one in those:
        threads.append(come(results, *one, coordinator))
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    return results


def connect(coordinator):
    """A connection to process 0, once it has opened its door."""
    host, port = coordinator.split(":")
    end = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((host, port))
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_processes_meet_in_any_order(coordinator, order, capsys):
    assert meet(coordinator, *((3, index) for index in order)) == {0: None, 1: None, 2: None}
    assert capsys.readouterr().out == f"Waiting for 3 processes at {coordinator}\n" * 3


@pytest.mark.parametrize("there", [(0,), (0, 1), (2, 0)])
def test_all_that_came_hear_how_many_did(coordinator, there):
    errors = meet(coordinator, *((3, index) for index in there))
    message = f"Only {len(there)} of the 3 processes came to {coordinator} within 2 seconds"
    assert len(errors) == len(there)
    for error in errors.values():
        assert str(error).startswith(message)


def test_without_process_0_the_others_say_so_in_time(coordinator):
    started = time.monotonic()
    with pytest.raises(OSError, match=f"Process 0 did not answer at {coordinator}.*refused"):
        meeting.meet(2, 1, coordinator)
    assert time.monotonic() - started < 10


def test_a_process_of_another_run_does_not_count(coordinator):
    errors = meet(coordinator, (3, 0), (2, 1))
    assert str(errors[0]).startswith("Only 1 of the 3 processes came")
    assert str(errors[1]).startswith("Process 0 did not answer")


def test_a_stranger_at_the_door_stops_nothing(coordinator):
    results = {}
    thread = come(results, 2, 0, coordinator)
    with connect(coordinator) as mute, connect(coordinator) as web:
        web.sendall(b"GET / HTTP/1.0\r\n\r\n")
        come(results, 2, 1, coordinator).join()
        assert mute.recv(64) == b""
    thread.join()
    assert results == {0: None, 1: None}


def test_a_process_that_is_started_again_counts_once(coordinator):
    results = {}
    thread = come(results, 3, 0, coordinator)
    with connect(coordinator) as first, connect(coordinator) as again:
        for one in (first, again):
            one.sendall(meeting._card(1, 3))
        thread.join()
    assert str(results[0]).startswith("Only 2 of the 3")


@pytest.mark.parametrize("comes_again", [False, True])
def test_a_process_that_left_does_not_count_unless_it_comes_again(coordinator, comes_again):
    results = {}
    thread = come(results, 3, 0, coordinator)
    with connect(coordinator) as left:
        left.sendall(meeting._card(1, 3))
    others = [come(results, 3, index, coordinator) for index in ((2, 1) if comes_again else (2,))]
    for one in (thread, *others):
        one.join()
    if comes_again:
        assert results == {0: None, 1: None, 2: None}
    else:
        assert str(results[0]).startswith("Only 2 of the 3")


def test_a_port_that_is_taken_is_said_at_once(coordinator):
    taken = socket.create_server(("", int(coordinator.split(":")[1])))
    with taken, pytest.raises(OSError, match=r"Process 0 cannot listen at port \d+: .*in use"):
        meeting.meet(2, 0, coordinator)
