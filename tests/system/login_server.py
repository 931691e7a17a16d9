"""A login server as OpenID Connect has it, small enough to be wrong on purpose."""
import base64
import hashlib
import http.server
import json
import subprocess
import threading
import time
import urllib.parse


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, data=None):
    return subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, check=True).stdout


class LoginServer:
    """Lets everybody in. `claims` are added to each token; `algorithm` and `key` sign it."""

    def __init__(self, folder):
        self.key = self.new_key(folder / "one.pem")
        self.other_key = self.new_key(folder / "other.pem")
        self.published = self.key
        self.algorithm = "RS256"
        self.claims = {}
        self.codes = {}
        self.refusals = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.get(self)

            def do_POST(self):
                outer.post(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @staticmethod
    def new_key(path):
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path)
        return path

    def jwks(self):
        modulus = openssl("rsa", "-in", self.published, "-noout", "-modulus").decode().strip().split("=")[1]
        return {"keys": [{"kty": "RSA", "use": "sig", "kid": self.published.stem, "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}]}

    def token(self, nonce, client):
        now = int(time.time())
        claims = {"iss": self.url, "aud": client, "sub": "1", "preferred_username": "olga", "iat": now, "exp": now + 300,
                  "nonce": nonce, "groups": ["staff"], **self.claims}
        header = {"alg": self.algorithm, "kid": self.key.stem}
        text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
        signature = b"" if self.algorithm == "none" else openssl("dgst", "-sha256", "-sign", self.key, data=text.encode())
        return text + "." + b64(signature)

    # What a browser does there: it comes with a request and goes back with a code.
    def authorize(self, url):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        code = b64(hashlib.sha256(query["state"].encode()).digest())
        self.codes[code] = query
        return query["redirect_uri"] + "?" + urllib.parse.urlencode({"code": code, "state": query["state"]})

    def get(self, request):
        path = request.path
        if path == "/.well-known/openid-configuration":
            return self.answer(request, 200, {"issuer": self.url, "authorization_endpoint": self.url + "/authorize",
                                              "token_endpoint": self.url + "/token", "jwks_uri": self.url + "/keys",
                                              "end_session_endpoint": self.url + "/end"})
        return self.answer(request, 200, self.jwks()) if path == "/keys" else self.answer(request, 404, {})

    def post(self, request):
        body = dict(urllib.parse.parse_qsl(request.rfile.read(int(request.headers["Content-Length"])).decode()))
        asked = self.codes.pop(body.get("code"), None)
        challenge = b64(hashlib.sha256(body.get("code_verifier", "").encode()).digest())
        secret = base64.b64encode(b"jobmill:top%20secret").decode()
        good = asked and challenge == asked["code_challenge"] and body["redirect_uri"] == asked["redirect_uri"] and \
            request.headers["Authorization"] == "Basic " + secret
        if not good:
            self.refusals.append(body)
            return self.answer(request, 400, {"error": "invalid_grant"})
        return self.answer(request, 200, {"id_token": self.token(asked["nonce"], body["client_id"])})

    @staticmethod
    def answer(request, status, body):
        data = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)
