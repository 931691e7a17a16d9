"""How every condition reaches an application, by every client library.

The conditions come from a server that fails on demand, since most of them cannot be provoked. The table is what
the libraries do; were it otherwise, we had said the condition in a way that they do not read.
"""
import subprocess

from harness import BIN, CLEAN, Process
from support import CLIENTS, HERE, ROOT_RULE, ServiceBusTest

# condition: what Python raises, JavaScript's code ("+": worth a retry), Go's code or the bare condition
LINKS = {  # of a link that is refused, and of a message that is
    "amqp:not-found": ("MessagingEntityNotFoundError", "ServiceCommunicationProblem", "amqp:not-found"),  # without its usual text
    "com.microsoft:server-busy": ("ServiceBusServerBusyError", "ServiceBusy+", "com.microsoft:server-busy"),
    "com.microsoft:timeout": ("OperationTimeoutError", "ServiceTimeout+", "timeout"),
    "com.microsoft:entity-disabled": ("MessagingEntityDisabledError", "MessagingEntityDisabled", "com.microsoft:entity-disabled"),
    "amqp:resource-limit-exceeded": ("ServiceBusQuotaExceededError", "QuotaExceeded", "amqp:resource-limit-exceeded"),
    "amqp:link:message-size-exceeded": ("MessageSizeExceededError", "MessageSizeExceeded", "*errors.errorString"),
    "amqp:unauthorized-access": ("ServiceBusAuthorizationError", "UnauthorizedAccess+", "unauthorized"),
    "amqp:not-allowed": ("ServiceBusError", "GeneralError", "amqp:not-allowed"),
    "amqp:internal-error": ("ServiceBusError", "GeneralError+", "connlost"),
    "com.microsoft:argument-error": ("ServiceBusError", "GeneralError", "connlost"),
    "com.microsoft:argument-out-of-range": ("ServiceBusError", "GeneralError", "connlost"),
    "com.microsoft:session-cannot-be-locked":
        ("SessionCannotBeLockedError", "SessionCannotBeLocked", "com.microsoft:session-cannot-be-locked"),
    "com.microsoft:auth-failed": ("ServiceBusAuthorizationError", "UnauthorizedAccess+", "connlost"),
    "com.microsoft:operation-cancelled": ("ServiceBusError", "GeneralError+", "com.microsoft:operation-cancelled"),
    "com.microsoft:precondition-failed": ("ServiceBusError", "GeneralError", "connlost"),
    "com.microsoft:container-close": ("ServiceBusError", "GeneralError+", "connlost"),
    "amqp:link:detach-forced": ("ServiceBusConnectionError", "GeneralError+", "connlost"),
    "amqp:link:stolen": ("ServiceBusError", "GeneralError", "connlost"),
}
SETTLEMENTS = {
    "com.microsoft:message-lock-lost": ("MessageLockLostError", "MessageLockLost", "locklost"),
    "com.microsoft:session-lock-lost": ("SessionLockLostError", "SessionLockLost", "retried"),
    "com.microsoft:server-busy": ("ServiceBusServerBusyError", "ServiceBusy+", "retried"),
    "amqp:internal-error": ("ServiceBusError", "GeneralError+", "retried"),
}
REQUESTS = {
    "com.microsoft:message-lock-lost": ("MessageLockLostError", "MessageLockLost", "locklost"),
    "com.microsoft:session-lock-lost": ("SessionLockLostError", "SessionLockLost", "locklost"),
    "com.microsoft:message-not-found": ("MessageNotFoundError", "MessageNotFound", "notfound"),
    "com.microsoft:entity-already-exists": ("MessagingEntityAlreadyExistsError", "MessagingEntityAlreadyExists", "connlost"),
    "com.microsoft:timeout": ("OperationTimeoutError", "ServiceTimeout+", "internal.RPCError"),
    "com.microsoft:server-busy": ("ServiceBusServerBusyError", "ServiceBusy+", "internal.RPCError"),
    "amqp:internal-error": ("ServiceBusError", "GeneralError+", "internal.RPCError"),
}
OK = ("ok", "ok", "ok")
ONCE = {
    "detach": {"amqp:link:detach-forced": OK, "amqp:link:stolen": OK, "amqp:internal-error": OK},
    "close": {"amqp:connection:forced": OK},
}
WAYS = {"attach": LINKS, "send": LINKS, "settle": SETTLEMENTS, "request": REQUESTS, **ONCE}
PYTHON, JAVASCRIPT, GO = range(3)


def wanted(column):
    return {f"{way}--{condition.replace(':', '_')}": row[column] for way, rows in WAYS.items() for condition, row in rows.items()}


class Conditions(ServiceBusTest):
    def check(self, words, outcomes):
        server = Process([BIN / "condition_server"])
        self.addCleanup(server.close)
        port = server.ready.rsplit(":", 1)[1].strip()
        here = f"sb://localhost:{port}/"
        name, key = ROOT_RULE
        environment = {
            **CLEAN, "SERVICEBUS_TRANSPORT": "plain", "SERVICEBUS_ENDPOINT": here,
            "SERVICEBUS": f"Endpoint={here};SharedAccessKeyName={name};SharedAccessKey={key};UseDevelopmentEmulator=true",
            "SERVICEBUS_LIBRARIES": str(CLIENTS / "javascript"), "NODE_OPTIONS": "--dns-result-order=ipv4first",
        }
        done = subprocess.run([str(word) for word in (*words, *outcomes)], env=environment, text=True, capture_output=True,
                              timeout=600, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(outcomes, dict(line.split(" ", 1) for line in done.stdout.splitlines()))

    def python(self, version, kind, outcomes):
        self.check([CLIENTS / f"python-{version}/bin/python", "-B", HERE / "python/conditions.py", kind], outcomes)

    def test_python_7_15_0_sync(self):
        self.python("7.15.0", "sync", wanted(PYTHON))

    def test_python_7_15_0_async(self):
        self.python("7.15.0", "async", wanted(PYTHON))

    def test_python_7_14_3_sync(self):
        self.python("7.14.3", "sync", self.without_settlements())

    def test_python_7_14_3_async(self):
        self.python("7.14.3", "async", self.without_settlements())

    def without_settlements(self):
        """This version settles without waiting for an answer."""
        return {name: "ok" if name.startswith("settle--") else outcome for name, outcome in wanted(PYTHON).items()}

    def test_javascript(self):
        self.check(["node", HERE / "javascript/conditions.mjs"], wanted(JAVASCRIPT))

    def test_go(self):
        self.check([CLIENTS / "go/conditions"], wanted(GO))
