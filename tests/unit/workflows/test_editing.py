import pytest
from marshmallow import ValidationError

from listbridge.workflows.editing import Change, edited
from listbridge.workflows.models import Edits, ExportConfig

NOW = 1_700_000_000_000


def export(**audiences):
    return ExportConfig(client_id="c1", list_id="l1", audiences=audiences or {"vip": "VIP", "gold": "gold"})


@pytest.mark.parametrize(
    ("change", "audiences", "edits"),
    [
        (Change(add=["new"]), {"vip": "VIP", "gold": "gold", "new": "new"}, Edits(added={"new": NOW})),
        (Change(add=["new"], labels={"new": "New"}), {"vip": "VIP", "gold": "gold", "new": "New"},
         Edits(added={"new": NOW})),
        (Change(remove=["vip"]), {"gold": "gold"}, Edits()),
        (Change(add=["new"], remove=["vip", "gold"]), {"new": "new"}, Edits(added={"new": NOW})),
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
