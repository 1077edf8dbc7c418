#!/usr/bin/python3
"""The driver of the directory above, in Python: proof that the contract is a wire format and no Go library.

It needs Debian's python3-grpcio and python3-protobuf, and line_pb2.py beside it, made from the contract:

    protoc -I plugins/lineplugin/linepb --python_out=DIRECTORY line.proto

Each line has a lock. Its threads: one that listens and hears the far end, one that writes; events and commands come on gRPC's.
"""

import os
import queue
import socket
import sys
import threading
import time
import tomllib
from concurrent import futures

import grpc

import line_pb2 as pb

SERVICE = "trunkline.line.v1.LineDriver"
CONTRACT = 2
DIGITAL, ASYNC = 2, 1  # RFC 2637 section 2.1
WINDOW = 32 << 10  # octets that the host has room for at the beginning of a call
LIFELINE = 3  # descriptor that ends when the host does
QUESTION, ANSWER = b"CLIENT", b"CLIENTSERVER"
RETRY = 5.0  # seconds until the driver tries again to listen

# Event kinds, states, causes and errors, numbered as in the Go package shared/line.
UP, DOWN, RINGING, RINGING_STOPPED, ANSWERING, DIALING, CONNECTED, LOST, DIAL_FAILED, IDLE = range(1, 11)
CARRIER_LOST, HANGUP, CALLER_GAVE_UP, REJECTED, DEVICE, SHUTDOWN = 1, 10, 11, 12, 13, 15
NO_CALL, NOT_CONNECTED, CLOSED, UNSUPPORTED, CONFIGURATION = 1, 4, 6, 7, 9


class Refused(Exception):
    """A command or a section that is refused, with its code."""

    def __init__(self, code, text=""):
        super().__init__(text)
        self.code, self.text = code, text

    def message(self):
        return pb.Error(code=self.code, text=self.text)


class Line:
    """One cable. Its state is the last event that it told."""

    def __init__(self, index, config, out):
        self.index, self.out = index, out
        self.name, self.listen = config["name"], config["listen"]
        self.number, self.speed = config.get("number", ""), config.get("speed", 115200)
        self.changed = threading.Condition()
        self.events, self.sequence = queue.Queue(), 0
        self.state, self.call, self.last, self.closed = DOWN, 0, 0, False
        self.conn, self.heard, self.credit = None, b"", 0
        self.counters = pb.Counters()
        self.writes = queue.Queue()
        self.listener = None
        for work in (self.serve, self.write):
            threading.Thread(target=work, daemon=True).start()

    def identity(self):
        return pb.Identity(name=self.name, device=self.listen, physical_channel=self.index + 1, number=self.number, bearers=DIGITAL, framings=ASYNC)

    def tell(self, kind, call=0, state=None, **body):
        """Tells an event. The lock is held."""
        self.sequence += 1
        self.events.put(pb.Event(sequence=self.sequence, at=time.time_ns(), call=call, kind=kind, **body))
        self.state = state or kind
        self.changed.notify_all()

    # What the far end does.

    def serve(self):
        while not self.closed:
            try:
                self.listener = self.endpoint()
                with self.changed:
                    if not self.closed and self.state == DOWN:
                        self.tell(UP, state=IDLE, text="cable to " + self.listen)
                while True:
                    conn, _ = self.listener.accept()
                    with conn:
                        self.plugged(conn)
            except OSError as error:
                with self.changed:
                    if not self.closed and self.state in (IDLE, DOWN):
                        self.tell(DOWN, cause=pb.Cause(code=DEVICE, text=str(error)), retry=int(RETRY * 1e9))
                    self.changed.wait_for(lambda: self.closed, RETRY)

    def endpoint(self):
        if self.listen.startswith("unix:"):
            path = self.listen.removeprefix("unix:")
            if os.path.exists(path):
                os.remove(path)
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.bind(path)
            s.listen()
            return s
        host, port = self.listen.removeprefix("tcp:").rsplit(":", 1)
        return socket.create_server((host.strip("[]"), int(port)))

    def plugged(self, conn):
        seen = b""
        while QUESTION not in seen:
            data = conn.recv(4096)
            if not data:
                return
            seen += data
        with self.changed:
            if self.state != IDLE:
                return
            self.last += 1
            self.call, self.conn, self.counters = self.last, conn, pb.Counters()
            self.heard = seen.partition(QUESTION)[2]
            self.tell(RINGING, self.call, ringing=pb.Ringing(dialed=self.number, bearer=DIGITAL, since=time.time_ns()))
        self.hear(conn)
        with self.changed:
            if self.conn is conn:
                self.end(CALLER_GAVE_UP if self.state == RINGING else CARRIER_LOST, "the cable was unplugged")

    def hear(self, conn):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.conn is not conn or self.state != CONNECTED or self.credit > 0)
                if self.conn is not conn:
                    return
            try:
                data = conn.recv(4096)
            except OSError:
                data = b""
            if not data:
                return
            with self.changed:
                if self.conn is not conn:
                    return
                self.heard += data
                if self.state == CONNECTED:
                    self.pass_on()

    def pass_on(self):
        """Gives the host what was heard. The lock is held."""
        if self.heard:
            self.credit -= len(self.heard)
            self.counters.rx_octets += len(self.heard)
            self.out.put(pb.Data(line=self.index, call=self.call, octets=self.heard))
            self.heard = b""

    def end(self, cause, text=""):
        """Ends the call in whatever state it is; the line is free again. The lock is held."""
        call, cause = self.call, pb.Cause(code=cause, text=text)
        if self.state == RINGING:
            if cause.code == HANGUP:
                cause.code = REJECTED
            self.tell(RINGING_STOPPED, call, cause=cause)
        elif self.state in (ANSWERING, CONNECTED):
            if self.state == CONNECTED:
                self.out.put(pb.Data(line=self.index, call=call, end=True))
            self.tell(LOST, call, cause=cause, counters=self.counters)
        else:
            return
        try:
            self.conn.shutdown(socket.SHUT_RDWR)  # frees whoever reads or writes
        except OSError:
            pass
        self.conn, self.call = None, 0
        self.tell(IDLE, call)

    # What the host says.

    def command(self, request):
        verbs = {pb.CommandRequest.ANSWER: self.answer, pb.CommandRequest.REJECT: self.reject, pb.CommandRequest.HANGUP: self.hangup}
        with self.changed:
            if request.verb == pb.CommandRequest.SHUTDOWN:
                self.shutdown()
            elif request.verb not in verbs:
                raise Refused(UNSUPPORTED)
            elif self.closed:
                raise Refused(CLOSED)
            elif not request.call or request.call != self.call:
                raise Refused(NO_CALL)
            else:
                verbs[request.verb](request)

    def answer(self, _):
        if self.state != RINGING:
            raise Refused(NO_CALL)
        self.tell(ANSWERING, self.call)
        try:
            self.conn.sendall(ANSWER)  # few octets, on a socket that nobody has written to
        except OSError:
            self.end(CARRIER_LOST, "the cable was unplugged")
            return
        while self.heard.startswith(QUESTION):  # the caller repeats it until it reads the answer
            self.heard = self.heard[len(QUESTION):]
        self.credit = WINDOW
        self.tell(CONNECTED, self.call, connected=pb.Connected(
            rx_speed=self.speed, tx_speed=self.speed, dte_speed=self.speed, bearer=DIGITAL, framing=ASYNC, error_control="none", compression="none"))
        self.pass_on()

    def reject(self, _):
        if self.state != RINGING:
            raise Refused(NO_CALL)
        self.end(REJECTED)

    def hangup(self, _):
        self.end(HANGUP)

    def shutdown(self):
        if self.closed:
            return
        self.end(SHUTDOWN)
        self.closed = True
        self.tell(DOWN, cause=pb.Cause(code=SHUTDOWN))
        self.events.put(None)
        self.writes.put(None)
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
        if self.listen.startswith("unix:") and os.path.exists(self.listen.removeprefix("unix:")):
            os.remove(self.listen.removeprefix("unix:"))

    def give(self, data):
        """Takes what the host sends about the line's data."""
        if data.credit:
            with self.changed:
                self.credit += data.credit
                self.changed.notify_all()
        if data.octets:
            self.writes.put(data)

    def write(self):
        """Carries out the host's writes, one after the other."""
        while (data := self.writes.get()) is not None:
            with self.changed:
                conn = self.conn if self.state == CONNECTED and self.call == data.call else None
            written, error = 0, None
            while conn and written < len(data.octets):
                try:
                    written += conn.send(data.octets[written:])
                except OSError:
                    break
            if not conn or written < len(data.octets):
                error = pb.Error(code=NOT_CONNECTED)
            with self.changed:
                self.counters.tx_octets += written
            self.out.put(pb.Data(line=self.index, call=data.call, written=written, error=error))


class Driver:
    """The service."""

    def __init__(self):
        self.lines, self.out = [], queue.Queue()

    def Hello(self, request, context):
        if request.contract != CONTRACT:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"the driver speaks version {CONTRACT} of the line contract")
        return pb.HelloReply(name="cable-python", version="1.0", contract=CONTRACT, capabilities=pb.Capabilities(
            answer=True, reject=True, bearers=DIGITAL, framings=ASYNC))

    def Open(self, request, context):
        try:
            configs = self.check(request)
        except Refused as refused:
            return pb.OpenReply(error=refused.message())
        self.lines = [Line(i, config, self.out) for i, config in enumerate(configs)]
        return pb.OpenReply(lines=[line.identity() for line in self.lines])

    @staticmethod
    def check(request):
        try:
            section = tomllib.loads(request.text.decode())
        except ValueError as error:
            raise Refused(CONFIGURATION, f"{request.file}: {error}") from error
        configs = section.pop("line", [])
        for i, config in enumerate(configs):
            for key in ("name", "listen"):
                if not config.get(key):
                    raise Refused(CONFIGURATION, f"{request.file}: line[{i}].{key}: missing")
            if unknown := config.keys() - {"name", "listen", "number", "speed"}:
                raise Refused(CONFIGURATION, f"{request.file}: line[{i}].{min(unknown)}: unknown key")
            if not config["listen"].startswith(("unix:/", "tcp:")):
                raise Refused(CONFIGURATION, f"{request.file}: line[{i}].listen: neither unix:/PATH nor tcp:ADDRESS:PORT")
        if section or not configs:
            raise Refused(CONFIGURATION, f"{request.file}: " + (f"{min(section)}: unknown key" if section else "line: there is none"))
        return configs

    def Events(self, request, context):
        events = self.lines[request.line].events
        while (event := events.get()) is not None:
            yield event

    def Command(self, request, context):
        try:
            self.lines[request.line].command(request)
        except Refused as refused:
            return pb.CommandReply(error=refused.message())
        return pb.CommandReply(call=request.call)

    def Data(self, batches, context):
        def take():
            try:
                for batch in batches:
                    for data in batch.data:
                        self.lines[data.line].give(data)
            except grpc.RpcError:
                pass  # the host is gone; the lifeline tells as well
            self.out.put(None)

        threading.Thread(target=take, daemon=True).start()
        while (data := self.out.get()) is not None:
            batch = [data]
            while not self.out.empty() and len(batch) < 64 and (more := self.out.get()) is not None:
                batch.append(more)
            yield pb.DataBatch(data=batch)

    def Heartbeat(self, request, context):
        return pb.HeartbeatReply()

    def free(self):
        for line in self.lines:
            with line.changed:
                line.shutdown()


def handlers(driver):
    unary = grpc.unary_unary_rpc_method_handler

    def method(make, behaviour, request, reply):
        return make(behaviour, request_deserializer=request.FromString, response_serializer=reply.SerializeToString)

    return grpc.method_handlers_generic_handler(SERVICE, {
        "Hello": method(unary, driver.Hello, pb.HelloRequest, pb.HelloReply),
        "Open": method(unary, driver.Open, pb.OpenRequest, pb.OpenReply),
        "Events": method(grpc.unary_stream_rpc_method_handler, driver.Events, pb.EventsRequest, pb.Event),
        "Command": method(unary, driver.Command, pb.CommandRequest, pb.CommandReply),
        "Data": method(grpc.stream_stream_rpc_method_handler, driver.Data, pb.DataBatch, pb.DataBatch),
        "Heartbeat": method(unary, driver.Heartbeat, pb.HeartbeatRequest, pb.HeartbeatReply),
    })


def main():
    if os.environ.get("TRUNKLINE_LINE_DRIVER") != "line":
        sys.exit("cable.py is a line driver: pac starts it (command of a [[driver]] in pac.toml)")
    driver = Driver()
    # Each line's event stream keeps a thread, the data stream another one.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
    server.add_generic_rpc_handlers((handlers(driver),))
    path = os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "driver")  # a directory that only our user can enter
    server.add_insecure_port("unix:" + path)
    server.start()
    print(f"1|1|unix|{path}|grpc", flush=True)  # go-plugin's greeting
    os.read(LIFELINE, 1)  # returns when the host is gone, or wants us to go
    driver.free()
    server.stop(None)
    os._exit(0)


if __name__ == "__main__":
    main()
