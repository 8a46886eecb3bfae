import pickle

import pytest

from listbridge.campaign_monitor import errors
from listbridge.campaign_monitor.codes import decide, row_outcome
from listbridge.campaign_monitor.errors import (
    AlreadyExists,
    ApiError,
    AuthenticationError,
    FatalError,
    InvalidRequest,
    LimitExceeded,
    NetworkProblem,
    NotVisible,
    PermissionMissing,
    RateLimited,
    RetriableError,
    RowRefused,
    SegmentBusy,
    SegmentLimitReached,
    ServerProblem,
    SkippableError,
    TokenExpired,
    UnknownRefusal,
    UnreadableAnswer,
    WebhookTestFailed,
)
from listbridge.errors import Fatal, Retriable, Skippable, SystemProblem
from listbridge.logs import without_addresses

DECISIONS = [
    # status, code, kind
    (401, 100, AuthenticationError),
    (401, 120, AuthenticationError),
    (401, 121, TokenExpired),
    (401, 122, AuthenticationError),
    (401, 50, AuthenticationError),
    (401, None, AuthenticationError),
    (401, 60, PermissionMissing),
    (401, 101, NotVisible),
    (401, 102, NotVisible),
    (401, 4001, NotVisible),
    (401, 987, NotVisible),
    (403, 403, PermissionMissing),
    (403, None, PermissionMissing),
    (404, None, NotVisible),
    (404, 404, NotVisible),
    (410, None, NotVisible),
    (413, None, InvalidRequest),
    (408, None, ServerProblem),
    (429, 429, RateLimited),
    (429, None, RateLimited),
    (429, 1, RateLimited),
    (400, 429, RateLimited),
    (500, 500, ServerProblem),
    (500, 1, ServerProblem),
    (502, None, ServerProblem),
    (504, None, ServerProblem),
    (400, 500, ServerProblem),
    (302, None, UnreadableAnswer),
    (400, 1, RowRefused),
    (400, 201, RowRefused),
    (400, 203, RowRefused),
    (400, 204, RowRefused),
    (400, 208, RowRefused),
    (400, 213, RowRefused),
    (400, -213, RowRefused),
    (400, 214, RowRefused),
    (400, 220, RowRefused),
    (400, 176, RowRefused),
    (400, 210, SkippableError),
    (400, 209, InvalidRequest),
    (400, 212, InvalidRequest),
    (400, 254, InvalidRequest),
    (400, 255, AlreadyExists),
    (400, 256, InvalidRequest),
    (400, 257, InvalidRequest),
    (400, 275, AlreadyExists),
    (400, 277, InvalidRequest),
    (400, 2703, InvalidRequest),
    (400, 2722, InvalidRequest),
    (400, 2762, InvalidRequest),
    (400, 271, NotVisible),
    (400, 278, SegmentBusy),
    (400, 287, SegmentBusy),
    (400, 283, SegmentLimitReached),
    (400, 286, PermissionMissing),
    (400, 610, WebhookTestFailed),
    (400, 800, InvalidRequest),
    (400, 803, InvalidRequest),
    (400, 5, InvalidRequest),
    (400, 927, InvalidRequest),
    (400, 98798, UnknownRefusal),
    (400, None, UnknownRefusal),
    (418, 418, UnknownRefusal),
]


@pytest.mark.parametrize(("status", "code", "kind"), DECISIONS)
def test_a_status_and_a_code_decide_the_kind_of_error(status, code, kind):
    assert decide(status, code) is kind


def test_every_status_and_unknown_code_has_a_kind_that_says_what_to_do():
    named = (FatalError, RetriableError, SkippableError)
    unknown = [None, -214, 0, 7, 419, 99999]
    assert all(issubclass(decide(status, code), named) for status in range(300, 600) for code in unknown)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (1, "invalid"),
        (211, "invalid"),
        (221, "invalid"),
        (220, "mobile"),
        (204, "suppressed"),
        (205, "deleted"),
        (206, "unsubscribed"),
        (207, "bounced"),
        (208, "unconfirmed"),
        (213, "consent"),
        (-213, "consent"),
        (214, "consent"),
        (215, "consent"),
        (429, "too_fast"),
        (210, "unknown"),
        (-1, "unknown"),
        (0, "unknown"),
    ],
)
def test_the_code_of_a_refused_row_says_why(code, outcome):
    assert row_outcome(code) == outcome


def _kinds(kind: type[ApiError]) -> list[type[ApiError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _kinds(child))]


def test_every_error_says_what_an_operator_should_do_in_a_sentence_of_its_own():
    kinds = _kinds(ApiError)
    sentences = [kind("x").remedy for kind in kinds]
    assert all(sentence.split("\n")[0].endswith((".", ";", "how.")) for sentence in sentences)
    assert len(set(sentences)) == len(kinds)


@pytest.mark.parametrize(
    ("kind", "branch"),
    [
        (FatalError, Fatal),
        (RetriableError, Retriable),
        (SkippableError, Skippable),
        (ApiError, SystemProblem),
    ],
)
def test_the_engines_can_tell_what_to_do_without_knowing_the_system(kind, branch):
    assert all(issubclass(one, branch) for one in _kinds(kind))


def test_the_tree_in_the_module_docstring_names_every_error():
    assert all(kind.__name__ in errors.__doc__ for kind in _kinds(ApiError))


def test_a_bad_key_and_a_foreign_id_are_told_apart_although_both_are_401():
    assert not issubclass(decide(401, 102), AuthenticationError)
    assert not issubclass(decide(401, 100), NotVisible)


@pytest.mark.parametrize("kind", _kinds(ApiError))
def test_an_error_survives_pickling_whole(kind):
    error = kind("it failed", endpoint="GET /clients", status=400, code=7, may_have_been_applied=True)
    if isinstance(error, RetriableError):
        error.retry_after_seconds = 3.0
    if isinstance(error, LimitExceeded):
        error.rows = (1, 2)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert str(copy) == str(error) == "GET /clients (HTTP 400, code 7): it failed"


def test_an_error_without_an_answer_says_only_what_is_known():
    assert str(NetworkProblem("no connection", endpoint="GET /clients")) == "GET /clients: no connection"
    assert str(NetworkProblem("no connection")) == "no connection"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Invalid address ann+x@example.com given", "Invalid address <address> given"),
        ("?email=ann%2Bx%40example.com&page=1", "?email=<address>&page=1"),
        ('{"EmailAddress":"ann@example.com"}', '{"EmailAddress":"<address>"}'),
        ("<ann@example.com>, jörg@müller.example", "<<address>>, <address>"),
        ("nobody here", "nobody here"),
    ],
)
def test_addresses_never_stay_in_the_text_of_an_error(text, shown):
    assert without_addresses(text) == shown
    assert ApiError(text).message == shown
    assert "ann" not in repr(ApiError(text))
