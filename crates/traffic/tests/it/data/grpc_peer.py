"""gRPC by its own C core: `serve` prints its port and serves, `call ADDRESS` asks for everything."""

import sys
from concurrent import futures

import grpc

CALLS = 200


def echo(request, context):
    context.set_trailing_metadata((("x-bytes", str(len(request))),))
    return request


def count(request, _context):
    for number in range(int(request)):
        yield str(number).encode()


def total(requests, _context):
    return str(sum(len(request) for request in requests)).encode()


def chat(requests, _context):
    for request in requests:
        yield request.upper()


def fail(_request, context):
    context.abort(grpc.StatusCode.UNAVAILABLE, "not now")


class Methods(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(lambda *_: b"\x08\x01"),
            "/test.Test/Echo": grpc.unary_unary_rpc_method_handler(echo),
            "/test.Test/Count": grpc.unary_stream_rpc_method_handler(count),
            "/test.Test/Total": grpc.stream_unary_rpc_method_handler(total),
            "/test.Test/Chat": grpc.stream_stream_rpc_method_handler(chat),
            "/test.Test/Fail": grpc.unary_unary_rpc_method_handler(fail),
        }.get(details.method)


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Methods(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    # Ends with whoever started it.
    sys.stdin.read()
    server.stop(None)


def call(address):
    with grpc.insecure_channel(address) as channel:
        answer, told = channel.unary_unary("/test.Test/Echo").with_call(b"x" * 100_000, timeout=30)
        assert len(answer) == 100_000, len(answer)
        assert dict(told.trailing_metadata())["x-bytes"] == "100000", told.trailing_metadata()
        counted = list(channel.unary_stream("/test.Test/Count")(b"500", timeout=30))
        assert counted == [str(number).encode() for number in range(500)], counted
        pieces = (b"y" * 10_000 for _ in range(50))
        assert channel.stream_unary("/test.Test/Total")(pieces, timeout=30) == b"500000"
        talk = channel.stream_stream("/test.Test/Chat")(iter([b"a", b"b", b"c"]), timeout=30)
        assert list(talk) == [b"A", b"B", b"C"]
        try:
            channel.unary_unary("/test.Test/Fail")(b"", timeout=30)
            raise AssertionError("it fails")
        except grpc.RpcError as error:
            assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "not now"), error
        asked = [channel.unary_unary("/test.Test/Echo").future(b"z", timeout=30) for _ in range(CALLS)]
        assert all(answered.result() == b"z" for answered in asked)
    print("all as it should be")


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else call(sys.argv[2])
