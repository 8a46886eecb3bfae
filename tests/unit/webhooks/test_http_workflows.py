import pytest

from listbridge.campaign_monitor.errors import AuthenticationError, NetworkProblem
from listbridge.workflows import log, registry, service

URL = "/v1/workflows"


def faults(answer):
    return [(fault["path"], fault["message"]) for fault in answer.json["error"]["faults"]]


@pytest.fixture
def made(client, export) -> str:
    """The id of a running export."""
    return client.post(URL, json=export).json["id"]


def test_an_export_is_made_with_its_defaults_and_delivered_to_at_once(client, export, rung):
    export["config"]["labels"] = {"vip": "Very important"}
    answer = client.post(URL, json=export | {"description": "to the newsletter"})
    assert answer.status_code == 201
    shown = answer.json
    assert shown.pop("created_at").endswith("Z")
    assert len(shown.pop("id")) == 12
    assert shown == {
        "kind": "export",
        "description": "to the newsletter",
        "authorization_id": export["authorization_id"],
        "state": "running",
        "reason": "",
        "waits_for": "",
        "how_to_go_on": "",
        "canary": None,
        "wake_at": None,
        "progress": {},
        "config": {
            "client_id": "c1",
            "list_id": "l1",
            "audiences": {"vip": "Very important"},
            "field_name": "Lytics Audiences",
            "segments": True,
            "existing_users": False,
            "resubscribe": "never",
            "queue_autoresponders": False,
            "queue_autoresponders_on_backfill": False,
            "email_field": "email",
            "name_field": None,
            "field_mappings": {},
            "templates": {},
            "create_fields": False,
            "consent_to_track": "Unchanged",
            "consent_to_track_field": None,
            "mobile_field": None,
            "mobile_region": None,
            "consent_to_sms": None,
            "consent_to_sms_field": None,
            "mode": "upsert",
            "on_exit": "update_field",
            "unsubscribe_from_all_lists": False,
            "opt_out_scope": "list",
            "restart_autoresponders": False,
            "opted_in_field": "opted_in_at",
            "opt_out_feed_minutes": 1440,
            "brakes": {"leaving": 0.3, "unsubscribed": 0.1, "refused": 0.5, "least_people": 100},
            "max_new_subscribers": None,
            "quiet_hours": None,
            "reconcile_every": 24,
            "drift": "report",
        },
    }
    assert rung == [("deliver", "l1")]


def test_an_export_can_wait_until_it_is_resumed(client, export, rung):
    made = client.post(URL, json=export | {"paused": True}).json
    assert (made["state"], made["reason"], rung) == ("paused", "not started yet", [])

    assert client.post(f"{URL}/{made['id']}/resume").json["state"] == "running"
    assert rung == [("deliver", "l1")]


def test_an_import_is_made_and_run_at_once(client, authorization_id, rung):
    body = {"kind": "import", "authorization_id": authorization_id, "config": {"client_id": "c1"}}
    answer = client.post(URL, json=body)
    assert answer.status_code == 201
    assert answer.json["config"] == {
        "client_id": "c1",
        "lists": [],
        "reports": ["recipients", "opens", "clicks", "bounces", "unsubscribes", "spam"],
        "since": None,
        "newest_first": False,
        "ip_and_coordinates": False,
        "keep_updated": False,
        "every_minutes": 60,
        "daily_at": None,
        "daily_zone": "UTC",
        "webhooks": True,
    }
    assert rung == [("pull", answer.json["id"])]


def test_an_import_can_wait_until_its_plan_was_seen(client, authorization_id, rung):
    body = {"kind": "import", "authorization_id": authorization_id, "config": {"client_id": "c1"}}
    made = client.post(URL, json=body | {"paused": True}).json
    assert (made["state"], made["reason"], rung) == ("paused", "not started yet", [])

    assert client.post(f"{URL}/{made['id']}/resume").json["state"] == "running"
    assert rung == [("pull", made["id"])]


def export_with(**config):
    return {
        "kind": "export",
        "authorization_id": "a1",
        "config": {"client_id": "c1", "list_id": "l1", "audiences": ["vip"], "consent_to_track": "No"}
        | config,
    }


def import_with(**config):
    return {"kind": "import", "authorization_id": "a1", "config": {"client_id": "c1"} | config}


SLUG = "an audience is named by 1 to 100 printable characters without spaces around them"
LABEL = "a label has 1 to 250 printable characters"
SHARE = "a share lies above 0 and is at most 1 (null: no brake)"
CLOCK = "a time of day is written HH:MM, as 21:30"
ID = "an id has 1 to 64 letters, digits, _ or -"
FAULTS = [
    ([], [("$", "Invalid input type.")]),
    (
        {},
        [
            ("$.authorization_id", "Missing data for required field."),
            ("$.config", "Missing data for required field."),
            ("$.kind", "Missing data for required field."),
        ],
    ),
    (export_with() | {"kind": "sync"}, [("$.kind", "Must be one of: export, import.")]),
    (export_with() | {"more": 1}, [("$.more", "Unknown field.")]),
    (import_with(daily_at="3:30", keep_updated=True), [("$.config.daily_at", CLOCK)]),
    (import_with(daily_at="03:30"), [("$.config.daily_at", "only with keep_updated")]),
    (
        import_with(daily_zone="Mars/Olympus"),
        [("$.config.daily_zone", "'Mars/Olympus' is not a time zone; one is named as Europe/Berlin")],
    ),
    (
        import_with(since="2026-02-30"),
        [("$.config.since", "'2026-02-30' is not a day; one is written YYYY-MM-DD, as 2026-01-31")],
    ),
    (
        import_with(reports=["opens", "likes"]),
        [
            (
                "$.config.reports[1]",
                "Must be one of: recipients, opens, clicks, bounces, unsubscribes, spam.",
            )
        ],
    ),
    (export_with() | {"config": []}, [("$.config", "Not a valid mapping type.")]),
    (export_with() | {"description": 5}, [("$.description", "Not a valid string.")]),
    (export_with(audiences=[]), [("$.config.audiences", "Length must be between 1 and 500.")]),
    (export_with(audiences=["vip", " x"]), [("$.config.audiences[1]", SLUG)]),
    (export_with(audiences=["vip", 5]), [("$.config.audiences[1]", "Not a valid string.")]),
    (
        export_with(audiences=["vip", "vip"]),
        [("$.config.audiences", "each audience needs a label of its own, once")],
    ),
    (export_with(labels={"vip": ""}), [("$.config.labels.vip", LABEL)]),
    (export_with(labels={"x y": 5}), [("$.config.labels['x y']", "Not a valid string.")]),
    (export_with(labels={"gold": "Gold"}), [("$.config.labels", "gold: not among the audiences")]),
    (export_with(list_id="../x"), [("$.config.list_id", ID)]),
    (
        export_with(resubscribe="sometimes"),
        [("$.config.resubscribe", "Must be one of: never, when_opted_in_later, always.")],
    ),
    (export_with(brakes={"leaving": 30}), [("$.config.brakes.leaving", SHARE)]),
    (export_with(brakes={"leaving": 0}), [("$.config.brakes.leaving", SHARE)]),
    (export_with(brakes={"returning": 0.1}), [("$.config.brakes.returning", "Unknown field.")]),
    (
        export_with(quiet_hours={"zone": "Mars", "start": "21:60", "end": "8"}),
        [
            ("$.config.quiet_hours.end", CLOCK),
            ("$.config.quiet_hours.start", CLOCK),
            ("$.config.quiet_hours.zone", "'Mars' is not a time zone; one is named as Europe/Berlin"),
        ],
    ),
    (
        export_with(quiet_hours={"zone": "Europe/Berlin", "start": "21:00", "end": "21:00"}),
        [("$.config.quiet_hours.end", "the window is empty: it ends when it starts")],
    ),
    (
        export_with(max_new_subscribers=0),
        [
            (
                "$.config.max_new_subscribers",
                "Must be greater than or equal to 1 and less than or equal to 100000000.",
            )
        ],
    ),
    (export_with(value=1, key=2), [("$.config.key", "Unknown field."), ("$.config.value", "Unknown field.")]),
    (import_with(lists=["l1", "no list"]), [("$.config.lists[1]", ID)]),
    (
        import_with(every_minutes=0),
        [("$.config.every_minutes", "Must be greater than or equal to 1 and less than or equal to 10080.")],
    ),
    (import_with(audiences=["vip"]), [("$.config.audiences", "Unknown field.")]),
    (
        {
            "kind": "export",
            "nonsense": True,
            "config": {"client_id": "c1", "list_id": "l1", "audiences": [""]},
        },
        [
            ("$.authorization_id", "Missing data for required field."),
            ("$.config.audiences[0]", SLUG),
            (
                "$.config.consent_to_track",
                "say Yes, No or Unchanged: there is no default, because Unchanged means consent for a new "
                "address",
            ),
            ("$.nonsense", "Unknown field."),
        ],
    ),
]


@pytest.mark.parametrize(("body", "found"), FAULTS, ids=[found[0][0] for _, found in FAULTS])
def test_every_fault_of_a_definition_is_told_with_its_path(client, rung, body, found):
    answer = client.post(URL, json=body)
    assert answer.status_code == 422
    assert sorted(faults(answer)) == found
    assert rung == []
    assert client.get(URL).json == {"workflows": []}


def test_an_unknown_authorization_is_a_fault_of_the_definition(client):
    answer = client.post(URL, json=export_with())
    assert answer.status_code == 422
    assert [path for path, _ in faults(answer)] == ["$.authorization_id"]


def test_a_label_that_clashes_with_another_export_is_a_fault(client, export, made):
    export["config"]["labels"] = {"vip": "Other"}
    answer = client.post(URL, json=export)
    assert (answer.status_code, faults(answer)) == (
        422,
        [("$.config.labels", f"export {made} labels vip 'vip'")],
    )


def test_a_second_field_in_one_list_is_a_conflict(client, export, made):
    export["config"]["field_name"] = "Other"
    answer = client.post(URL, json=export)
    assert answer.status_code == 409
    assert made in answer.json["error"]["message"]


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"", 400), (b"\xff", 400)])
def test_a_definition_that_is_not_json_is_refused(client, body, status):
    answer = client.post(URL, data=body, content_type="application/json")
    assert (answer.status_code, faults(answer)[0][0]) == (status, "$")


def test_a_definition_of_another_type_is_refused(client):
    assert client.post(URL, data={"kind": "export"}).status_code == 415


def test_workflows_are_listed_by_kind_and_state(client, authorization_id, export, made):
    body = {"kind": "import", "authorization_id": authorization_id, "config": {"client_id": "c1"}}
    other = client.post(URL, json=body).json["id"]
    client.post(f"{URL}/{other}/pause")

    def listed(query):
        return [each["id"] for each in client.get(f"{URL}{query}").json["workflows"]]

    assert listed("") == [made, other]
    assert listed("?kind=export") == [made]
    assert listed("?state=paused") == [other]
    assert listed("?kind=export&state=paused") == []


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("?kind=x", "?kind"),
        ("?state=x", "?state"),
        ("?kind=export&state=", "?state"),
        ("?stat=failed", "?stat"),
    ],
)
def test_a_wrong_filter_is_told(client, query, path):
    answer = client.get(f"{URL}{query}")
    assert (answer.status_code, [each for each, _ in faults(answer)]) == (422, [path])


def test_a_workflow_is_paused_resumed_and_stopped(client, made, rung):
    rung.clear()
    assert client.get(f"{URL}/{made}").json["state"] == "running"
    assert client.post(f"{URL}/{made}/pause").json["state"] == "paused"
    assert rung == []
    assert client.post(f"{URL}/{made}/resume").json["state"] == "running"
    assert rung == [("deliver", "l1")]
    assert client.post(f"{URL}/{made}/stop").json["state"] == "completed"


@pytest.mark.parametrize("act", ["pause", "resume"])
def test_what_a_state_does_not_allow_is_a_conflict(client, made, act):
    client.post(f"{URL}/{made}/stop")
    answer = client.post(f"{URL}/{made}/{act}")
    assert answer.status_code == 409
    assert answer.json["error"]["message"].startswith(f"workflow {made} is completed")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/none"),
        ("DELETE", "/none"),
        ("POST", "/none/pause"),
        ("POST", "/none/resume"),
        ("POST", "/none/stop"),
        ("GET", "/none/log"),
    ],
)
def test_an_unknown_workflow_is_not_found(client, method, path):
    answer = client.open(f"{URL}{path}", method=method)
    assert (answer.status_code, answer.json["error"]["status"]) == (404, 404)


def test_a_deleted_workflow_is_gone(client, made):
    answer = client.delete(f"{URL}/{made}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert client.get(f"{URL}/{made}").status_code == 404


@pytest.mark.parametrize(
    ("problem", "status"), [(NetworkProblem("cut"), 503), (AuthenticationError("revoked"), 502)]
)
def test_a_webhook_that_cannot_be_taken_away_is_told(client, monkeypatch, problem, status):
    def fail(*_):
        raise problem

    monkeypatch.setattr(service, "delete", fail)
    answer = client.delete(f"{URL}/w1")
    assert (answer.status_code, answer.json["error"]["message"]) == (status, str(problem))
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_the_log_gives_the_newest_lines_oldest_first(client, made, fake_store):
    log.write(fake_store, made, "second")
    registry.fail(fake_store, made, "the key was revoked")
    lines = client.get(f"{URL}/{made}/log?count=2").json["log"]
    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "second"),
        ("error", "failed: the key was revoked"),
    ]
    assert all(line["at"].endswith("Z") for line in lines)
    assert len(client.get(f"{URL}/{made}/log").json["log"]) == 3


@pytest.mark.parametrize("count", ["0", "-1", "2001", "x", ""])
def test_a_wrong_count_is_told(client, made, count):
    answer = client.get(f"{URL}/{made}/log?count={count}")
    assert (answer.status_code, faults(answer)[0][0]) == (422, "?count")
