import pytest
from marshmallow import ValidationError

from listbridge.workflows.editing import Change, edited
from listbridge.workflows.models import Edits, ExportConfig, Retired

NOW = 1_700_000_000_000


def export(**audiences):
    audiences = audiences or {"vip": "VIP", "gold": "gold"}
    return ExportConfig(client_id="c1", list_id="l1", audiences=audiences, consent_to_track="No")


def retired(*names, at=NOW):
    return Retired(names=list(names), at=at)


@pytest.mark.parametrize(
    ("change", "audiences", "edits"),
    [
        (Change(add=["new"]), {"vip": "VIP", "gold": "gold", "new": "new"}, Edits(added={"new": NOW})),
        (Change(add=["new"], labels={"new": "New"}), {"vip": "VIP", "gold": "gold", "new": "New"},
         Edits(added={"new": NOW})),
        (Change(remove=["vip"]), {"gold": "gold"}, Edits(retired={"VIP": retired("vip")})),
        (Change(add=["new"], remove=["vip", "gold"]), {"new": "new"},
         Edits(added={"new": NOW}, retired={"VIP": retired("vip"), "gold": retired("gold")})),
        (Change(add=["new"], remove=["vip", "gold"], labels={"new": "VIP"}), {"new": "VIP"},
         Edits(added={"new": NOW}, retired={"gold": retired("gold")})),
        (Change(rename={"vip": "best"}), {"gold": "gold", "best": "VIP"}, Edits(names={"best": ["vip"]})),
        (Change(rename={"gold": "au"}), {"vip": "VIP", "au": "au"},
         Edits(names={"au": ["gold"]}, labels={"au": ["gold"]})),
        (Change(rename={"gold": "au"}, labels={"au": "gold"}), {"vip": "VIP", "au": "gold"},
         Edits(names={"au": ["gold"]}, labels={"au": ["au"]})),
        (Change(labels={"vip": "Best"}), {"vip": "Best", "gold": "gold"}, Edits(labels={"vip": ["VIP"]})),
        (Change(labels={"vip": "VIP"}), {"vip": "VIP", "gold": "gold"}, Edits()),
    ],
)  # fmt: skip
def test_a_change_makes_another_definition(change, audiences, edits):
    made, record = edited(export(), Edits(), change, NOW)

    assert made.audiences == audiences
    assert record == edits


def test_renaming_twice_and_back_keeps_the_names_and_the_labels_once_each():
    made, edits = edited(export(), Edits(), Change(rename={"gold": "au"}), NOW)
    made, edits = edited(made, edits, Change(rename={"au": "gold"}), NOW)

    assert made.audiences == {"vip": "VIP", "gold": "gold"}
    assert (edits.names, edits.labels) == ({"gold": ["au"]}, {"gold": ["au"]})


def test_a_removed_audience_is_known_by_all_its_names_and_labels_until_it_comes_back():
    made, edits = edited(export(), Edits(), Change(rename={"gold": "au"}), NOW)
    made, edits = edited(made, edits, Change(remove=["au"]), NOW + 1)

    assert (made.audiences, edits.names, edits.labels) == ({"vip": "VIP"}, {}, {})
    gone = retired("au", "gold", at=NOW + 1)
    assert edits.retired == {"au": gone, "gold": gone}

    _, edits = edited(made, edits, Change(add=["gold"]), NOW + 2)
    assert edits.retired == {"au": gone}


def test_what_was_added_later_stays_so_under_another_name():
    made, edits = edited(export(), Edits(), Change(add=["new"]), NOW)
    _, edits = edited(made, edits, Change(rename={"new": "newer"}), NOW + 9)

    assert edits.added == {"newer": NOW}


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (Change(add=["vip"]), {"add_audiences": ["vip: an audience of the export already"]}),
        (Change(remove=["x"]), {"remove_audiences": ["x: not among its audiences"]}),
        (Change(remove=["vip", "gold"]),
         {"remove_audiences": ["an export has at least one audience: stop it instead"]}),
        (Change(rename={"x": "y"}), {"rename_audiences": ["x: not among its audiences"]}),
        (Change(rename={"vip": "gold"}), {"rename_audiences": ["gold: an audience of the export already"]}),
        (Change(rename={"vip": "a"}, remove=["vip"]), {"rename_audiences": ["vip: removed as well"]}),
        (Change(rename={"vip": "a", "gold": "a"}), {"rename_audiences": ["a: named twice"]}),
        (Change(labels={"x": "X"}), {"labels": ["x: not among the audiences"]}),
        (Change(remove=["vip"], labels={"vip": "X"}), {"labels": ["vip: not among the audiences"]}),
        (Change(add=["new"], labels={"new": "VIP"}),
         {"labels": ["'VIP' is or was the label of another audience of the export, vip: "
                     "give new another label"]}),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_with_its_place(change, messages):
    with pytest.raises(ValidationError) as refused:
        edited(export(), Edits(), change, NOW)
    assert refused.value.messages == messages
