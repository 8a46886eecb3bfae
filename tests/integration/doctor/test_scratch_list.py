"""The truth about each question is found whichever way the simulator is switched, and nothing stays behind."""

import pytest


def test_smoke(clinic):
    print(clinic.run("doctor").output)
    print(clinic.run("doctor", "--scratch-list", "--suppress").output)
    print(clinic.run("authorization", "show").output)
    clinic.create_export()
    print(clinic.run("doctor").output)
    assert 0
