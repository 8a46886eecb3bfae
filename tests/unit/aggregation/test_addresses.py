import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from listbridge.aggregation.addresses import MAX_ADDRESS_BYTES, _parsed, email, email_domain

READABLE = [
    ("Bob@Bob.com", "bob@bob.com"),
    ("Bob <bob@bob.com>", "bob@bob.com"),
    ("Bob<bob@gmail.com>", "bob@gmail.com"),
    ("<bob@bob.com>", "bob@bob.com"),
    ("  bob@bob.com  ", "bob@bob.com"),
    ("\tbob@bob.com", "bob@bob.com"),
    ('"Smith, Bob" <bob@bob.com>', "bob@bob.com"),
    ("J. R. Smith <bob@bob.com>", "bob@bob.com"),
    ("bob@bob.com (Bob (the first))", "bob@bob.com"),
    ("Bob (who else) <bob@bob.com>", "bob@bob.com"),
    ("bob@ bob.com", "bob@bob.com"),
    ("bob+tag@bob.co.uk", "bob+tag@bob.co.uk"),
    ("o'neil@bob.com", "o'neil@bob.com"),
    ("bob@localhost", "bob@localhost"),
    ("bob@[192.168.0.1]", "bob@[192.168.0.1]"),
    ('"bob smith"@bob.com', "bob smith@bob.com"),
    (r'"bob\"s"@bob.com', 'bob"s@bob.com'),
    ('"b@b"@bob.com', "b@b@bob.com"),
    ("JÜRGEN@KÖLN.DE", "jürgen@köln.de"),
    ("ΝΙΚΟΣ@x.gr", "νικοσ@x.gr"),
    ("İ@x.tr", "i@x.tr"),
]

UNREADABLE = [
    "",
    " ",
    "bob",
    "Bob <bob>",
    "Bob <bob@good",
    "bob@",
    "@bob.com",
    "bob @bob.com",
    "bob@bob.com, al@al.com",
    "bob@bob.com al",
    ".bob@bob.com",
    "bob.@bob.com",
    "bo..b@bob.com",
    "bob@bob..com",
    "bob@.com",
    "bob@bob.com.",
    "bob@bob.com\n",
    "bob\0@bob.com",
    "bob@bob.com (open",
    "bob@bob.com )",
    "(bob) bob@bob.com",
    '""@bob.com',
    "bob@[[192.168.0.1]",
    "bob@[192.168.0.1",
    "\ud800@bob.com",
    "friends: bob@bob.com;",
]


@pytest.mark.parametrize(("text", "address"), READABLE)
def test_an_address_is_read_in_lower_case_without_what_surrounds_it(text, address):
    assert email(text) == address


@pytest.mark.parametrize("text", UNREADABLE)
def test_text_that_holds_no_single_address_has_none(text):
    assert email(text) is None
    assert email_domain(text) is None


@pytest.mark.parametrize(
    ("text", "domain"),
    [("Bob<bob@Gmail.com>", "gmail.com"), ("bob@bob.com", "bob.com"), ('"b@b"@bob.com', "b@bob.com")],
)
def test_the_domain_is_what_follows_the_first_at_sign(text, domain):
    assert email_domain(text) == domain


def test_an_address_longer_than_the_limit_is_no_address():
    longest = "b" * (MAX_ADDRESS_BYTES - len("@bob.com")) + "@bob.com"
    assert email(longest) == longest
    assert email("b" + longest) is None
    assert email("ü" + longest[2:]) is not None
    assert email("ü" + longest[1:]) is None


@pytest.mark.parametrize(
    "text", ["a" * 20_000 + " x", "a " * 20_000, '"a" ' * 10_000, "(" * 20_000, '"' * 20_000]
)
def test_hostile_text_is_refused_in_linear_time(text):
    assert email(text) is None


@given(st.text('aB1.@+-_ \n\t<>()"\\,ü\0', max_size=12))
@example("a@b\n")
@example("a" * MAX_ADDRESS_BYTES + "@b")
@example("A.b+c@D.e")
def test_a_plain_address_is_read_as_any_other(text):
    assert email(text) == _parsed(text)
