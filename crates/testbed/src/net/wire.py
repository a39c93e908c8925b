"""A wire between two network namespaces that delays, loses and holds back packets, and keeps their order.

Arguments: the name of the device at both ends; the files of the two namespaces; delay and jitter in seconds, the part of
the packets that is lost, and bytes a second (0: as many as there are). Says `up` once both devices are there.
"""

import collections
import ctypes
import fcntl
import os
import random
import select
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
# linux/if_tun.h
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000

# How much may be on the way, in packets; and how long a packet may wait for its turn, in seconds.
ROOM = 10_000
PATIENCE = 1.0
# How many packets are taken from one end before the other has its turn.
BATCH = 64

DEVICE, FIRST, SECOND = sys.argv[1:4]
DELAY, JITTER, LOSS, RATE = (float(word) for word in sys.argv[4:8])

libc = ctypes.CDLL(None, use_errno=True)


def tun(namespace):
    """Opens a device in a namespace, in which this process is from then on."""
    inside = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(inside, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), namespace)
    os.close(inside)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Direction:
    """From one end to the other."""

    def __init__(self, source, sink):
        self.source = source
        self.sink = sink
        self.under_way = collections.deque()
        self.last_due = 0.0
        self.free_at = 0.0

    def take(self):
        """Takes what the source has sent."""
        for _ in range(BATCH):
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            except OSError:
                # The device is down.
                return
            if LOSS and random.random() < LOSS:
                continue
            due = self.due(len(packet))
            if due is None or len(self.under_way) >= ROOM:
                continue
            if due == 0.0 and not self.under_way:
                self.give(packet)
            else:
                self.under_way.append((due, packet))

    def due(self, length):
        """When a packet arrives; at once is 0. None for one that would have to wait too long for its turn."""
        if not (DELAY or JITTER or RATE):
            return 0.0
        now = time.monotonic()
        sent = now
        if RATE:
            begin = max(now, self.free_at)
            if begin - now > PATIENCE:
                return None
            self.free_at = sent = begin + length / RATE
        # One that would overtake another arrives right behind it.
        self.last_due = max(self.last_due, sent + DELAY + random.uniform(-JITTER, JITTER))
        return self.last_due

    def arrive(self, now):
        """Gives the sink what is due, and says when the next packet is."""
        while self.under_way:
            due, packet = self.under_way[0]
            if due > now:
                return due
            self.under_way.popleft()
            self.give(packet)
        return None

    def give(self, packet):
        try:
            os.write(self.sink, packet)
        except OSError:
            # The device is down: lost, as on a wire that is pulled out.
            pass


def main():
    first, second = tun(FIRST), tun(SECOND)
    directions = {first: Direction(first, second), second: Direction(second, first)}
    print("up", flush=True)
    while True:
        now = time.monotonic()
        dues = [due for due in (direction.arrive(now) for direction in directions.values()) if due is not None]
        wait = max(0.0, min(dues) - time.monotonic()) if dues else None
        for end in select.select(directions, (), (), wait)[0]:
            directions[end].take()


main()
