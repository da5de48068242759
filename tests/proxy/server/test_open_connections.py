"""Which connection is closed when too many are open."""

from proxy_service.server.open_connections import OpenConnections


class Connection:
    closed = False

    def abort(self) -> None:
        self.closed = True


def test_a_new_connection_replaces_the_one_that_has_waited_longest() -> None:
    connections = OpenConnections(3)
    first, second, third, new = (Connection() for _ in range(4))
    for connection in (first, second, third):
        assert connections.admit(connection)
    connections.answering(first)
    connections.waiting(first)

    assert connections.admit(new)

    assert [c.closed for c in (first, second, third, new)] == [False, True, False, False]


def test_connections_that_are_being_answered_stay() -> None:
    connections = OpenConnections(2)
    first, second, new = (Connection() for _ in range(3))
    for connection in (first, second):
        assert connections.admit(connection)
        connections.answering(connection)

    assert not connections.admit(new)
    connections.closed(second)
    assert connections.admit(new)
    assert not first.closed
