"""The other side of a tunnel, by the library `websockets`: gives back, or checks, every byte, in messages and fragments of its own.

serve ADDRESS [CERTIFICATE KEY]: a server on a free port, which it prints, that sends back what it gets.
dial URL CA SIZE: a client that sends SIZE bytes and expects the same ones; prints `ok`. CA may be empty.
"""

import asyncio
import hashlib
import random
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

SUBPROTOCOL = "sallyport-tunnel.1"


def pieces(data, largest):
    """The same bytes in pieces of any size, empty ones among them."""
    at = 0
    while at < len(data):
        size = random.choice([0, 1, 7, 125, 126, random.randrange(largest)])
        yield data[at : at + size]
        at += size


async def send(socket, data):
    """Sends bytes as one message, or as one in fragments, with a ping now and then."""
    if random.random() < 0.5:
        await socket.send(data)
    else:
        await socket.send(list(pieces(data, 20000)) or [b""])
    if random.random() < 0.1:
        await socket.ping()


async def echo(socket):
    async for message in socket:
        assert isinstance(message, bytes)
        for piece in pieces(message, 70000):
            await send(socket, piece)


async def run_server(address, *files):
    tls = None
    if files:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*files)
    async with serve(echo, address, 0, ssl=tls, subprotocols=[SUBPROTOCOL], ping_interval=0.05) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


async def run_client(url, authority, size):
    tls = ssl.create_default_context(cafile=authority) if authority else None
    data = random.randbytes(int(size))
    digest = hashlib.sha256()
    seen = 0
    # It offers compression, which nobody takes.
    async with connect(url, ssl=tls, subprotocols=[SUBPROTOCOL], ping_interval=0.05, proxy=None) as socket:
        assert socket.subprotocol == SUBPROTOCOL

        async def write():
            for piece in pieces(data, 150000):
                await send(socket, piece)

        writing = asyncio.create_task(write())
        while seen < len(data):
            message = await socket.recv()
            digest.update(message)
            seen += len(message)
        await writing
        assert digest.digest() == hashlib.sha256(data).digest()
        await asyncio.wait_for(await socket.ping(), 10)
    print("ok", socket.close_code)


random.seed()
asyncio.run({"serve": run_server, "dial": run_client}[sys.argv[1]](*sys.argv[2:]))
