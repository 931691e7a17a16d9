"""Who is who in a cluster: an authority of its own, and certificates that it has signed, made by openssl."""
import pathlib
import subprocess

SERVER_NAMES = ["DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc", "IP:127.0.0.1", "IP:10.96.0.1"]


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(map(str, words))}: {done.stderr}")


class Authority:
    """Files in `folder`: ca.crt and ca.key; NAME.crt and NAME.key of each that it signed."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.certificate = self.folder / "ca.crt"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj", "/CN=test-authority",
                "-keyout", self.folder / "ca.key", "-out", self.certificate)

    def server(self, name):
        return self._sign(name, "/CN=kube-apiserver", f"subjectAltName={','.join(SERVER_NAMES)}\nextendedKeyUsage=serverAuth\n")

    def client(self, name, user, group=""):
        return self._sign(name, f"/O={group}/CN={user}" if group else f"/CN={user}", "extendedKeyUsage=clientAuth\n")

    def account_keys(self):
        """The pair that signs the tokens of service accounts: private, public."""
        private, public = self.folder / "accounts.key", self.folder / "accounts.pub"
        openssl("genrsa", "-out", private, 2048)
        openssl("rsa", "-in", private, "-pubout", "-out", public)
        return private, public

    def _sign(self, name, subject, extensions):
        certificate, key, request = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
        extension_file = self.folder / f"{name}.ext"
        extension_file.write_text(extensions)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout", key, "-out", request)
        openssl("x509", "-req", "-days", 2, "-in", request, "-CA", self.certificate, "-CAkey", self.folder / "ca.key", "-CAcreateserial",
                "-extfile", extension_file, "-out", certificate)
        return certificate, key
