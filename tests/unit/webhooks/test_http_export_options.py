"""The options of an export over HTTP: what is wrong is told with its path."""

import pytest

URL = "/v1/workflows"
ONE_LIST = "one list has one mode"


def faults(answer):
    return [(fault["path"], fault["message"]) for fault in answer.json["error"]["faults"]]


@pytest.mark.parametrize(
    ("config", "path", "words"),
    [
        ({"mode": "both"}, "$.config.mode", "Must be one of: upsert, update_only, add_only."),
        ({"on_exit": "delete"}, "$.config.on_exit", "Must be one of"),
        ({"mode": "add_only", "on_exit": "update_field"}, "$.config.on_exit", "add_only changes nobody"),
        ({"mode": "add_only", "on_exit": "unsubscribe"}, "$.config.on_exit", "add_only changes nobody"),
        ({"unsubscribe_from_all_lists": True}, "$.config.unsubscribe_from_all_lists", "only with on_exit"),
        ({"restart_autoresponders": True}, "$.config.restart_autoresponders", "only for who is resubscribed"),
        (
            {"queue_autoresponders_on_backfill": True},
            "$.config.queue_autoresponders_on_backfill",
            "only with",
        ),
        (
            {"mode": "update_only", "queue_autoresponders": True},
            "$.config.queue_autoresponders",
            "adds nobody",
        ),
        ({"consent_to_track": "maybe"}, "$.config.consent_to_track", "Must be one of: Yes, No, Unchanged."),
        ({"consent_to_track_field": ""}, "$.config.consent_to_track_field", "Length"),
        ({"mobile_field": "m", "mobile_region": "Sweden"}, "$.config.mobile_region", "two capital letters"),
        ({"mobile_region": "SE"}, "$.config.mobile_region", "only with mobile_field"),
        ({"consent_to_sms": "Yes"}, "$.config.consent_to_sms", "only with mobile_field"),
        ({"field_mappings": []}, "$.config.field_mappings", "Not a valid mapping type."),
        ({"field_mappings": {"a": 5}}, "$.config.field_mappings.a", "neither a text nor an object"),
        ({"field_mappings": {"a": ""}}, "$.config.field_mappings.a", "1 to 100 characters"),
        ({"field_mappings": {"a": {"type": "Text"}}}, "$.config.field_mappings.a.field", "Missing data"),
        (
            {"field_mappings": {"a": {"field": "A", "type": "Float"}}},
            "$.config.field_mappings.a.type",
            "Must be one of: Text, Number, Date, MultiSelectOne, MultiSelectMany, Country.",
        ),
        (
            {"field_mappings": {"a": {"field": "A", "when_null": "no"}}},
            "$.config.field_mappings.a.when_null",
            "Must be one of: skip, clear, set_if_empty.",
        ),
        (
            {"field_mappings": {"a": {"field": "A", "options": ["x"]}}},
            "$.config.field_mappings.a.options",
            "only for the types",
        ),
        (
            {"field_mappings": {"a": {"field": "A", "options": [""], "type": "MultiSelectOne"}}},
            "$.config.field_mappings.a.options[0]",
            "1 to 250 characters",
        ),
        (
            {"create_fields": True, "field_mappings": {"a": {"field": "A", "type": "MultiSelectMany"}}},
            "$.config.field_mappings.a.options",
            "made with its options",
        ),
        (
            {"field_mappings": {"a": "My Field"}, "templates": {"[myfield]": "x"}},
            "$.config.templates['[myfield]']",
            "written twice",
        ),
        ({"field_mappings": {"a": "Lytics Audiences"}}, "$.config.field_mappings.a", "written twice"),
        ({"templates": {"A": "{"}}, "$.config.templates.A", "the template is wrong"),
        ({"templates": {"A": {"template": "{x!r}"}}}, "$.config.templates.A.template", "alone"),
        (
            {"email_field": "mail", "field_mappings": {"a": {"field": "A", "when_null": "set_if_empty"}}},
            "$.config.field_mappings.a.when_null",
            "email_field",
        ),
    ],
)
def test_a_wrong_option_is_refused_with_its_path(client, export, config, path, words):
    export["config"] |= config

    answer = client.post(URL, json=export)

    assert answer.status_code == 422
    found = [message for place, message in faults(answer) if place == path]
    assert found, faults(answer)
    assert words in found[0]


def test_every_option_is_kept_as_it_was_given(client, export):
    given = {
        "mode": "update_only",
        "on_exit": "nothing",
        "resubscribe": "when_opted_in_later",
        "restart_autoresponders": True,
        "consent_to_track": "No",
        "consent_to_track_field": "tracking",
        "mobile_field": "mobile",
        "mobile_region": "SE",
        "consent_to_sms": "No",
        "consent_to_sms_field": "sms",
        "create_fields": True,
        "field_mappings": {
            "town": "City",
            "tiers": {"field": "Tiers", "type": "MultiSelectMany", "options": ["a"], "when_null": "clear"},
        },
        "templates": {"Origin": "Listbridge", "Hello": {"template": "Hi {name}", "type": "Text"}},
    }
    export["config"] |= given

    answer = client.post(URL, json=export)

    assert answer.status_code == 201, answer.json
    assert {name: answer.json["config"][name] for name in given} == given


def test_who_only_adds_does_nothing_on_exit_unless_told_otherwise(client, export):
    export["config"]["mode"] = "add_only"
    assert client.post(URL, json=export).json["config"]["on_exit"] == "nothing"


def test_exports_into_one_list_share_one_mode(client, export):
    client.post(URL, json=export)
    export["config"] |= {"mode": "update_only", "audiences": ["lapsed"]}

    answer = client.post(URL, json=export)

    assert answer.status_code == 422
    [(path, message)] = faults(answer)
    assert path == "$.config.mode"
    assert ONE_LIST in message


def test_the_document_shows_both_forms_of_a_mapping(client):
    schemas = client.get("/v1/openapi.json").json["components"]["schemas"]
    one_of = schemas["ExportConfig"]["properties"]["field_mappings"]["additionalProperties"]["oneOf"]
    assert [each["type"] for each in one_of] == ["string", "object"]
    assert one_of[1]["properties"]["type"]["enum"][:2] == ["Text", "Number"]
