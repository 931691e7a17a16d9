"""The limits of the cloud, as the Python clients tell of them."""
from support import CLIENTS, HERE, ServiceBusTest, every

LIMITS = {f"python-{version}-{kind}": [CLIENTS / f"python-{version}/bin/python", "-B", HERE / "python/limits.py", kind]
          for version in ("7.15.0", "7.14.3") for kind in ("sync", "async")}


@every(LIMITS, lambda client: ["plain"])
class Limits(ServiceBusTest):
    def check(self, words, transport):
        self.run_program(self.broker("--config", self.file("jobmill.yaml", "servicebus: {limits: cloud}\n")), words, transport)
