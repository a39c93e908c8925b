"""Reads a long result over TLS more slowly than it comes, and says whether it came to its end."""

import socket
import ssl
import struct
import sys
import time

host, port, user, password, database = sys.argv[1:6]

plain = socket.socket()
plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
plain.settimeout(20)
plain.connect((host, int(port)))
plain.sendall(struct.pack("!II", 8, 80877103))
assert plain.recv(1) == b"S"
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
wire = context.wrap_socket(plain, server_hostname="localhost")


def exactly(count):
    got = b""
    while len(got) < count:
        piece = wire.recv(count - len(got))
        assert piece, "it closed"
        got += piece
    return got


def message():
    kind, length = struct.unpack("!cI", exactly(5))
    return kind, exactly(length - 4)


def send(kind, body):
    wire.sendall(kind + struct.pack("!I", len(body) + 4) + body)


words = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
wire.sendall(struct.pack("!II", len(words) + 8, 196608) + words)
while True:
    kind, body = message()
    if kind == b"R" and body == struct.pack("!I", 3):
        send(b"p", password.encode() + b"\0")
    assert kind != b"E", body
    if kind == b"Z":
        break

for length in range(200, 230, 5):
    send(b"Q", b"SELECT repeat('x', 10000) FROM generate_series(1, %d)\0" % length)
    rows = 0
    while True:
        kind, body = message()
        if kind == b"Z":
            break
        if kind == b"D":
            rows += 1
            if rows % 8 == 0:
                time.sleep(0.001)
    assert rows == length, rows
print("done")
