"""What no well-behaved client does. Says on each line what came of it."""

import socket
import struct
import sys
import time

import paramiko
from paramiko.common import cMSG_CHANNEL_DATA, cMSG_CHANNEL_OPEN, cMSG_CHANNEL_REQUEST
from paramiko.message import Message

path, name, what = sys.argv[1:]
entry = paramiko.SSHConfig.from_path(path).lookup(name)
address = (entry["hostname"], int(entry["port"]))


def connect():
    transport = paramiko.Transport(socket.create_connection(address))
    transport.start_client(timeout=20)
    transport.auth_publickey(entry["user"], paramiko.Ed25519Key.from_private_key_file(entry["identityfile"][0]))
    return transport


def raw(data):
    """What the gateway answers to bytes in place of a key exchange, and whether it then ends the connection."""
    connection = socket.create_connection(address, timeout=20)
    try:
        connection.sendall(data)
        while connection.recv(65536):
            pass
        return "ended"
    except (BrokenPipeError, ConnectionResetError):
        return "ended"
    except socket.timeout:
        return "still open"


def send(transport, kind, *fields):
    message = Message()
    message.add_byte(kind)
    for field in fields:
        if isinstance(field, bool):
            message.add_boolean(field)
        elif isinstance(field, int):
            message.add_int(field)
        else:
            message.add_string(field)
    transport._send_user_message(message)


def outcome(transport):
    """Whether the connection ends, or still answers."""
    for _ in range(2000):
        if not transport.is_active():
            return "ended"
        time.sleep(0.01)
    return "still open"


def environment():
    transport = connect()
    channel = transport.open_session()
    for number in range(200_000):
        send(transport, cMSG_CHANNEL_REQUEST, channel.remote_chanid, "env", False, f"LC_{number}", "x" * 30)
    channel.exec_command("env | grep -c ^LC_")
    print("variables", int(channel.recv(100)) <= 64)


def channels():
    transport = connect()
    opened = []
    refused = 0
    for _ in range(400):
        try:
            opened.append(transport.open_session())
        except paramiko.ChannelException:
            refused += 1
    print("channels", len(opened) <= 128, refused > 0)
    opened[0].exec_command("echo works")
    print(opened[0].recv(100))


def windows():
    transport = connect()
    channel = transport.open_session()
    channel.exec_command("sleep 60")
    for _ in range(1000):
        if not transport.is_active():
            break
        try:
            send(transport, cMSG_CHANNEL_DATA, channel.remote_chanid, b"x" * 32000)
        except Exception:
            break
    print("beyond the window", outcome(transport))


def packets():
    transport = connect()
    channel = transport.open_session()
    try:
        send(transport, cMSG_CHANNEL_DATA, channel.remote_chanid, b"x" * (4 << 20))
    except Exception:
        pass
    print("an oversized packet", outcome(transport))
    transport = connect()
    try:
        send(transport, cMSG_CHANNEL_DATA, 4_000_000_000, b"x")
    except Exception:
        pass
    print("an unknown channel", outcome(transport))
    transport = connect()
    try:
        send(transport, cMSG_CHANNEL_OPEN, "x" * 30000, 77, 0xFFFFFFFF, 0xFFFFFFFF)
    except Exception:
        pass
    print("an unknown kind", "answered" if transport.open_session() else "")


def greetings():
    version = b"SSH-2.0-hostile\r\n"
    print("a length", raw(version + struct.pack(">I", 0xFFFFFFFF) + b"x" * 100))
    print("a short length", raw(version + struct.pack(">I", 1) + b"x" * 100))
    print("no version", raw(b"x" * 100_000))
    print("many lines", raw(b"GET / HTTP/1.1\r\n" * 10_000))


{"environment": environment, "channels": channels, "windows": windows, "packets": packets, "greetings": greetings}[what]()
