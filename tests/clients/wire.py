"""A hop between an SDK and the gateway: it keeps the bytes of every request, and can alter or repeat them."""

import json
import socket
import threading


class Wire:
    def __init__(self, gateway):
        self.gateway = gateway
        self.requests = []  # raw bytes, as the SDK sent them
        self.alter = lambda head, body: (head, body)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def send(self, raw: bytes):
        """Sends raw bytes to the gateway; gives status and JSON of the answer."""
        with socket.create_connection(self.gateway, timeout=10) as upstream:
            upstream.sendall(raw)
            head, body = read_message(upstream)
        return int(head.split(b" ", 2)[1]), json.loads(body)

    def _accept(self):
        while True:
            try:
                downstream, _ = self._listener.accept()
            except OSError:
                return  # the test is over
            threading.Thread(target=self._serve, args=(downstream,), daemon=True).start()

    def _serve(self, downstream):
        with downstream, socket.create_connection(self.gateway, timeout=30) as upstream:
            threading.Thread(target=pump, args=(upstream, downstream), daemon=True).start()
            while message := read_message(downstream):
                self.requests.append(b"".join(message))
                upstream.sendall(b"".join(self.alter(*message)))


def read_message(sock):
    """Head (with its empty line) and body of one message framed by Content-Length; None: the peer is done."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, value = line.split(b":", 1)
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        more = sock.recv(65536)
        if not more:
            break
        body += more
    return head + b"\r\n\r\n", body


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side is gone: so is the other
