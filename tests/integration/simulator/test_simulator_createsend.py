"""The official client does a full round, over TLS."""

import ssl

import createsend
import createsend.utils
import pytest
import trustme

from simulator.server import SimulatorServer

# The official client leaves its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with SimulatorServer(people=120, activity_rows=1500, campaigns=3, ssl_context=context) as running:
        yield running


@pytest.fixture
def auth(server, authority, tmp_path, monkeypatch):
    # The client verifies against the cacert.pem beside its own module.
    (tmp_path / "cacert.pem").write_bytes(authority.cert_pem.bytes())
    monkeypatch.setattr(createsend.utils, "__file__", str(tmp_path / "utils.py"))
    base = server.api_url.replace("127.0.0.1", "localhost")
    monkeypatch.setattr(createsend.CreateSend, "base_uri", base)
    return {"api_key": server.api_key}


@pytest.fixture
def client_id(auth):
    return createsend.CreateSend(auth).clients()[0].ClientID


@pytest.fixture
def owner(auth, client_id, request):
    found = createsend.List(auth)
    found.create(client_id, request.node.name, "", False, "", "OnlyThisList")
    return found


def test_a_wrong_key_is_unauthorized(auth):
    with pytest.raises(createsend.Unauthorized) as caught:
        createsend.CreateSend({"api_key": "wrong"}).clients()
    assert caught.value.data.Code == 100


def test_clients_lists_and_campaigns_are_read(auth, client_id):
    client = createsend.Client(auth, client_id)
    assert client.details().BasicDetails.CompanyName == "Meridian Travel"
    assert len(client.lists()) >= 3
    assert client.suppressionlist().Results
    page = client.campaigns()
    assert page.TotalNumberOfRecords == 3
    campaign = createsend.Campaign(auth, page.Results[0].CampaignID)
    figures = campaign.summary()
    assert campaign.opens().TotalNumberOfRecords == figures.TotalOpened
    assert campaign.recipients().TotalNumberOfRecords == page.Results[0].TotalRecipients
    assert campaign.clicks(date="2015-01-01", page_size=10).RecordsOnThisPage == 10
    assert campaign.opens(date="2100-01-01").Results == []
    assert campaign.lists_and_segments().Lists or campaign.lists_and_segments().Segments


def test_fields_segments_and_subscribers_make_a_full_round(auth, owner):
    key = owner.create_custom_field("Lytics Audiences", "MultiSelectMany", ["vip", "lapsed"])
    assert key == "[LyticsAudiences]"
    owner.update_custom_field_options(key, ["new"], True)
    assert owner.custom_fields()[0].FieldOptions == ["vip", "lapsed", "new"]

    segment = createsend.Segment(auth)
    rules = [{"Rules": [{"RuleType": key, "Clause": "EQUALS vip"}]}]
    segment.create(owner.list_id, "VIPs", rules)
    assert owner.segments()[0].SegmentID == segment.segment_id

    person = createsend.Subscriber(auth)
    fields = [{"Key": key, "Value": "vip"}, {"Key": key, "Value": "new"}]
    email = person.add(owner.list_id, "ana+x@example.org", "Ana Ó Sé", fields, True, "Yes")
    assert email == "ana+x@example.org"
    got = person.get(owner.list_id, email, include_tracking_preference=True)
    assert (got.Name, got.State, got.ConsentToTrack) == ("Ana Ó Sé", "Active", "Yes")
    assert [(one.Key, one.Value) for one in got.CustomFields] == [(key, "vip"), (key, "new")]
    assert segment.details().ActiveSubscribers == 1
    assert segment.subscribers().Results[0].EmailAddress == email

    person = createsend.Subscriber(auth, owner.list_id, email)
    person.update("ana@example.org", "Ana", [], False, "Unchanged")
    assert createsend.Subscriber(auth).get(owner.list_id, "ana@example.org").Name == "Ana"
    person.unsubscribe()
    assert [row.EmailAddress for row in owner.unsubscribed().Results] == ["ana@example.org"]


def test_an_import_fails_in_part_and_the_good_rows_stay(auth, owner):
    rows = [
        {"EmailAddress": email, "Name": "N", "CustomFields": [], "ConsentToTrack": "Yes"}
        for email in ("a@example.org", "b@example.org", "c@example")
    ]
    result = createsend.Subscriber(auth).import_subscribers(owner.list_id, rows, False)
    assert (result.TotalNewSubscribers, len(result.FailureDetails)) == (2, 1)
    assert result.FailureDetails[0].Code == 1
    createsend.Subscriber(auth, owner.list_id, "a@example.org").unsubscribe()
    result = createsend.Subscriber(auth).import_subscribers(owner.list_id, rows[:2], False)
    assert [failure.Code for failure in result.FailureDetails] == [206]
    assert [row.EmailAddress for row in owner.active().Results] == ["b@example.org"]
    createsend.Subscriber(auth, owner.list_id, "b@example.org").delete()
    assert owner.stats().TotalDeleted == 1


def test_webhooks_are_made_switched_and_deleted(auth, owner):
    hook = owner.create_webhook(["Subscribe", "Update"], "http://127.0.0.1:9/hook", "json")
    (listed,) = owner.webhooks()
    assert (listed.WebhookID, listed.Status, listed.PayloadFormat) == (hook, "Active", "Json")
    with pytest.raises(createsend.BadRequest) as caught:
        owner.test_webhook(hook)
    assert caught.value.data.Code == 610
    owner.deactivate_webhook(hook)
    assert owner.webhooks()[0].Status != "Active"
    owner.activate_webhook(hook)
    owner.delete_webhook(hook)
    assert owner.webhooks() == []
