"""Where the processes of a run meet before JAX connects them.

JAX has no error for a process that does not come: it waits without a word and then aborts with a
stack trace. So they meet by plain sockets at the coordinator's port first, which then is JAX's.
"""

import contextlib
import select
import socket
import time

# Seconds that the processes of a run have to come.
WAIT = 60
# Seconds from one try to reach process 0 to the next, and for a visitor to say who it is.
PAUSE = 0.5


def meet(processes, process_id, coordinator):
    """Waits until all processes of a run are there.

    Process 0 waits `WAIT` seconds, the others as long for process 0, and then with it.

    Args:
        processes: How many processes there are.
        process_id: Which of them this is, from zero.
        coordinator: `"HOST:PORT"` where process 0 listens.

    Raises:
        OSError: If not all of them came, or process 0 cannot be reached or cannot listen.
    """
    print(f"Waiting for {processes} processes at {coordinator}", flush=True)
    host, _, port = coordinator.rpartition(":")
    if process_id:
        came = _visit((host.strip("[]"), int(port)), _card(process_id, processes))
    else:
        came = _receive(int(port), {_card(index, processes) for index in range(1, processes)})
    if came < processes:
        raise TimeoutError(
            f"Only {came} of the {processes} processes came to {coordinator} within {WAIT:g} "
            "seconds: start one for each --process-id, with the same --processes and --coordinator"
        )


def _card(index, processes):
    """What a process says of itself; a process of another run says something else."""
    return f"keras_se {index}/{processes}".encode()


def _receive(port, cards):
    """Process 0: receives the others and tells them how many came; returns that number."""
    end, visitors = time.monotonic() + WAIT, {}
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(_open(port))
        while (left := end - time.monotonic()) > 0:
            if len(visitors) == len(cards):
                visitors = _still_there(visitors)
            if len(visitors) == len(cards):
                break
            door.settimeout(left)
            with contextlib.suppress(OSError):
                visitor = stack.enter_context(door.accept()[0])
                visitor.settimeout(PAUSE)
                card = visitor.recv(64)
                # A process that was stopped and started again comes twice.
                if card in cards:
                    visitors[card], visitor = visitor, visitors.get(card)
                if visitor:
                    visitor.close()
        visitors = _still_there(visitors)
        for visitor in visitors.values():
            with contextlib.suppress(OSError):
                visitor.sendall(str(1 + len(visitors)).encode())
    return 1 + len(visitors)


def _still_there(visitors):
    """Those whose connection is open: who has said who it is only speaks again to leave."""
    gone = select.select(list(visitors.values()), [], [], 0)[0]
    return {card: one for card, one in visitors.items() if one not in gone}


def _open(port):
    """Listens where JAX will: at all addresses of this host."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise OSError(f"Process 0 cannot listen at port {port}: {error}") from error


def _visit(address, card):
    """The other processes: go to process 0 until it lets them in; returns how many came."""
    end = time.monotonic() + WAIT
    while True:
        try:
            with socket.create_connection(address, max(PAUSE, end - time.monotonic())) as door:
                door.sendall(card)
                # It may have begun to wait just now, and a stranger may hold it up in the end.
                door.settimeout(WAIT + 10 * PAUSE)
                answer = door.recv(64)
                if answer.isdigit():
                    return int(answer)
                raise ConnectionError("what listens there did not let this process in")
        except OSError as error:
            if time.monotonic() + PAUSE > end:
                host, port = address
                raise OSError(
                    f"Process 0 did not answer at {host}:{port} within {WAIT:g} seconds: {error}"
                ) from error
        time.sleep(PAUSE)
