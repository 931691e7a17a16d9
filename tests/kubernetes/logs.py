"""What a kubelet answers when the API server asks it for the log of a container."""
import contextlib
import http.server
import ssl
import threading
import time
import urllib.parse


class LogServer:
    """GET /containerLogs/NAMESPACE/POD/CONTAINER[?follow=true], over TLS, for the pods of a node."""

    def __init__(self, node, certificate, key):
        logs = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                address = urllib.parse.urlsplit(self.path)
                _, kind, namespace, pod, _ = address.path.split("/", 4)
                file = node.folder / f"{pod}.log"
                if kind != "containerLogs" or not file.exists():
                    return self.send_error(404)
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                follows = urllib.parse.parse_qs(address.query).get("follow") == ["true"]
                with contextlib.suppress(OSError):  # whoever follows may go
                    logs.copy(self.wfile, file, lambda: follows and node.runs(namespace, pod))
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def copy(self, to, file, goes_on):
        with open(file, "rb") as log:
            while True:
                more = goes_on()  # asked before the read: what was written until the end is read
                while piece := log.read(65536):
                    to.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    to.flush()
                if not more:
                    return
                time.sleep(0.02)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
