import socket

import pytest

from leeward.stack.ports import Listener, NoPortError, choose, is_free
from tests.support.servers import free_port

API = Listener("gateway", "the API", default=8080)
PAIR = Listener("simulator", "the simulated clusters", count=2)


@pytest.fixture
def busy():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_port_that_is_asked_for_is_taken_and_nothing_is_said():
    port = free_port()
    assert choose([API], {"gateway": port}, {"gateway": 1}) == ({"gateway": port}, [])


def test_the_port_of_the_last_start_is_taken_again():
    port = free_port()
    assert choose([API], {}, {"gateway": port}) == ({"gateway": port}, [])


def test_a_busy_port_is_replaced_by_a_free_one_and_that_is_said(busy):
    ports, said = choose([API], {"gateway": busy}, {})
    assert ports["gateway"] > busy
    assert is_free(ports["gateway"])
    assert said == [f"port {busy} is in use, using {ports['gateway']} for the API"]


def test_a_port_is_busy_also_when_all_addresses_are_listened_on():
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_nobody_is_given_the_port_of_another():
    port = free_port()
    ports, _ = choose([API, PAIR], {"gateway": port + 1, "simulator": port}, {})
    assert ports["gateway"] not in range(ports["simulator"], ports["simulator"] + 2)


def test_what_nobody_types_listens_below_the_ports_of_outgoing_connections():
    ports, said = choose([PAIR], {}, {})
    assert 20_000 <= ports["simulator"] < 32_000
    assert not said


def test_that_there_is_no_port_left_is_said():
    with pytest.raises(NoPortError, match="no free port"):
        choose([Listener("many", "everything", default=65_000, count=1000)], {}, {})
