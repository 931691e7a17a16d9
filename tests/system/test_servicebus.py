"""The message broker from the outside: commands, management (Atom), REST, the emulator's configuration file."""
import base64
import hashlib
import hmac
import json
import re
import time
import urllib.parse

from harness import SystemTest, http, until

ROOT_RULE = ("RootManageSharedAccessKey", "a key of this test")
LISTENERS = ["--amqp", "127.0.0.1:0", "--amqps", "off", "--admin", "127.0.0.1:0", "--admin-http", "127.0.0.1:0",
             "--identity", "off"]
NEVER = "P10675199DT2H48M5.4775807S"


def signature(uri, rule=ROOT_RULE, lives=600):
    """A shared access signature, as any client makes it."""
    name, key = rule
    resource, expiry = urllib.parse.quote_plus(uri), int(time.time()) + lives
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return (f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote_plus(base64.b64encode(digest).decode())}"
            f"&se={expiry}&skn={name}")


class BrokerTest(SystemTest):
    def bus(self, *flags, **more):
        key = self.file("key", ROOT_RULE[1] + "\n")
        server = self.serve(*LISTENERS, "--servicebus-key", key, *flags, **more)
        fields = dict(word.split("=", 1) for word in server.ready.split()[2:])
        server.amqp, server.admin = fields["amqp"], "http://" + fields["admin-http"]
        return server

    def az(self, server, words, code=0, stdin=None):
        """Runs `jobmill servicebus …`; its JSON, or its text when it is none."""
        done = self.run_jobmill("servicebus", *words, server=server, stdin=stdin)
        self.assertEqual(code, done.returncode, f"{words}\n{done.stdout}{done.stderr}")
        self.stderr = done.stderr
        try:
            return json.loads(done.stdout) if done.stdout else None
        except ValueError:
            return done.stdout

    def queue(self, server, name, *flags):
        return self.az(server, ["queue", "create", "-g", "rg", "-n", name, *flags])

    def dead_letters(self, server, name, count):
        """Messages that are given back once, where once is too often."""
        headers = {"Authorization": signature(server.admin)}
        for number in range(count):
            self.assertEqual(201, http("POST", f"{server.admin}/{name}/messages", b"%d" % number, headers).status)
            locked = http("POST", f"{server.admin}/{name}/messages/head?timeout=5", headers=headers)
            self.assertEqual(200, http("PUT", locked.headers["Location"], headers=headers).status)


class Namespaces(BrokerTest):
    def test_they_are_made_shown_listed_and_deleted(self):
        server = self.bus()
        made = self.az(server, ["namespace", "create", "-g", "rg", "-n", "servicebus-ns-job", "--sku", "standard", "-l", "swedencentral",
                                "--tags", "a=b", "c=d"])
        self.assertEqual("https://servicebus-ns-job.servicebus.windows.net:443/", made["serviceBusEndpoint"])
        self.assertEqual(({"name": "Standard", "tier": "Standard"}, {"a": "b", "c": "d"}, "rg", "swedencentral"),
                         (made["sku"], made["tags"], made["resourceGroup"], made["location"]))
        shown = self.az(server, ["namespace", "show", "-g", "rg", "--namespace-name", "servicebus-ns-job"])
        self.assertEqual(made, shown)
        self.assertIn("WARNING: ", self.stderr)
        self.assertIn("127.0.0.1 servicebus-ns-job.servicebus.windows.net", self.stderr)
        self.assertEqual(["sbemulatorns", "servicebus-ns-job"], self.az(server, ["namespace", "list", "--query", "[].name"]))
        self.assertEqual(["servicebus-ns-job"], self.az(server, ["namespace", "list", "-g", "rg", "--query", "[].name"]))
        self.az(server, ["queue", "create", "-g", "rg", "--namespace-name", "servicebus-ns-job", "-n", "inside"])
        self.az(server, ["namespace", "delete", "-g", "rg", "-n", "servicebus-ns-job"], code=2)
        self.assertIn("--yes", self.stderr)
        self.az(server, ["namespace", "delete", "-g", "rg", "-n", "servicebus-ns-job", "--yes"])
        self.az(server, ["namespace", "show", "-g", "rg", "-n", "servicebus-ns-job"], code=3)
        self.az(server, ["message", "peek", "-n", "inside"], code=3)

    def test_a_name_that_cannot_be_a_host_is_refused(self):
        server = self.bus()
        for name in ("-x", "9x", "a.b", "a_b", "x" * 51):
            self.az(server, ["namespace", "create", "-g", "rg", f"--name={name}"], code=1)

    def test_a_queue_belongs_to_one_namespace(self):
        server = self.bus()
        self.queue(server, "orders")
        self.az(server, ["namespace", "create", "-g", "rg", "-n", "other"])
        self.az(server, ["queue", "create", "-g", "rg", "--namespace-name", "other", "-n", "orders"], code=1)
        self.assertIn("sbemulatorns", self.stderr)
        self.az(server, ["queue", "show", "-g", "rg", "--namespace-name", "other", "-n", "orders"], code=3)
        self.az(server, ["queue", "create", "-g", "rg", "--namespace-name", "missing", "-n", "x"], code=3)


class Limits(BrokerTest):
    def doctor(self, server):
        checks = json.loads(self.run_jobmill("doctor", "-o", "json", server=server).stdout)
        return next(check["detail"] for check in checks if check["check"] == "cloud limits")

    def test_the_doctor_tells_what_the_cloud_would_refuse_and_the_setting_refuses_it(self):
        server = self.bus()
        self.queue(server, "orders")
        self.assertEqual("servicebus.limits is open; nothing here is beyond them", self.doctor(server))
        self.queue(server, "wide", "--max-size", "10240")
        self.assertEqual("servicebus.limits is open; beyond them: queue wide: MaxSizeInMegabytes must be from 1024 to 5120",
                         self.doctor(server))
        server.close()
        server = self.bus("--config", self.file("jobmill.yaml", "servicebus: {limits: cloud}\n"))
        self.assertEqual("servicebus.limits is cloud; nothing here is beyond them", self.doctor(server))
        self.az(server, ["queue", "create", "-g", "rg", "-n", "wider", "--max-size", "10240"], code=1)
        self.assertIn("MaxSizeInMegabytes must be from 1024 to 5120", self.stderr)
        shown = self.az(server, ["queue", "show", "-g", "rg", "-n", "wide"])
        self.assertEqual((5120, 256), (shown["maxSizeInMegabytes"], shown["maxMessageSizeInKilobytes"]))


class Rules(BrokerTest):
    def test_keys_and_connection_strings(self):
        server = self.bus()
        port = server.amqp.rsplit(":", 1)[1]
        line = f"Endpoint=sb://localhost:{port}/;SharedAccessKeyName={ROOT_RULE[0]};SharedAccessKey={ROOT_RULE[1]};"
        keys = self.az(server, ["namespace", "authorization-rule", "keys", "list", "-g", "rg", "--namespace-name", "sbemulatorns", "-n",
                                ROOT_RULE[0]])
        self.assertEqual({"keyName", "primaryKey", "secondaryKey", "primaryConnectionString", "secondaryConnectionString"}, set(keys))
        self.assertEqual((ROOT_RULE[1], line + "UseDevelopmentEmulator=true;"), (keys["primaryKey"], keys["primaryConnectionString"]))
        plain = self.run_jobmill("servicebus", "connection-string", server=server)
        self.assertEqual(line + "UseDevelopmentEmulator=true;\n", plain.stdout)
        self.queue(server, "orders")
        self.assertEqual(line + "EntityPath=orders;UseDevelopmentEmulator=true;",
                         self.az(server, ["connection-string", "--entity", "orders", "-o", "json"]))
        self.az(server, ["connection-string", "--tls"], code=3)
        self.az(server, ["connection-string", "--rule", "nobody"], code=3)
        self.az(server, ["connection-string", "--entity", "missing"], code=3)

    def test_the_string_for_tls_names_the_namespace_and_the_port(self):
        server = self.bus("--amqps", "127.0.0.1:0")
        port = server.ready.split("amqps=")[1].split()[0].rsplit(":", 1)[1]
        self.assertEqual(f"Endpoint=sb://sbemulatorns.servicebus.windows.net:{port}/;SharedAccessKeyName={ROOT_RULE[0]};"
                         f"SharedAccessKey={ROOT_RULE[1]};\n", self.az(server, ["connection-string", "--tls"]))

    def test_rules_are_made_and_sign(self):
        server = self.bus()
        self.queue(server, "orders")
        rule = ["-g", "rg", "--namespace-name", "sbemulatorns", "--queue-name", "orders", "-n", "sender"]
        made = self.az(server, ["queue", "authorization-rule", "create", *rule, "--rights", "send"])
        self.assertEqual(("sender", ["Send"]), (made["name"], made["rights"]))
        key = self.az(server, ["queue", "authorization-rule", "keys", "list", *rule])["primaryKey"]
        url = server.admin + "/orders/messages"
        token = lambda: {"Authorization": signature(url, ("sender", key))}
        self.assertEqual(201, http("POST", url, b"x", token()).status)
        self.assertEqual(401, http("DELETE", url + "/head?timeout=0", headers=token()).status)
        self.assertIn(f"SharedAccessKey={key};", self.az(server, ["connection-string", "--rule", "sender", "--entity", "orders"]))
        self.az(server, ["queue", "authorization-rule", "keys", "renew", *rule, "--key", "PrimaryKey"])
        self.assertEqual(401, http("POST", url, b"x", token()).status)
        self.az(server, ["queue", "authorization-rule", "delete", *rule, "--yes"])
        self.az(server, ["queue", "authorization-rule", "show", *rule], code=3)

    def test_the_rule_of_the_server_stays(self):
        server = self.bus()
        rule = ["-g", "rg", "-n", ROOT_RULE[0]]
        self.az(server, ["namespace", "authorization-rule", "delete", *rule, "--yes"], code=1)
        self.az(server, ["namespace", "authorization-rule", "keys", "renew", *rule, "--key", "PrimaryKey"], code=1)
        self.az(server, ["namespace", "authorization-rule", "create", "-g", "rg", "-n", "all", "--rights", "Manage"])
        names = self.az(server, ["namespace", "authorization-rule", "list", "-g", "rg", "--query", "[].name"])
        self.assertEqual([ROOT_RULE[0], "all"], names)


class Queues(BrokerTest):
    def test_create_show_update_list_delete(self):
        server = self.bus()
        made = self.queue(server, "Orders", "--lock-duration", "PT5M", "--max-delivery-count", "1", "--enable-session",
                          "--message-expiration", "true", "--duplicate-detection", "-d", "PT1M", "--status", "active",
                          "--max-size-in-megabytes", "2048", "--default-message-time-to-live", "P1D", "--enable-express", "false")
        for name, value in {"lockDuration": "PT5M", "maxDeliveryCount": 1, "requiresSession": True, "requiresDuplicateDetection": True,
                            "deadLetteringOnMessageExpiration": True, "duplicateDetectionHistoryTimeWindow": "PT1M", "status": "Active",
                            "maxSizeInMegabytes": 2048, "defaultMessageTimeToLive": "PT24H", "autoDeleteOnIdle": NEVER,
                            "resourceGroup": "rg", "name": "Orders", "messageCount": 0}.items():
            self.assertEqual(value, made[name], name)
        self.assertNotIn("properties", made)
        changed = self.az(server, ["queue", "update", "-g", "rg", "-n", "orders", "--max-delivery-count", "7"])
        self.assertEqual((7, "PT5M", True), (changed["maxDeliveryCount"], changed["lockDuration"], changed["requiresSession"]))
        self.queue(server, "another")
        self.assertEqual(["another", "Orders"], self.az(server, ["queue", "list", "-g", "rg", "--query", "[].name"]))
        self.assertEqual(["Orders"], self.az(server, ["queue", "list", "-g", "rg", "--skip", "1", "--top", "5", "--query", "[].name"]))
        self.assertIsNone(self.az(server, ["queue", "delete", "-g", "rg", "-n", "orders", "--yes"]))
        self.az(server, ["queue", "delete", "-g", "rg", "-n", "orders", "--yes"], code=3)

    def test_creating_an_equal_one_changes_nothing_a_different_one_is_an_update(self):
        server = self.bus()
        first = self.queue(server, "orders", "--lock-duration", "PT5M")
        self.assertEqual(first["updatedAt"], self.queue(server, "ORDERS", "--lock-duration", "PT300S")["updatedAt"])
        self.assertEqual("PT1M", self.queue(server, "orders", "--max-delivery-count", "3")["lockDuration"])
        self.az(server, ["queue", "create", "-g", "rg", "-n", "orders", "--enable-session"], code=1)

    def test_errors_and_their_codes(self):
        server = self.bus()
        for code, words in ((1, ["queue", "create", "-n", "q", "--lock-duration", "PT9M"]), (1, ["queue", "create", "-n", "q", "--lock-duration", "5m"]),
                            (1, ["queue", "create", "-n", "q q"]), (3, ["queue", "show", "-n", "q"]), (3, ["queue", "update", "-n", "q"]),
                            (2, ["queue", "show"]), (2, ["queue", "show", "-n", "q", "--bogus"]), (2, ["queue", "create", "-n", "q", "--status", "off"]),
                            (2, ["queue", "create", "-n", "q", "--enable-session", "maybe"]), (2, ["queue", "show", "-n", "q", "-o", "name"]),
                            (2, ["queue", "create", "-n", "q", "--max-delivery-count", "many"]), (2, ["queue", "show", "-n", "q", "--query", "a | b"]),
                            (2, ["namespace", "create", "-n", "n", "--sku", "gold"]), (2, ["queue"]), (2, ["queue", "delete", "-n", "q"])):
            self.az(server, [*words, *(["-g", "rg"] if len(words) > 1 else [])], code=code)
            self.assertTrue(self.stderr.startswith("jobmill: "), self.stderr)
            self.assertEqual(1, self.stderr.count("\n"), self.stderr)
        problem = self.run_jobmill("servicebus", "queue", "show", "-g", "rg", "-n", "q", "-o", "json", server=server)
        self.assertEqual((3, 404), (problem.returncode, json.loads(problem.stderr)["status"]))
        self.assertEqual(69, self.run_jobmill("servicebus", "queue", "list", "-g", "rg", "--server", "http://127.0.0.1:9").returncode)

    def test_the_missing_group_is_said_once_unless_unwanted(self):
        server = self.bus()
        self.az(server, ["queue", "create", "-n", "q"])
        self.assertEqual("WARNING: no --resource-group; 'default' is used\n", self.stderr)
        self.az(server, ["queue", "update", "-n", "q", "--only-show-errors", "--verbose", "--subscription", "s"])
        self.assertEqual("", self.stderr)

    def test_output_formats(self):
        server = self.bus()
        self.queue(server, "orders")
        show = lambda *words: self.run_jobmill("servicebus", "queue", "show", "-g", "rg", "-n", "orders", *words, server=server).stdout
        self.assertEqual("orders\n", show("--query", "name", "-o", "tsv"))
        self.assertEqual("orders\tPT1M\n", show("--query", "[name, lockDuration]", "-o", "tsv").replace("\n", "\t", 1))
        self.assertEqual('"orders"\n', show("--query", "name"))
        self.assertEqual("", show("--query", "missing"))
        self.assertEqual("", show("-o", "none"))
        self.assertIn("lockDuration: PT1M\n", show("-o", "yaml"))
        self.assertEqual("Q       Lock\n------  ----\norders  PT1M\n",
                         show("--query", "{q: name, lock: lockDuration}", "-o", "table"))
        self.assertEqual(json.loads(show()), json.loads(show("-o", "jsonc")))

    def test_who_may_not_exits_77(self):
        config = self.file("jobmill.yaml", "users:\n- {name: eve, password: x, role: viewer}\n- {name: ann, password: y, role: admin}\n")
        server = self.bus("--config", config)
        eve, ann = ({"JOBMILL_USER": name, "JOBMILL_PASSWORD": word} for name, word in (("eve", "x"), ("ann", "y")))
        run = lambda env, *words: self.run_jobmill("servicebus", *words, server=server, env=env).returncode
        self.assertEqual(77, run({}, "queue", "list", "-g", "rg"))
        self.assertEqual(0, run(ann, "queue", "create", "-g", "rg", "-n", "q"))
        self.assertEqual(0, run(eve, "queue", "list", "-g", "rg"))
        self.assertEqual(77, run(eve, "queue", "create", "-g", "rg", "-n", "other"))
        self.assertEqual(77, run(eve, "message", "send", "-n", "q", "--body", "x"))
        self.assertEqual(77, run(eve, "connection-string"))


class Messages(BrokerTest):
    def test_sent_peeked_and_received(self):
        server = self.bus()
        self.queue(server, "orders")
        self.assertEqual({"count": 1}, self.az(server, ["message", "send", "-n", "orders", "--body", "grüße", "--content-type", "text/plain",
                                                        "--message-id", "m1", "--subject", "s", "--property", "a=b", "c=d=e"]))
        (seen,) = self.az(server, ["message", "peek", "-n", "orders", "--max", "5"])
        for name, value in {"body": "grüße", "contentType": "text/plain", "messageId": "m1", "subject": "s", "state": "active",
                            "sequenceNumber": 1, "applicationProperties": {"a": "b", "c": "d=e"}}.items():
            self.assertEqual(value, seen[name], name)
        self.assertEqual([seen], self.az(server, ["message", "receive", "--queue-name", "orders", "--max", "5"]))
        self.assertEqual([], self.az(server, ["message", "receive", "-n", "orders"]))

    def test_bodies_from_a_file_and_from_standard_input(self):
        server = self.bus()
        self.queue(server, "orders")
        path = self.folder / "body"
        path.write_bytes(b"\xff\x00")
        self.az(server, ["message", "send", "-n", "orders", "--file", path])
        self.az(server, ["message", "send", "-n", "orders"], stdin="from a pipe")
        seen = self.az(server, ["message", "peek", "-n", "orders", "--max", "2"])
        self.assertEqual(["/wA=", "from a pipe"], [message.get("bodyBase64") or message["body"] for message in seen])
        self.az(server, ["message", "send", "-n", "orders", "--body", "x", "--file", path], code=2)
        self.az(server, ["message", "send", "-n", "orders", "--body", "x", "--property", "novalue"], code=2)
        self.az(server, ["message", "send", "-n", "missing", "--body", "x"], code=3)

    def test_many_at_once(self):
        server = self.bus()
        self.queue(server, "orders")
        self.assertEqual({"count": 2500}, self.az(server, ["message", "send", "-n", "orders", "--body", "x", "--count", "2500"]))
        seen = self.az(server, ["message", "peek", "-n", "orders", "--max", "5000", "--from", "3", "--query", "[].sequenceNumber"])
        self.assertEqual(list(range(3, 2501)), seen)
        got = self.az(server, ["message", "receive", "-n", "orders", "--max", "2400", "--query", "[].sequenceNumber"])
        self.assertEqual(list(range(1, 2401)), got)

    def test_a_receive_waits_for_the_first_one(self):
        server = self.bus()
        self.queue(server, "orders")

        def send_for(body, seconds):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
            self.az(server, ["message", "send", "-n", "orders", "--body", body, "--scheduled-enqueue-time", at])

        send_for("much later", 3600)
        self.assertEqual([], self.az(server, ["message", "receive", "-n", "orders"]))
        self.assertEqual(["scheduled"], self.az(server, ["message", "peek", "-n", "orders", "--query", "[].state"]))
        send_for("later", 4)
        self.assertEqual(["later"], self.az(server, ["message", "receive", "-n", "orders", "--max", "3", "--wait", "50", "--query", "[].body"]))

    def test_sessions(self):
        server = self.bus()
        self.queue(server, "orders", "--enable-session")
        for session in ("a", "b", "a"):
            self.az(server, ["message", "send", "-n", "orders", "--body", session, "--session-id", session])
        self.az(server, ["message", "receive", "-n", "orders"], code=1)
        self.assertEqual(["b"], self.az(server, ["message", "peek", "-n", "orders", "--max", "9", "--session-id", "b", "--query", "[].body"]))
        self.assertEqual(["a", "a"], self.az(server, ["message", "receive", "-n", "orders", "--max", "9", "--session-id", "a", "--query", "[].body"]))

    def test_they_are_there_after_a_restart(self):
        server = self.bus()
        self.queue(server, "orders")
        self.az(server, ["message", "send", "-n", "orders", "--body", "kept"])
        server.kill()
        server.wait()
        again = self.bus()
        self.assertEqual(["kept"], self.az(again, ["message", "receive", "-n", "orders", "--query", "[].body"]))


class DeadLetters(BrokerTest):
    def setUp(self):
        super().setUp()
        self.server = self.bus()
        self.queue(self.server, "orders", "--max-delivery-count", "1")
        self.queue(self.server, "other")

    def run_on(self, *words, code=0):
        return self.az(self.server, ["deadletter", words[0], "-n", "orders", *words[1:]], code=code)

    def test_they_are_listed_by_reason_and_number(self):
        self.dead_letters(self.server, "orders", 3)
        listed = self.run_on("list")
        self.assertEqual({"MaxDeliveryCountExceeded"}, {message["deadLetterReason"] for message in listed})
        self.assertEqual(3, len(listed))
        numbers = [message["sequenceNumber"] for message in listed]
        self.assertEqual(numbers, self.run_on("list", "--reason", "MaxDeliveryCountExceeded", "--query", "[].sequenceNumber"))
        self.assertEqual([], self.run_on("list", "--reason", "Another"))
        self.assertEqual(numbers[:2], self.run_on("list", "--max", "2", "--query", "[].sequenceNumber"))
        self.assertEqual([numbers[0], numbers[2]], self.run_on("list", "--sequence-number", numbers[2], numbers[0], "--query", "[].sequenceNumber"))
        self.assertEqual(1, len(self.az(self.server, ["message", "peek", "-n", "orders", "--dead-letter"])))
        self.assertEqual(1, len(self.az(self.server, ["message", "receive", "-n", "orders", "--dead-letter"])))

    def test_they_are_sent_again(self):
        self.dead_letters(self.server, "orders", 4)
        numbers = self.run_on("list", "--query", "[].sequenceNumber")
        self.run_on("redrive", code=2)
        self.assertEqual({"count": 0}, self.run_on("redrive", "--reason", "Another", "--yes"))
        self.assertEqual({"count": 1}, self.run_on("redrive", "--to", "other", "--sequence-number", numbers[1], "--yes"))
        self.assertEqual({"count": 1}, self.run_on("redrive", "--to", "other", "--max", "1", "--yes"))
        begin = time.monotonic()
        self.assertEqual({"count": 2}, self.run_on("redrive", "--to", "other", "--rate", "1", "-y"))
        self.assertGreaterEqual(time.monotonic() - begin, 1)
        self.assertEqual(4, len(self.az(self.server, ["message", "peek", "-n", "other", "--max", "9"])))
        self.run_on("redrive", "--to", "missing", "--yes", code=3)

    def test_they_are_deleted(self):
        self.dead_letters(self.server, "orders", 4)
        numbers = self.run_on("list", "--query", "[].sequenceNumber")
        self.run_on("purge", code=2)
        self.assertEqual({"count": 1}, self.run_on("purge", "--sequence-number", numbers[3], 999, "--yes"))
        self.assertEqual({"count": 1}, self.run_on("purge", "--max", "1", "--yes"))
        self.assertEqual({"count": 0}, self.run_on("purge", "--reason", "Another", "--yes"))
        self.assertEqual({"count": 2}, self.run_on("purge", "--reason", "MaxDeliveryCountExceeded", "--yes"))
        self.assertEqual([], self.run_on("list"))


class Rest(BrokerTest):
    def setUp(self):
        super().setUp()
        self.server = self.bus()
        self.queue(self.server, "orders")

    def call(self, method, path, body=None, headers=None, rule=ROOT_RULE):
        url = path if path.startswith("http") else self.server.admin + path
        return http(method, url, body, {"Authorization": signature(url, rule), **(headers or {})})

    def test_send_lock_renew_unlock_complete(self):
        sent = self.call("POST", "/orders/messages", b"hello", {"BrokerProperties": json.dumps({"MessageId": "m", "Label": "l"}),
                                                               "Content-Type": "text/plain", "Priority": '"High"'})
        self.assertEqual(201, sent.status, sent.body)
        locked = self.call("POST", "/orders/messages/head?timeout=5")
        self.assertEqual((201, b"hello", '"High"'), (locked.status, locked.body, locked.headers["Priority"]))
        properties = json.loads(locked.headers["BrokerProperties"])
        self.assertEqual(("m", "l", 1), (properties["MessageId"], properties["Label"], properties["DeliveryCount"]))
        place = locked.headers["Location"]
        self.assertTrue(place.endswith(f"/orders/messages/{properties['SequenceNumber']}/{properties['LockToken']}"), place)
        self.assertEqual(200, self.call("POST", place).status)
        self.assertEqual(200, self.call("PUT", place).status)
        self.assertEqual(410, self.call("DELETE", place).status)
        again = self.call("POST", "/orders/messages/head?timeout=5")
        self.assertEqual(2, json.loads(again.headers["BrokerProperties"])["DeliveryCount"])
        self.assertEqual(200, self.call("DELETE", again.headers["Location"]).status)
        self.assertEqual(204, self.call("DELETE", "/orders/messages/head?timeout=0").status)

    def test_a_batch_and_receive_and_delete(self):
        batch = json.dumps([{"Body": "one"}, {"Body": "two", "UserProperties": {"n": 2}}]).encode()
        self.assertEqual(201, self.call("POST", "/orders/messages", batch, {"Content-Type": "application/vnd.microsoft.servicebus.json"}).status)
        one, two = (self.call("DELETE", "/orders/messages/head?timeout=5") for _ in range(2))
        self.assertEqual((200, b"one", b"two", "2"), (one.status, one.body, two.body, two.headers["n"]))

    def test_refusals(self):
        self.assertEqual(404, self.call("POST", "/missing/messages", b"x").status)
        self.assertEqual(401, http("POST", self.server.admin + "/orders/messages", b"x").status)
        self.assertEqual(401, self.call("POST", "/orders/messages", b"x", rule=(ROOT_RULE[0], "wrong")).status)

    def test_health(self):
        answer = http("GET", self.server.admin + "/health")
        self.assertEqual((200, {"status": "healthy", "message": "Service is healthy."}), (answer.status, answer.json))


ENTRY = ('<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml"><QueueDescription '
         'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">%s</QueueDescription></content></entry>')


class Atom(BrokerTest):
    def call(self, method, path, elements=None, **headers):
        url = self.server.admin + path
        body = None if elements is None else (ENTRY % elements).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return http(method, url, body, {"Authorization": signature(url), "Content-Type": "application/atom+xml;type=entry;charset=utf-8", **headers})

    def test_the_life_of_a_queue(self):
        self.server = self.bus()
        made = self.call("PUT", "/orders?api-version=2021-05", "<MaxDeliveryCount>3</MaxDeliveryCount>")
        self.assertEqual(201, made.status, made.body)
        again = self.call("PUT", "/orders?api-version=2021-05", "")
        self.assertEqual(409, again.status)
        self.assertIn(b"SubCode=40900. ", again.body)
        changed = self.call("PUT", "/orders?api-version=2021-05", "<LockDuration>PT30S</LockDuration>", If_Match="*")
        self.assertIn(b"<LockDuration>PT30S<", changed.body)
        self.assertIn(b"<MaxDeliveryCount>3<", changed.body)
        self.az(self.server, ["message", "send", "-n", "orders", "--body", "x", "--count", "3"])
        self.assertIn(b"ActiveMessageCount>3<", self.call("GET", "/orders?api-version=2021-05").body)
        self.assertEqual(200, self.call("DELETE", "/orders").status)
        self.assertIn(b"Publicly Listed Services", self.call("GET", "/orders").body)

    def test_paging(self):
        self.server = self.bus()
        for number in range(5):
            self.call("PUT", f"/q{number}", "")
        names, skip = [], 0
        while True:
            page = re.findall(rb'<title type="text">(q\d)<', self.call("GET", f"/$Resources/Queues?$skip={skip}&$top=2").body)
            if not page:
                break
            names += page
            skip += len(page)
        self.assertEqual([b"q0", b"q1", b"q2", b"q3", b"q4"], names)

    def test_who_may_not(self):
        self.server = self.bus()
        url = self.server.admin + "/$Resources/queues"
        for token in (None, "", signature(url, lives=-5), signature(url, (ROOT_RULE[0], "wrong")), "Bearer a.b.c", "a.b.c"):
            self.assertEqual(401, http("GET", url, headers={} if token is None else {"Authorization": token}).status, token)


def config(queues, **more):
    return json.dumps({"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": queues, "Topics": []}], "Logging": {"Type": "File"}, **more}},
                      indent=1)


class EmulatorConfig(BrokerTest):
    def test_queues_are_made_with_the_emulators_defaults(self):
        path = self.file("Config.json", "\ufeff// as mounted\n" + config([{"Name": "plain"}, {"Name": "orders", "Properties": {"RequiresSession": True}}]))
        server = self.bus("--servicebus-config", path)
        until(lambda: http("GET", server.admin + "/health").status == 200)
        plain = self.az(server, ["queue", "show", "-g", "rg", "-n", "plain"])
        self.assertEqual(("PT1H", 3, "PT20S"), (plain["defaultMessageTimeToLive"], plain["maxDeliveryCount"], plain["duplicateDetectionHistoryTimeWindow"]))
        self.assertTrue(self.az(server, ["queue", "show", "-g", "rg", "-n", "orders"])["requiresSession"])

    def test_it_is_read_at_every_start(self):
        path = self.file("Config.json", config([{"Name": "a"}, {"Name": "b"}]))
        server = self.bus("--servicebus-config", path)
        until(lambda: http("GET", server.admin + "/health").status == 200)
        self.az(server, ["message", "send", "-n", "a", "--body", "kept"])
        server.close()
        path.write_text(config([{"Name": "b", "Properties": {"MaxDeliveryCount": 9}}, {"Name": "c"}]))
        server = self.bus("--servicebus-config", path)
        until(lambda: http("GET", server.admin + "/health").status == 200)
        counts = {queue["name"]: queue["maxDeliveryCount"] for queue in self.az(server, ["queue", "list", "-g", "rg"])}
        self.assertEqual({"a": 3, "b": 9, "c": 3}, counts)
        self.assertEqual(["kept"], self.az(server, ["message", "receive", "-n", "a", "--query", "[].body"]))
        server.close()
        path.write_text(config([{"Name": "b", "Properties": {"RequiresSession": True}}]))
        refused = self.refused(path)
        self.assertIn("RequiresSession cannot change", refused)

    def refused(self, path):
        done = self.run_jobmill("serve", "--data", self.folder / "data", "--http", "127.0.0.1:0", *LISTENERS, "--servicebus-config", path)
        self.assertNotEqual(0, done.returncode)
        self.assertEqual("", done.stdout)
        return done.stderr

    def test_errors_name_file_line_path_and_what_was_meant(self):
        path = self.file("Config.json", config([{"Name": "q", "Properties": {"LockDurration": "PT5S"}}]))
        line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "LockDurration" in text)
        refused = self.refused(path)
        self.assertIn(f"Config.json:{line}: UserConfig.Namespaces[0].Queues[0].Properties.LockDurration", refused)
        self.assertIn("did you mean LockDuration?", refused)
        path.write_text(config([{"Name": "q", "Properties": {"LockDuration": "5 s", "MaxDeliveryCount": 0}}]))
        refused = self.refused(path)
        self.assertIn("Properties.LockDuration: '5 s' is no duration", refused)
        self.assertIn("Properties.MaxDeliveryCount", refused)
        path.write_text("{")
        self.assertIn("Config.json", self.refused(path))
        self.assertIn("missing.json", self.refused(self.folder / "missing.json"))
