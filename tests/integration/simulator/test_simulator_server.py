"""The simulator over HTTP: keys, paths, faults, webhooks, the control API."""

import json
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from simulator.server import SimulatorServer

ROOT = Path(__file__).parents[3]


class Receiver:
    """A webhook endpoint that keeps what it is sent and answers `status`."""

    def __init__(self):
        self.status, self.bodies = 200, []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def events(self):
        return [event for body in self.bodies for event in body["Events"]]

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture
def server():
    with SimulatorServer(people=40, activity_rows=400, campaigns=2) as running:
        running.account.switches.change({"webhook_flush_seconds": 0.02, "webhook_retry_seconds": 0.02})
        yield running


@pytest.fixture
def session(server):
    with requests.Session() as opened:
        opened.auth = (server.api_key, "")
        yield opened


@pytest.fixture
def target(server):
    client = next(iter(server.account.clients.values()))
    return server.account.add_list(client, "Fresh")


@pytest.fixture
def hook(server, session, target, receiver):
    sent = {"Events": ["Subscribe", "Update", "Deactivate"], "Url": receiver.url, "PayloadFormat": "json"}
    return session.post(f"{server.api_url}/lists/{target.list_id}/webhooks.json", json=sent).json()


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def rows(*emails, **more):
    return [{"EmailAddress": email, "Name": "N", "ConsentToTrack": "Yes", **more} for email in emails]


def import_rows(server, session, target, *emails, resubscribe=False):
    url = f"{server.api_url}/subscribers/{target.list_id}/import.json"
    return session.post(url, json={"Subscribers": rows(*emails), "Resubscribe": resubscribe}, timeout=5)


def control(server, path, body, method="POST"):
    answer = requests.request(method, f"{server.url}/simulator/{path}", json=body, timeout=5)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("path", "key", "status", "code"),
    [
        ("/api/v3.3/clients.json", "wrong", 401, 100),
        ("/api/v3.3/nonsense.json", "wrong", 401, 100),
        ("/api/v3.3/nonsense.json", None, 404, 404),
        ("/api/v3.3/clients", None, 404, 404),
        ("/api/v9.9/clients.json", "wrong", 404, 404),
        ("/api/v3.3/clients/0123.json", None, 401, 102),
        ("/api/v3.3/lists/0123/active.json", None, 401, 102),
        ("/api/v3.3/campaigns/0123/opens.json", None, 401, 102),
        ("/api/v3.3/segments/0123.json", None, 400, 271),
    ],
)
def test_keys_come_before_paths_and_foreign_ids_are_401(server, path, key, status, code):
    answer = requests.get(server.url + path, auth=(key or server.api_key, "x"), timeout=5)
    assert (answer.status_code, answer.json()["Code"]) == (status, code)


def test_a_client_key_sees_its_client_only(server):
    client = next(iter(server.account.clients.values()))
    other = server.account.add_client("Other")
    auth = (client.api_key, "x")
    seen = requests.get(f"{server.api_url}/clients.json", auth=auth, timeout=5).json()
    assert [one["ClientID"] for one in seen] == [client.client_id]
    answer = requests.get(f"{server.api_url}/clients/{other.client_id}.json", auth=auth, timeout=5)
    assert answer.json()["Code"] == 102


def test_query_names_have_no_case_and_empty_means_absent(server, session):
    client = next(iter(server.account.clients.values()))
    url = f"{server.api_url}/clients/{client.client_id}/campaigns.json"
    page = session.get(f"{url}?PageSize=1&sentFromDate=&tags=&ORDERDIRECTION=ASC").json()
    assert (page["PageSize"], page["OrderDirection"], page["NumberOfPages"]) == (1, "asc", 2)
    old = session.get(url.replace("v3.3", "v3.2")).json()
    assert isinstance(old, list)
    swapped = session.get(f"{url}?sentfromdate=2026-01-02&senttodate=2026-01-01")
    assert swapped.json()["Code"] == 927


def test_one_connection_serves_many_calls_by_the_simulated_clock(server, session):
    control(server, "clock", {"set": "2031-02-03T04:05:00Z"})
    for _ in range(20):
        answer = session.get(f"{server.api_url}/clients.json")
    assert answer.headers["Date"].startswith("Mon, 03 Feb 2031 04:05")
    assert session.get(f"{server.api_url}/systemdate.json").json()["SystemDate"][:16] == "2031-02-03 15:05"


def test_a_limit_of_calls_refuses_what_is_beyond_it_in_a_window(server, session):
    control(server, "settings", {"rate_limit": 3, "rate_window_seconds": 1e9, "rate_headers": True})
    answers = [session.get(f"{server.api_url}/clients.json") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"3"}
    assert all(0 < float(answer.headers["X-RateLimit-Reset"]) <= 1e9 for answer in answers)
    control(server, "settings", {"rate_limit": 0})
    free = session.get(f"{server.api_url}/clients.json")
    assert (free.status_code, free.headers.get("X-RateLimit-Limit")) == (200, None)


def test_an_address_that_is_written_too_often_is_refused_alone(server, session, target):
    control(server, "settings", {"too_fast_seconds": 60})
    url = f"{server.api_url}/subscribers/{target.list_id}"
    assert session.post(f"{url}.json", json=rows("a@example.org")[0]).status_code == 201
    again = session.post(f"{url}.json", json=rows("A@example.org")[0])
    assert (again.status_code, again.json()["Code"]) == (429, 429)
    both = session.post(f"{url}/import.json", json={"Subscribers": rows("a@example.org", "b@example.org")})
    result = both.json()["ResultData"]
    assert [(one["EmailAddress"], one["Code"]) for one in result["FailureDetails"]] == [
        ("a@example.org", 429)
    ]
    assert result["TotalNewSubscribers"] == 1
    control(server, "clock", {"advance_seconds": 61})
    assert session.post(f"{url}.json", json=rows("a@example.org")[0]).status_code == 201


def test_a_delayed_add_shows_when_the_clock_gets_there(server, session, target):
    control(server, "settings", {"add_delay_seconds": 60})
    url = f"{server.api_url}/subscribers/{target.list_id}.json"
    answer = session.post(url, json=rows("a@example.org")[0])
    assert (answer.status_code, answer.json()) == (201, "a@example.org")
    assert session.get(url, params={"email": "a@example.org"}).json()["Code"] == 203
    control(server, "clock", {"advance_seconds": 61})
    assert session.get(url, params={"email": "a@example.org"}).json()["State"] == "Active"


@pytest.mark.parametrize(
    ("kind", "status"), [("429", 429), ("429-headers", 429), ("500", 500), ("504-html", 504)]
)
def test_a_fault_answers_instead_and_stores_nothing(server, session, target, kind, status):
    control(server, "faults", {"match": "import", "kind": kind, "seconds": 7})
    answer = import_rows(server, session, target, "a@example.org")
    assert answer.status_code == status
    assert answer.headers.get("X-RateLimit-Reset") == ("7" if kind == "429-headers" else None)
    assert not target.subscribers
    assert import_rows(server, session, target, "a@example.org").status_code == 201


@pytest.mark.parametrize(("kind", "stored"), [("drop-before", 0), ("drop-after", 1)])
def test_a_cut_connection_hides_whether_it_was_applied(server, session, target, kind, stored):
    control(server, "faults", {"match": "import", "kind": kind})
    with pytest.raises(requests.ConnectionError):
        import_rows(server, session, target, "a@example.org")
    assert len(target.subscribers) == stored
    calls = control(server, "calls", None, "GET")
    assert calls["by_status"] == {"dropped": 1}
    assert calls["by_endpoint"] == {"POST /subscribers/{list}/import": 1}


@pytest.mark.parametrize(("kind", "stored"), [("slow", 0), ("slow-after", 1)])
def test_a_slow_call_outlasts_the_client_and_is_applied(server, session, target, kind, stored):
    control(server, "faults", {"match": "import", "kind": kind, "seconds": 1.2})
    url = f"{server.api_url}/subscribers/{target.list_id}/import.json"
    with pytest.raises(requests.ReadTimeout):
        session.post(url, json={"Subscribers": rows("a@example.org")}, timeout=0.5)
    assert len(target.subscribers) == stored
    wait_for(lambda: len(target.subscribers) == 1)


def test_every_change_is_told_as_it_was_made(server, session, target, hook, receiver):
    import_rows(server, session, target, "a@example.org", "b@example.org")
    import_rows(server, session, target, "a@example.org")
    for act, more in [("change-email", {"new_email": "c@example.org"}), ("unsubscribe", {})]:
        email = "a@example.org" if more else "c@example.org"
        control(server, f"people/{act}", {"list_id": target.list_id, "email": email, **more})
    wait_for(lambda: len(receiver.events) == 5)
    kinds = [(one["Type"], one["EmailAddress"], one.get("State")) for one in receiver.events]
    assert kinds == [
        ("Subscribe", "a@example.org", None),
        ("Subscribe", "b@example.org", None),
        ("Update", "a@example.org", "Active"),
        ("Update", "c@example.org", "Active"),
        ("Deactivate", "c@example.org", "Unsubscribed"),
    ]
    assert receiver.events[3]["OldEmailAddress"] == "a@example.org"
    assert {body["ListID"] for body in receiver.bodies} == {target.list_id}
    kept = control(server, "records", None, "GET")["webhook_events"]
    assert [one["event"] for one in kept] == receiver.events
    assert [one["cause"] for one in kept] == ["api"] * 3 + ["human"] * 2
    wait_for(lambda: server.simulator.sender.pending() == 0)


def test_a_webhook_is_sent_again_until_it_is_taken(server, session, target, hook, receiver):
    receiver.status = 503
    import_rows(server, session, target, "a@example.org")
    wait_for(lambda: len(receiver.bodies) >= 3)
    receiver.status = 200
    wait_for(lambda: server.simulator.sender.pending() == 0)
    assert all(body == receiver.bodies[0] for body in receiver.bodies)


def test_a_webhook_is_switched_off_after_a_week_of_failures(server, session, target, hook, receiver):
    receiver.status = 500
    import_rows(server, session, target, "a@example.org")
    wait_for(lambda: receiver.bodies)
    control(server, "clock", {"advance_seconds": 8 * 86_400})
    wait_for(lambda: target.webhooks[hook].status != "Active")


def test_a_doubled_webhook_is_posted_twice(server, session, target, hook, receiver):
    control(server, "faults", {"match": "hook", "kind": "webhook-double"})
    import_rows(server, session, target, "a@example.org")
    wait_for(lambda: len(receiver.bodies) == 2)
    assert receiver.bodies[0] == receiver.bodies[1]


def test_a_webhook_post_holds_a_thousand_events_at_most(server, session, target, hook, receiver):
    with server.account.lock:
        for start in (0, 600):
            emails = [f"p{number}@example.org" for number in range(start, start + 600)]
            server.simulator.act("subscribe", target.list_id, emails[0])
            for email in emails[1:]:
                server.simulator.act("subscribe", target.list_id, email)
    wait_for(lambda: len(receiver.events) == 1200)
    assert [len(body["Events"]) for body in receiver.bodies] == [1000, 200]


def test_a_webhook_can_be_tested(server, session, target, hook, receiver):
    answer = session.get(f"{server.api_url}/lists/{target.list_id}/webhooks/{hook}/test.json")
    assert (answer.status_code, answer.content) == (200, b"")
    assert [event["Type"] for event in receiver.events] == ["Subscribe", "Deactivate", "Update"]


def test_somebody_opts_out_in_the_middle_of_a_delivery(server, session, target):
    emails = [f"p{number}@example.org" for number in range(20)]
    control(server, "interject", {"match": "import", "after": 1, "people": 3})
    assert import_rows(server, session, target, *emails[:10]).status_code == 201
    answer = import_rows(server, session, target, *emails).json()
    assert [one["Code"] for one in answer["ResultData"]["FailureDetails"]] == [206] * 3
    kept = control(server, "records", None, "GET")
    assert len([log for log in kept["opt_outs"] if log["list_id"] == target.list_id]) == 3
    assert kept["added_after_opt_out"] == []
    import_rows(server, session, target, *emails, resubscribe=True)
    assert len(control(server, "records", None, "GET")["added_after_opt_out"]) == 3


def test_new_activity_shows_in_the_reports(server, session):
    before = server.simulator.records()["reports"]
    added = control(server, "activity", {"rows": 50, "seed": 9})
    after = server.simulator.records()["reports"]
    grown = sum(len(after[one][name]) - len(before[one][name]) for one in after for name in after[one])
    assert grown == sum(added.values()) == 50


def test_the_date_filter_is_a_switch(server, session, target):
    import_rows(server, session, target, "a@example.org")
    date = target.find("a@example.org").date
    url = f"{server.api_url}/lists/{target.list_id}/active.json"
    assert session.get(url, params={"date": date}).json()["TotalNumberOfRecords"] == 1
    control(server, "settings", {"date_filter": "exclusive", "empty_page_count": 0})
    page = session.get(url, params={"date": date}).json()
    assert (page["TotalNumberOfRecords"], page["NumberOfPages"]) == (0, 0)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("settings", {"no_such_setting": 1}),
        ("settings", {"date_filter": "sometimes"}),
        ("faults", {"match": "(", "kind": "500"}),
        ("faults", {"kind": "no such"}),
        ("people/unsubscribe", {"list_id": "0", "email": "a@example.org"}),
        ("activity", {}),
    ],
)
def test_a_wrong_order_is_refused_with_a_reason(server, path, body):
    answer = requests.post(f"{server.url}/simulator/{path}", json=body, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"Subscribers": 1}', '{"Subscribers": [{"CustomFields": [1]}]}']
)
def test_a_body_that_cannot_be_read_is_400(server, session, target, body):
    answer = session.post(f"{server.api_url}/subscribers/{target.list_id}/import.json", data=body)
    assert answer.status_code == 400
    assert answer.json()["Message"].startswith("Failed to deserialize")


def test_a_renamed_field_keeps_its_values_and_rules(server, session, target):
    fields = f"{server.api_url}/lists/{target.list_id}/customfields"
    key = session.post(
        f"{fields}.json", json={"FieldName": "Old name", "DataType": "MultiSelectMany", "Options": ["a", "b"]}
    ).json()
    import_rows(server, session, target, "a@example.org")
    target.find("a@example.org").values[key] = ["a"]
    rules = [{"Rules": [{"RuleType": key, "Clause": "EQUALS a"}]}]
    url = f"{server.api_url}/segments/{target.list_id}.json"
    segment = session.post(url, json={"Title": "S", "RuleGroups": rules}).json()
    assert session.put(f"{fields}/%5BOldname%5D.json", json={"FieldName": "New"}).json() == "[New]"
    details = f"{server.api_url}/segments/{segment}.json"
    assert session.get(details).json()["ActiveSubscribers"] == 1
    options = {"KeepExistingOptions": False, "Options": ["b"]}
    assert session.put(f"{fields}/%5BNew%5D/options.json", json=options).status_code == 200
    assert session.get(details).json()["RuleGroups"] == []
    assert not target.find("a@example.org").values
    assert session.delete(f"{fields}/New.json").json()["Code"] == 253
    assert session.delete(f"{fields}/%5BNew%5D.json").status_code == 200


def test_the_server_starts_again_on_its_port_with_its_state(server, session, target):
    import_rows(server, session, target, "a@example.org")
    url = server.url
    server.stop()
    with pytest.raises(requests.ConnectionError):
        session.get(f"{server.api_url}/clients.json", timeout=1)
    server.start()
    assert server.url == url
    assert session.get(f"{server.api_url}/lists/{target.list_id}/stats.json").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_says_where_it_is_and_stops_cleanly(number):
    command = [
        sys.executable,
        "-m",
        "simulator",
        "--people",
        "20",
        "--activity-rows",
        "100",
        "--api-key",
        "k",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        ready = json.loads(process.stdout.readline())
        assert ready["api_key"] == "k"
        assert requests.get(f"{ready['url']}/simulator/health", timeout=5).json() == {"ok": True}
        process.send_signal(number)
        assert process.wait(10) == 0


def test_tokens_are_exchanged_expire_are_refreshed_and_revoked(server):
    url = f"{server.url}/oauth"
    query = {"type": "web_server", "client_id": "1", "redirect_uri": "https://example.org/back", "state": "s"}
    sent = requests.get(url, params=query, allow_redirects=False, timeout=5).headers["Location"]
    code = sent.removeprefix("https://example.org/back?code=").removesuffix("&state=s")
    form = {"grant_type": "authorization_code", "code": code}
    given = requests.post(f"{url}/token", data=form, timeout=5).json()
    assert list(given) == ["access_token", "expires_in", "refresh_token"]
    again = requests.post(f"{url}/token", data=form, timeout=5)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")

    def code_of(access_token):
        headers = {"Authorization": f"Bearer {access_token}"}
        answer = requests.get(f"{server.api_url}/clients.json", headers=headers, timeout=5)
        return answer.json()["Code"] if answer.status_code == 401 else None

    assert code_of(given["access_token"]) is None
    assert code_of("unknown") == 120
    control(server, "clock", {"advance_seconds": 1_209_601})
    assert code_of(given["access_token"]) == 121
    form = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    fresh = requests.post(f"{url}/token", data=form, timeout=5).json()
    assert fresh["refresh_token"] == given["refresh_token"]
    assert code_of(fresh["access_token"]) is None
    control(server, "credentials", {"revoke_tokens": True})
    assert code_of(fresh["access_token"]) == 122


def test_a_key_that_was_changed_is_no_longer_valid(server, session):
    assert session.get(f"{server.api_url}/clients.json").status_code == 200
    control(server, "credentials", {"api_key": "another"})
    assert session.get(f"{server.api_url}/clients.json").json()["Code"] == 100
    token = control(server, "authorization", {})["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.get(f"{server.api_url}/clients.json", headers=headers, timeout=5).status_code == 200
