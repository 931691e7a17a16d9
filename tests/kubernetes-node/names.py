"""The names of a cluster's Services, for its pods: what its DNS add-on does."""
import ipaddress
import socketserver
import struct
import threading

from api import ApiError
from cluster import AWAY

DOMAIN = "cluster.local"
A, IN = 1, 1
FOUND, FAILED, UNKNOWN = 0x8580, 0x8582, 0x8583  # answers with authority, without error, with one, for no such name
TIME_TO_LIVE = 5


class NameServer:
    """NAME.NAMESPACE.svc.cluster.local leads to the Service's address; other names do not exist."""

    def __init__(self, cluster, address):
        names = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                query, connection = self.request
                connection.sendto(names.answer(query), self.client_address)

        self.api = cluster.api
        self.server = socketserver.UDPServer((address, 53), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, query):
        labels, end = read_name(query)
        kind, of_class = struct.unpack_from("!HH", query, end)
        question = query[12:end + 4]
        try:
            address = self.find(labels)
        except (ApiError, *AWAY):
            return header(query, FAILED, 0) + question
        if not address:
            return header(query, UNKNOWN, 0) + question
        if (kind, of_class) != (A, IN):
            return header(query, FOUND, 0) + question
        record = struct.pack("!HHHIH", 0xC00C, A, IN, TIME_TO_LIVE, 4) + ipaddress.IPv4Address(address).packed
        return header(query, FOUND, 1) + question + record

    def find(self, labels):
        if len(labels) != 5 or ".".join(labels[2:]) != f"svc.{DOMAIN}":
            return None
        service = self.api.find("services", labels[1], labels[0])
        return service and service["spec"]["clusterIP"]


def read_name(query):
    """The labels of the first question, and where they end."""
    labels, at = [], 12
    while size := query[at]:
        labels.append(query[at + 1:at + 1 + size].decode("ascii", "replace").lower())
        at += 1 + size
    return labels, at + 1


def header(query, flags, answers):
    return query[:2] + struct.pack("!HHHHH", flags, 1, answers, 0, 0)
