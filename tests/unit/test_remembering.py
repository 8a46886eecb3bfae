import pytest

from listbridge.remembering import SHORT, remembers_short_texts


@pytest.mark.parametrize(("text", "made"), [("a" * SHORT, 1), ("a" * (SHORT + 1), 3)])
def test_only_short_texts_are_remembered(text, made):
    calls = []

    @remembers_short_texts(2)
    def length(text):
        calls.append(text)
        return len(text)

    assert [length(text) for _ in range(3)] == [len(text)] * 3
    assert len(calls) == made


def test_no_more_than_so_many_are_remembered():
    calls = []

    @remembers_short_texts(2)
    def same(text):
        calls.append(text)
        return text

    for text in ("a", "b", "c", "a", "a"):
        assert same(text) == text
    assert calls == ["a", "b", "c", "a"]
