"""Who may come in, what a browser has to show for a change, and what is written down of it."""
import http.client
import json
import re
import sys
import unittest

from harness import SystemTest
from login_server import LoginServer

HASH = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"  # of U*U
ANN, VIC, OPAL = ("ann", "U*U"), ("vic", "v"), ("opal", "o")
USERS = f"""users:
- {{name: ann, password_hash: "{HASH}", role: admin}}
- {{name: vic, password: v, role: viewer}}
- {{name: opal, password: o, role: operator}}
"""


class Browser:
    """Keeps cookies and says where its requests come from; follows no redirects."""

    def __init__(self, server):
        self.server, self.cookies, self.csrf = server, {}, None

    def request(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.server.address, timeout=30)
        fields = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
        if method != "GET":
            fields["Origin"] = self.server.url
            fields["Content-Type"] = "application/json"
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if self.csrf and method != "GET":
            fields["X-Jobmill-CSRF"] = self.csrf
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        fields = {name: value for name, value in fields.items() if value is not None}
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        answer = connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        connection.close()
        return answer, text

    def open(self, path, **headers):
        return self.request("GET", path, **{"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document",
                                            "Sec_Fetch_Site": "none", **headers})

    def login(self, user, password):
        answer, text = self.request("POST", "/api/login", {"user": user, "password": password})
        if answer.status == 200:
            self.csrf = json.loads(text)["csrf"]
        return answer.status


class AccessTest(SystemTest):
    def serve_users(self, more="", **options):
        return self.serve("--config", self.file("config.yaml", USERS + more), **options)

    def audit(self, server, **query):
        words = "&".join(f"{name}={value}" for name, value in query.items())
        return server.get("/api/audit?" + words, user=ANN).json["items"]


class Sessions(AccessTest):
    def test_a_change_with_a_cookie_needs_the_token_and_a_page_of_ours(self):
        server = self.serve_users()
        browser = Browser(server)
        self.assertEqual(200, browser.login(*ANN))
        change = ("POST", "/api/queues/mail/pause")
        csrf, browser.csrf = browser.csrf, None
        self.assertEqual(403, browser.request(*change)[0].status, "no token")
        self.assertEqual(403, browser.request(*change, X_Jobmill_CSRF="x" * 43)[0].status, "another one")
        browser.csrf = csrf
        self.assertEqual(403, browser.request(*change, Origin="https://evil.example")[0].status)
        self.assertEqual(403, browser.request(*change, Origin=None, Sec_Fetch_Site=None)[0].status, "from nowhere")
        self.assertEqual(204, browser.request(*change)[0].status)
        # Without a cookie there is nothing to forge: programs need no token.
        self.assertEqual(204, server.call("POST", "/api/queues/mail/resume", user=ANN).status)

    def test_the_page_asks_for_a_password_and_brings_a_session(self):
        server = self.serve_users()
        browser = Browser(server)
        self.assertEqual("/dashboard", browser.open("/")[0].headers["Location"])
        refused, _ = browser.open("/dashboard")
        self.assertEqual(401, refused.status)
        self.assertTrue(refused.headers["WWW-Authenticate"].startswith('Basic realm="jobmill"'))
        basic = "Basic YW5uOlUqVQ=="
        page, _ = browser.open("/dashboard/jobs/1", Authorization=basic)
        self.assertEqual(200, page.status)
        self.assertRegex(page.headers["Set-Cookie"], r"HttpOnly; SameSite=Strict$")
        self.assertIn("frame-ancestors 'none'", page.headers["Content-Security-Policy"])
        session = json.loads(browser.request("GET", "/api/session")[1])
        self.assertEqual(("ann", "admin"), (session["user"], session["role"]))
        # A browser sends the password by itself, so it does not replace the token.
        self.assertEqual(403, browser.request("POST", "/api/queues/q/pause", Authorization=basic)[0].status)
        browser.csrf = session["csrf"]
        self.assertEqual(204, browser.request("POST", "/api/queues/q/pause", Authorization=basic)[0].status)
        script, _ = Browser(server).request("GET", "/api/jobs")
        self.assertEqual(401, script.status)
        self.assertFalse(script.headers["WWW-Authenticate"].startswith("Basic"), "no window pops up over the page")

    def test_sessions_are_listed_revoked_and_outlive_a_restart(self):
        server = self.serve_users()
        ann, vic = Browser(server), Browser(server)
        ann.login(*ANN)
        first = dict(vic.cookies)
        vic.login(*VIC)
        self.assertNotEqual(first, vic.cookies)
        old = dict(vic.cookies)
        vic.login(*VIC)
        self.assertNotEqual(old, vic.cookies, "each login has a new cookie")
        stale = Browser(server)
        stale.cookies = old
        self.assertEqual(401, stale.request("GET", "/api/jobs")[0].status)
        sessions = json.loads(ann.request("GET", "/api/sessions")[1])
        self.assertEqual(["vic", "ann"], [session["user"] for session in sessions])
        self.assertEqual([False, True], [session["current"] for session in sessions])
        self.assertEqual(1, len(json.loads(vic.request("GET", "/api/sessions")[1])), "a viewer sees his own")

        server.close()
        server = self.serve_users(http_address=server.address)
        ann.server = vic.server = server
        self.assertEqual(200, vic.request("GET", "/api/sessions")[0].status)
        self.assertEqual(403, vic.request("DELETE", "/api/sessions/" + sessions[1]["id"])[0].status)
        self.assertEqual(204, ann.request("DELETE", "/api/sessions/" + sessions[0]["id"])[0].status)
        self.assertEqual(401, vic.request("GET", "/api/sessions")[0].status)
        self.assertEqual(204, ann.request("POST", "/api/logout")[0].status)
        self.assertEqual(401, ann.request("GET", "/api/sessions")[0].status)

    def test_five_wrong_passwords_are_enough_for_a_minute(self):
        server = self.serve_users()
        wrong = [server.get("/api/users", user=("ann", "guess")).status for _ in range(5)]
        self.assertEqual([401] * 5, wrong)
        blocked = server.get("/api/users", user=ANN)
        self.assertEqual(429, blocked.status)
        self.assertLessEqual(int(blocked.headers["Retry-After"]), 60)
        self.assertEqual(429, Browser(server).login(*ANN))

    def test_who_shows_nothing_may_read_where_the_configuration_says_so(self):
        server = self.serve_users("anonymous: viewer\n")
        self.assertEqual(200, server.get("/api/jobs/counts").status)
        self.assertEqual(403, server.call("POST", "/api/queues/mail/pause").status)
        self.assertTrue(server.get("/api/session").json["anonymous"])

    def test_all_paths_may_begin_with_a_context_path(self):
        server = self.serve_users("dashboard: {context_path: /mill}\n")
        self.assertEqual("/mill/dashboard", Browser(server).open("/mill/")[0].headers["Location"])
        self.assertEqual("/mill", server.get("/mill/api/session").json["contextPath"])
        self.assertEqual(404, server.get("/millions/api/session", user=ANN).status)


class Roles(AccessTest):
    def test_a_viewer_is_refused_every_change_that_the_document_knows(self):
        server = self.serve_users()
        document = server.get("/v1/openapi.json", user=VIC).json
        questions = {"/api/jobs/search", "/v1/schedules/preview", "/api/messages/{ns}/{entity}/deadletter/preview",
                     "/api/login", "/api/logout"}
        tried = 0
        for pattern, methods in document["paths"].items():
            path = re.sub(r"\{[^}]+\}", "x", pattern)
            for method in methods.keys() & {"post", "put", "patch", "delete"}:
                if pattern not in questions:
                    with self.subTest(method=method, path=pattern):
                        self.assertEqual(403, server.call(method.upper(), path, {}, user=VIC).status)
                        tried += 1
        self.assertGreater(tried, 40)

    def test_an_operator_works_with_jobs_and_an_admin_decides_who_comes_in(self):
        server = self.serve_users()
        self.assertEqual(204, server.call("POST", "/api/queues/mail/pause", user=OPAL).status)
        self.assertEqual(403, server.call("POST", "/api/queues/mail/purge", {}, user=OPAL).status)
        self.assertEqual(403, server.call("POST", "/api/tokens", {"name": "t", "scopes": ["read"]}, user=OPAL).status)


class Tokens(AccessTest):
    def token(self, server, **wanted):
        answer = server.call("POST", "/api/tokens", wanted, user=ANN)
        self.assertEqual(201, answer.status, answer.body)
        return answer.json["id"], {"Authorization": "Bearer " + answer.json["token"]}

    def test_a_token_has_its_scopes_until_it_is_revoked(self):
        server = self.serve_users()
        number, header = self.token(server, name="ci", scopes=["read"], expiresIn="P30D")
        self.assertEqual(200, server.get("/v1/jobs", headers=header).status)
        self.assertEqual(200, server.get("/api/jobs/counts", headers=header).status)
        self.assertEqual(403, server.call("POST", "/v1/jobs", {"kind": "a"}, headers=header).status)
        listed = server.get("/api/tokens", user=VIC).json
        self.assertNotIn("token", listed[0])
        self.assertIn("lastUsedAt", listed[0])
        self.assertEqual(204, server.call("DELETE", "/api/tokens/" + number, user=ANN).status)
        self.assertEqual(401, server.get("/v1/jobs", headers=header).status)
        for wrong in ({"name": "", "scopes": ["read"]}, {"name": "a", "scopes": ["everything"]},
                      {"name": "a", "scopes": []}, {"name": "a", "scopes": ["read"], "expiresIn": "soon"},
                      {"name": "a", "scopes": ["admin"], "queues": ["mail"]}):
            self.assertEqual(400, server.call("POST", "/api/tokens", wrong, user=ANN).status, wrong)

    def test_a_token_for_some_queues_sends_and_runs_no_other_jobs(self):
        server = self.serve_users()
        _, header = self.token(server, name="mail", scopes=["produce", "work"], queues=["mail"])

        def status(path, body):
            return server.call("POST", path, body, headers=header).status

        self.assertEqual(201, status("/v1/jobs", {"kind": "a", "queue": "mail"}))
        self.assertEqual(403, status("/v1/jobs", {"kind": "a"}))
        self.assertEqual(403, status("/v1/jobs", {"jobs": [{"kind": "a", "queue": "mail"}, {"kind": "a", "queue": "x"}]}))
        self.assertEqual(403, server.call("PUT", "/v1/recurring/r", {}, headers=header).status)
        worker = {"name": "w", "protocol": 1, "concurrency": 1}
        self.assertEqual(403, status("/v1/workers", {**worker, "queues": ["mail", "x"]}))
        registered = server.call("POST", "/v1/workers", worker, headers=header).json
        claims = {"Authorization": "Bearer " + registered["token"]}
        claim = f"/v1/workers/{registered['worker_id']}/claim"
        self.assertEqual(403, server.call("POST", claim, {"max": 1, "queues": ["x"]}, headers=claims).status)
        server.call("POST", "/v1/jobs", {"kind": "other"}, user=ANN)
        jobs = server.call("POST", claim, {"max": 5}, headers=claims).json["jobs"]
        self.assertEqual(["a"], [job["kind"] for job in jobs])


class Audit(AccessTest):
    def test_what_was_changed_or_refused_is_written_down(self):
        server = self.serve_users()
        server.call("POST", "/api/queues/mail/pause", user=OPAL)
        server.call("POST", "/api/queues/mail/pause", user=VIC)
        server.get("/api/jobs/counts", user=VIC)
        browser = Browser(server)
        browser.login("vic", "wrong")
        entries = self.audit(server)
        self.assertEqual([("vic", 401), ("vic", 403), ("opal", 204)], [(e["user"], e["status"]) for e in entries])
        self.assertEqual({"127.0.0.1"}, {e["address"] for e in entries})
        self.assertNotIn("wrong", json.dumps(entries))

        made = server.call("POST", "/api/tokens", {"name": "t", "scopes": ["read"]}, user=ANN).json
        entry = self.audit(server, action="token.*")[0]
        self.assertEqual("t", entry["after"]["name"])
        self.assertNotIn(made["token"], json.dumps(entry), "a secret is never written down")

        page = server.get("/api/audit?limit=2", user=VIC).json
        rest = server.get("/api/audit?limit=2&after=" + page["next"], user=VIC).json
        self.assertEqual(4, len({e["id"] for e in page["items"] + rest["items"]}))
        file = server.get("/api/audit?format=csv", user=ANN)
        self.assertIn("attachment", file.headers["Content-Disposition"])
        self.assertEqual(5, len(file.body.decode().splitlines()))
        self.assertEqual(405, server.call("DELETE", "/api/audit", user=ANN).status, "nobody takes it back")

    def test_workers_and_producers_do_not_fill_it(self):
        server = self.serve_users()
        server.call("POST", "/v1/jobs", {"kind": "a"}, user=ANN)
        server.call("POST", "/v1/workers", {"name": "w", "protocol": 1, "concurrency": 1}, user=ANN)
        self.assertEqual([], self.audit(server))

    def test_it_is_there_after_a_crash(self):
        server = self.serve_users()
        for name in "abc":
            self.assertEqual(204, server.call("POST", f"/api/queues/{name}/pause", user=ANN).status)
        server.kill()
        server.wait()
        server = self.serve_users()
        self.assertEqual(3, len(self.audit(server)))


class Settings(AccessTest):
    def test_they_say_where_each_value_comes_from_and_tell_no_secret(self):
        server = self.serve_users("jobs: {retries: 3}\n")
        answer = server.get("/api/settings", user=VIC)
        sources = {setting["name"]: (setting["value"], setting["source"]) for setting in answer.json["settings"]}
        self.assertEqual("--http", sources["http"][1])
        self.assertEqual("3", sources["jobs.retries"][0])
        self.assertRegex(sources["jobs.retries"][1], r"config\.yaml:\d+$")
        self.assertEqual("default", sources["grace"][1])
        self.assertNotIn(HASH, answer.body.decode())
        users = {user["name"]: user["role"] for user in server.get("/api/users", user=VIC).json}
        self.assertEqual({"ann": "admin", "vic": "viewer", "opal": "operator"}, users)


class OpenIdConnect(AccessTest):
    def setUp(self):
        super().setUp()
        self.there = LoginServer(self.folder)
        self.addCleanup(self.there.close)
        secret = self.file("secret", "top secret\n")
        self.server = self.serve_users(f"""oidc:
  issuer: {self.there.url}
  client_id: jobmill
  client_secret_file: {secret}
  role_claim: groups
  roles: {{staff: operator, bosses: admin}}
""")

    def go(self, browser, path="/oidc/login"):
        """The way there; the address to come back to."""
        away, _ = browser.open(path)
        self.assertEqual(302, away.status)
        self.assertTrue(away.headers["Location"].startswith(self.there.url + "/authorize?"))
        return self.there.authorize(away.headers["Location"])[len(self.server.url):]

    def come_back(self, browser, path):
        return browser.open(path, Sec_Fetch_Site="cross-site")

    def login(self, browser):
        answer, text = self.come_back(browser, self.go(browser))
        return answer.status, text

    def test_who_comes_back_is_logged_in_with_the_role_of_his_claims(self):
        browser = Browser(self.server)
        self.assertEqual(200, browser.open("/dashboard/overview")[0].status, "the page itself asks")
        back = self.go(browser, "/oidc/login?return=/dashboard/queues/mail")
        page, text = self.come_back(browser, back)
        self.assertEqual(200, page.status, text)
        self.assertIn("url=/dashboard/queues/mail", text)
        session = json.loads(browser.request("GET", "/api/session")[1])
        self.assertEqual(("olga", "operator"), (session["user"], session["role"]))
        self.assertIn("oidc", session["loginMethods"])
        browser.csrf = session["csrf"]
        self.assertEqual(204, browser.request("POST", "/api/queues/mail/pause")[0].status)
        self.assertEqual(403, browser.request("POST", "/api/queues/mail/purge", {})[0].status)
        self.assertIn({"name": "olga", "role": "operator", "source": "oidc"}, self.server.get("/api/users", user=ANN).json)
        self.assertEqual(403, self.come_back(browser, back)[0].status, "a state is good once")
        away, _ = browser.open("/oidc/logout", Sec_Fetch_Site="same-origin")
        self.assertTrue(away.headers["Location"].startswith(self.there.url + "/end?"))
        self.assertEqual(401, browser.request("GET", "/api/sessions")[0].status)

    def test_a_way_back_is_for_the_browser_that_went(self):
        browser, victim = Browser(self.server), Browser(self.server)
        self.assertEqual(403, self.come_back(victim, self.go(browser))[0].status)
        self.assertEqual({}, victim.cookies)
        self.assertEqual(403, self.come_back(browser, "/oidc/auth_callback?code=x&state=y")[0].status)
        for wish in ("//evil.example/", "https://evil.example/", "/dashboard/%5Cevil", "/api/logout"):
            _, page = self.come_back(browser, self.go(browser, "/oidc/login?return=" + wish))
            self.assertIn("url=/dashboard/overview", page, "only pages of ours are led on to")

    def test_a_token_that_is_not_what_it_should_be_lets_nobody_in(self):
        cases = [("nonce", {"nonce": "of another login"}), ("expired", {"exp": 1}), ("issuer", {"iss": "https://evil.example"}),
                 ("audience", {"aud": "somebody"}), ("party", {"azp": "somebody"}), ("future", {"iat": 4_000_000_000}),
                 ("no role", {"groups": ["guests"]})]
        for name, claims in cases:
            with self.subTest(name):
                self.there.claims = claims
                self.assertEqual(403, self.login(Browser(self.server))[0])
        self.there.claims = {}
        self.there.algorithm = "none"
        self.assertEqual(403, self.login(Browser(self.server))[0])
        self.there.algorithm = "RS256"
        self.there.key = self.there.other_key
        self.assertEqual(403, self.login(Browser(self.server))[0], "signed by a key that is not published")
        self.there.published = self.there.other_key
        self.assertEqual(200, self.login(Browser(self.server))[0], "new keys are fetched")
        entries = self.audit(self.server, action="login.oidc")
        self.assertEqual([200] + [403] * 9, [entry["status"] for entry in entries])
        self.assertEqual([], self.there.refusals)


if __name__ == "__main__":
    sys.exit(unittest.main())
