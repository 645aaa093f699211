"""A TCP proxy on loopback that can be taken away, for a broker that cannot.

Kafka tells its clients where its brokers listen; in what it answers its port is replaced by the proxy's, so that they stay behind it.
"""

import contextlib
import select
import socket
import struct
import threading


class Proxy:
    """Listens in the place of another port, as long as it is up."""

    def __init__(self, behind: int) -> None:
        self.behind = behind
        self.socket = self._listening(0)
        self.port = int(self.socket.getsockname()[1])
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.threads: list[threading.Thread] = []
        self.on = True
        self._start(self._accept)

    def down(self) -> None:
        """Refuse connections and cut those there are."""
        self.on = False
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)
        self.pairs, self.threads = [], []

    def up(self) -> None:
        """Listen again."""
        self.on = True
        self.socket = self._listening(self.port)
        self._start(self._accept)

    def _listening(self, port: int) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.listen()
        return made

    def _start(self, work: object, *arguments: object) -> None:
        self.threads.append(threading.Thread(target=work, args=arguments, daemon=True))  # type: ignore[arg-type]
        self.threads[-1].start()

    def _accept(self) -> None:
        while self.on:
            try:
                client, _ = self.socket.accept()
                broker = socket.create_connection(("127.0.0.1", self.behind))
            except OSError:
                continue
            self.pairs.append((client, broker))
            self._start(self._carry, client, broker)

    def _carry(self, client: socket.socket, broker: socket.socket) -> None:
        host = b"127.0.0.1"
        real, mine = (host + struct.pack(">i", port) for port in (self.behind, self.port))
        with client, broker, contextlib.suppress(OSError):
            while True:
                for end in select.select([client, broker], [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    (broker if end is client else client).sendall(data if end is client else data.replace(real, mine))
