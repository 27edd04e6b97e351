"""Waits until all processes of a run are there, before JAX connects them.

JAX has no error for a process that does not come: it waits without a word and then aborts with a
stack trace. So the processes first meet by plain sockets at the coordinator's port, which then is
JAX's.
"""

import contextlib
import select
import socket
import time

# Seconds that the processes of a run have to come.
TIMEOUT = 60
# Seconds between two tries to reach process 0, and for a client to say who it is.
RETRY_INTERVAL = 0.5


def wait_for_processes(processes: int, process_id: int, coordinator: str) -> None:
    """Waits until all processes of a run are there.

    Process 0 waits `TIMEOUT` seconds, the others as long for process 0, and then with it.

    Args:
        processes: Number of processes.
        process_id: Index of this one, from zero.
        coordinator: `"HOST:PORT"` where process 0 listens.

    Raises:
        OSError: If not all of them came, or process 0 cannot be reached or cannot listen.
    """
    print(f"Waiting for {processes} processes at {coordinator}", flush=True)
    host, _, port = coordinator.rpartition(":")
    if process_id:
        address = (host.strip("[]"), int(port))
        present = _report_to(address, _greeting(process_id, processes))
    else:
        greetings = {_greeting(index, processes) for index in range(1, processes)}
        present = _accept_all(int(port), greetings)
    if present < processes:
        raise TimeoutError(
            f"Only {present} of the {processes} processes came to {coordinator} within "
            f"{TIMEOUT:g} seconds: start one for each --process-id, with the same --processes and "
            "--coordinator"
        )


def _greeting(index, processes):
    """What a process sends first; that of another run differs."""
    return f"keras_se {index}/{processes}".encode()


def _accept_all(port, greetings):
    """Process 0: accepts the others, tells them how many are there, and returns the number."""
    end, clients = time.monotonic() + TIMEOUT, {}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_listen(port))
        while (remaining := end - time.monotonic()) > 0:
            if len(clients) == len(greetings):
                clients = _still_connected(clients)
            if len(clients) == len(greetings):
                break
            server.settimeout(remaining)
            with contextlib.suppress(OSError):
                client = stack.enter_context(server.accept()[0])
                client.settimeout(RETRY_INTERVAL)
                greeting = client.recv(64)
                # A process that was stopped and started again comes twice.
                if greeting in greetings:
                    clients[greeting], client = client, clients.get(greeting)
                if client:
                    client.close()
        clients = _still_connected(clients)
        for client in clients.values():
            with contextlib.suppress(OSError):
                client.sendall(str(1 + len(clients)).encode())
    return 1 + len(clients)


def _still_connected(clients):
    """The clients whose connection is open: after its greeting, a client sends nothing more."""
    closed = select.select(list(clients.values()), [], [], 0)[0]
    return {greeting: client for greeting, client in clients.items() if client not in closed}


def _listen(port):
    """Listens where JAX will: at all addresses of this host."""
    dualstack = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dualstack else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=dualstack)
    except OSError as error:
        raise OSError(f"Process 0 cannot listen at port {port}: {error}") from error


def _report_to(address, greeting):
    """The other processes: connect to process 0, and return how many processes it counted."""
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            timeout = max(RETRY_INTERVAL, end - time.monotonic())
            with socket.create_connection(address, timeout) as server:
                server.sendall(greeting)
                # Process 0 may have begun to wait just now, and a stranger may delay its end.
                server.settimeout(TIMEOUT + 10 * RETRY_INTERVAL)
                answer = server.recv(64)
                if answer.isdigit():
                    return int(answer)
                raise ConnectionError("what listens there did not accept this process")
        except OSError as error:
            if time.monotonic() + RETRY_INTERVAL > end:
                host, port = address
                raise OSError(
                    f"Process 0 did not answer at {host}:{port} within {TIMEOUT:g} seconds: {error}"
                ) from error
        time.sleep(RETRY_INTERVAL)


def takes_connections(host: str, port: str, seconds: float) -> bool:
    """Returns whether anything takes connections at an address.

    Args:
        host: Name or number of the host.
        port: The port, as text.
        seconds: How long to try.
    """
    try:
        socket.create_connection((host, int(port)), seconds).close()
    except (OSError, ValueError):
        return False
    return True
