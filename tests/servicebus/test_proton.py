"""An AMQP 1.0 client that knows nothing of Service Bus: Qpid Proton for C++."""
import subprocess

from harness import BIN
from support import ROOT_RULE, ServiceBusTest


class Proton(ServiceBusTest):
    def exchange(self, broker, *credential):
        done = subprocess.run([str(BIN / "proton_client"), f"127.0.0.1:{broker.port('amqp')}", "send-one", "500", *credential],
                              capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_sends_and_receives_with_a_key(self):
        self.assertEqual((0, "sent 500, received 500\n"), self.exchange(self.broker(), *ROOT_RULE))

    def test_a_wrong_key_is_refused(self):
        code, text = self.exchange(self.broker(), ROOT_RULE[0], "another")
        self.assertEqual(1, code)
        self.assertIn("amqp:unauthorized-access", text)

    def test_sends_and_receives_without_credentials_where_that_is_allowed(self):
        config = self.file("jobmill.yaml", "servicebus:\n  auth: none\n")
        self.assertEqual((0, "sent 500, received 500\n"), self.exchange(self.broker("--config", config)))

    def test_strict_servers_refuse_anonymous_links(self):
        code, text = self.exchange(self.broker())
        self.assertEqual(1, code)
        self.assertIn("amqp:unauthorized-access", text)
