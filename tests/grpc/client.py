"""A client of the shop that knows no .proto file: everything is asked for by reflection.

    client.py calls HOST:PORT            makes every call once; one line of JSON for each
    client.py load HOST:PORT WATCHES     500 calls a second and so many open Watch streams, until standard input ends;
                                         prints "running" when all are open, and at the end a summary as JSON

Nothing is retried: a call that fails is counted.
"""

import collections
import json
import sys
import threading
import time

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

CHANNELS = 8
CALLS_A_SECOND = 500
PLACED = 25  # every so many calls, one places an order


# No policy of retries is configured, so no call that was sent is sent again. grpc.enable_retries stays as it is: it also
# switches off that a call of which nothing was sent yet, when the connection is told to go away, takes the next one.
def channel(address):
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


class Services:
    """What the server says of its services."""

    def __init__(self, address):
        with channel(address) as asked:
            database = ProtoReflectionDescriptorDatabase(asked)
            self.names = sorted(database.get_services())
            self.pool = descriptor_pool.DescriptorPool(database)
            self.methods = {}
            for name in self.names:
                service = self.pool.FindServiceByName(name)
                for method in service.methods:
                    self.methods[f"/{name}/{method.name}"] = method

    def stub(self, channel, path):
        method = self.methods[path]
        request = message_factory.GetMessageClass(method.input_type)
        answer = message_factory.GetMessageClass(method.output_type)
        make = channel.unary_stream if method.server_streaming else channel.unary_unary
        call = make(path, request_serializer=request.SerializeToString, response_deserializer=answer.FromString)
        return lambda fields, **options: call(json_format.ParseDict(fields, request()), **options)


def shown(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def calls(address):
    services = Services(address)
    with channel(address) as opened:

        def ask(path, fields, **options):
            asked = services.stub(opened, path)(fields, timeout=30, **options)
            is_stream = services.methods[path].server_streaming
            if path.endswith("/Watch"):
                answer = [shown(next(asked))]
                asked.cancel()
            else:
                answer = [shown(one) for one in asked] if is_stream else shown(asked)
            print(json.dumps({"path": path, "answer": answer}), flush=True)
            return answer

        order = {
            "customer_id": "c-python",
            "items": [{"sku": "espresso-cup", "quantity": 2}],
            "payment_method": "pm_card_visa",
        }
        placed = ask("/shop.v1.Orders/Place", order, metadata=[("idempotency-key", "python-1")])["order"]
        again = ask("/shop.v1.Orders/Place", order, metadata=[("idempotency-key", "python-1")])
        assert again["replayed"] and again["order"] == placed, again
        ask("/shop.v1.Orders/Get", {"id": placed["id"]})
        ask("/shop.v1.Orders/List", {"customer_id": "c-python"})
        ask("/shop.v1.Orders/Timeline", {"id": placed["id"]})
        payments = ask("/shop.v1.Payments/List", {"order_id": placed["id"]})["payments"]
        ask("/shop.v1.Payments/Get", {"id": payments[0]["id"]})
        ask("/shop.v1.Inventory/Get", {"sku": "espresso-cup"})
        ask("/shop.v1.Inventory/List", {"limit": 2})
        ask("/shop.v1.Inventory/Patch", {"sku": "espresso-cup", "name": "A cup"})
        adjusted = {"sku": "espresso-cup", "delta": -3, "reason": "broken"}
        ask("/shop.v1.Inventory/Adjust", adjusted, metadata=[("idempotency-key", "python-2")])
        ask("/grpc.health.v1.Health/Check", {"service": "shop.v1.Orders"})
        ask("/grpc.health.v1.Health/Watch", {})
        # A deadline that is too short is said to be over, and the order goes on.
        try:
            late = dict(order, customer_id="c-late")
            services.stub(opened, "/shop.v1.Orders/Place")(late, timeout=0.001)
            print(json.dumps({"late": "OK"}), flush=True)
        except grpc.RpcError as error:
            print(json.dumps({"late": error.code().name}), flush=True)


class Load:
    def __init__(self, address, watches):
        self.services = Services(address)
        self.channels = [channel(address) for _ in range(CHANNELS)]
        self.is_over = threading.Event()
        self.made = 0
        self.failed = collections.Counter()
        self.told = collections.Counter()
        self.lock = threading.Lock()
        self.open = threading.Semaphore(0)
        self.watches = watches
        self.slowest = 0.0

    def fail(self, what, error):
        with self.lock:
            self.failed[f"{what}: {error.code().name}: {error.details()}"] += 1

    def call(self, number):
        get = self.services.stub(self.channels[number], "/shop.v1.Inventory/Get")
        place = self.services.stub(self.channels[number], "/shop.v1.Orders/Place")
        order = {
            "customer_id": f"c-{number}",
            "items": [{"sku": "espresso-cup", "quantity": 1}],
            "payment_method": "pm_card_visa",
        }
        due, made = time.monotonic(), 0
        while not self.is_over.is_set():
            begun = time.monotonic()
            try:
                if made % PLACED == 0:
                    place(order)
                else:
                    get({"sku": "espresso-cup"})
            except grpc.RpcError as error:
                self.fail("call", error)
            made += 1
            with self.lock:
                self.made += 1
                self.slowest = max(self.slowest, time.monotonic() - begun)
            due += CHANNELS / CALLS_A_SECOND
            time.sleep(max(0.0, due - time.monotonic()))

    def watch(self, number):
        watch = self.services.stub(self.channels[number % CHANNELS], "/grpc.health.v1.Health/Watch")
        is_first = True
        while not self.is_over.is_set():
            asked = watch({})
            try:
                for news in asked:
                    with self.lock:
                        self.told[shown(news).get("status", "UNKNOWN")] += 1
                    if is_first:
                        self.open.release()
                        is_first = False
                    if self.is_over.is_set():
                        asked.cancel()
                with self.lock:
                    self.told["ended well"] += 1
            except grpc.RpcError as error:
                if not (self.is_over.is_set() and error.code() == grpc.StatusCode.CANCELLED):
                    self.fail("watch", error)

    def run(self):
        watchers = [threading.Thread(target=self.watch, args=(n,), daemon=True) for n in range(self.watches)]
        callers = [threading.Thread(target=self.call, args=(n,)) for n in range(CHANNELS)]
        for thread in watchers + callers:
            thread.start()
        for _ in watchers:
            self.open.acquire()
        print("running", flush=True)
        begun = time.monotonic()
        made = self.made
        sys.stdin.read()
        took = time.monotonic() - begun
        rate = (self.made - made) / took
        self.is_over.set()
        for thread in callers:
            thread.join()
        with self.lock:
            summary = {
                "calls": self.made,
                "calls_a_second": round(rate),
                "slowest_ms": round(1000 * self.slowest),
                "failed": dict(self.failed),
                "watchers_told": dict(self.told),
            }
        print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "calls":
        calls(sys.argv[2])
    else:
        Load(sys.argv[2], int(sys.argv[3])).run()
    # Watch streams are still open: their threads are not waited for.
    import os

    sys.stdout.flush()
    os._exit(0)
