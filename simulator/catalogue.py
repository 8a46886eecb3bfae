"""What a generated account is made of: names, places, texts."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A city as the reports describe it."""

    latitude: float
    longitude: float
    city: str
    region: str
    country_code: str
    country: str


PLACES = (
    Place(-33.8683, 151.2086, "Sydney", "New South Wales", "AU", "Australia"),
    Place(-37.814, 144.9633, "Melbourne", "Victoria", "AU", "Australia"),
    Place(-27.4679, 153.0281, "Brisbane", "Queensland", "AU", "Australia"),
    Place(-36.8485, 174.7633, "Auckland", "Auckland", "NZ", "New Zealand"),
    Place(51.5085, -0.1257, "London", "England", "GB", "United Kingdom"),
    Place(53.3331, -6.2489, "Dublin", "Leinster", "IE", "Ireland"),
    Place(40.7143, -74.006, "New York", "New York", "US", "United States of America"),
    Place(37.7749, -122.4194, "San Francisco", "California", "US", "United States of America"),
    Place(45.5088, -73.5878, "Montréal", "Quebec", "CA", "Canada"),
    Place(52.5244, 13.4105, "Berlin", "Berlin", "DE", "Germany"),
    Place(47.3667, 8.55, "Zürich", "Zurich", "CH", "Switzerland"),
    Place(48.8534, 2.3488, "Paris", "Île-de-France", "FR", "France"),
    Place(-23.5475, -46.6361, "São Paulo", "Sao Paulo", "BR", "Brazil"),
    Place(35.6895, 139.6917, "Tokyo", "Tokyo", "JP", "Japan"),
    Place(1.2897, 103.8501, "Singapore", "", "SG", "Singapore"),
)
# Where a mail provider's image proxy stands; it hides the reader's own address and place.
PROXY = Place(37.4192, -122.0574, "Mountain View", "California", "US", "United States of America")

COUNTRIES = sorted({place.country for place in PLACES} | {"Austria", "Denmark", "Italy", "Poland", "Spain"})
US_STATES = (
    "Alabama",
    "Alaska",
    "Arizona",
    "Arkansas",
    "California",
    "Colorado",
    "New York",
    "Texas",
    "Wyoming",
)

FIRST_NAMES = (
    *("Amelia", "Oliver", "Charlotte", "Noah", "Isla", "Jack", "Mia", "William", "Ava", "Leo", "Grace"),
    *("Zoë", "Søren", "Łukasz", "Åsa", "José", "Chloé", "Jürgen", "Nuño", "Siân", "Đorđe", "Ngọc", "Iñaki"),
    *("Priya", "Kenji", "美咲", "Ольга", "Yusuf", "Mohammed", "Aroha", "Ruth", "Tomás", "Hana"),
)
LAST_NAMES = (
    *("Smith", "Jones", "Taylor", "Nguyen", "Brown", "Wilson", "Martin", "White", "Anderson", "Thompson"),
    *("O'Brien", "García", "Müller", "Kowalski", "Østergaard", "Dvořák", "D'Angelo", "van der Berg", "Ó Sé"),
    *("Singh", "Tanaka", "佐藤", "Петрова", "Yılmaz", "Haddad", "Te Whare", "Lefèvre", "Šimić"),
)
DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.org")

LISTS = (
    "Newsletter",
    "Loyalty members",
    "Last-minute deals",
    "Blog digest",
    "Trade partners",
    "Competitions",
)
INTERESTS = ("Beaches", "City breaks", "Food & wine", "Hiking", "Family", "Cruises", "Skiing")
TIERS = ("Bronze", "Silver", "Gold")

SUBJECTS = (
    "Autumn in Kyoto: early fares",
    "Your long weekend, sorted",
    "48 hours: two for one to Fiji",
    "Where locals eat in Lisbon",
    "The ski report",
    "Members' preview: Patagonia",
    "Seven beaches without a crowd",
    "Last cabins: Norwegian fjords",
    "Ten trips under $500",
    "What's new in Tasmania",
    "School holidays: still seats",
    "A reader's postcard from Oaxaca",
)
TAGS = ("Deals", "Editorial", "Members")
LINKS = (
    "https://www.meridian.example/offers?utm_source=newsletter&utm_campaign={slug}",
    "https://www.meridian.example/destinations/{slug}?ref=mail&pos=1",
    "https://www.meridian.example/destinations/{slug}?ref=mail&pos=2",
    "https://www.meridian.example/book?trip={slug}&pax=2",
    "https://blog.meridian.example/{slug}/#comments",
    "https://www.meridian.example/app?utm_content=footer%20link",
)
SOFT_REASONS = ("Soft Bounce - Mailbox Full", "Soft Bounce - General", "Soft Bounce - Dns Failure")
HARD_REASON = "Hard Bounce"
