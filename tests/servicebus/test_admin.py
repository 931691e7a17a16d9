"""The life of a queue with every admin client; they speak TLS only."""
from support import ADMINS, ServiceBusTest, every


@every(ADMINS, lambda client: ["tls"])
class Admin(ServiceBusTest):
    def check(self, words, _):
        self.run_program(self.broker(), words)
