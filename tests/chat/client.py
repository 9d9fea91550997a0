"""A WebSocket client that is not ours: Python's websockets. It says what it meets, a line for each thing."""

import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

with connect(f"ws://{sys.argv[1]}/ws") as socket:
    socket.send("from Python")
    try:
        while True:
            print(f"heard {socket.recv()}", flush=True)
    except ConnectionClosed as closed:
        print(f"closed {closed.rcvd.code if closed.rcvd else 'without a word'}", flush=True)
