"""Changing the audiences of an export that may run: pure, from one definition to the next.

An option in the list is never removed: the label of an audience that was removed or renamed is retired,
which means that nobody holds it any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from marshmallow import ValidationError

from listbridge.workflows.models import Edits, ExportConfig, Retired


@dataclass(frozen=True, slots=True)
class Change:
    """`rename` maps slugs to their new names; `labels` gives added or present audiences a label."""

    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Editing:
    audiences: dict[str, str]
    added: dict[str, int]
    names: dict[str, list[str]]
    labels: dict[str, list[str]]
    retired: dict[str, Retired]

    def remove(self, slug: str, now: int) -> None:
        names = [slug, *self.names.get(slug, [])]
        for label in (self.audiences[slug], *self.labels.get(slug, [])):
            self.retired[label] = Retired(names=names, at=now)
        self._drop(slug)

    def _drop(self, slug: str) -> None:
        for held in (self.audiences, self.added, self.names, self.labels):
            held.pop(slug, None)

    def rename(self, old: str, new: str) -> None:
        label = self.audiences[old]
        added, names, labels = self.added.get(old), self.names.get(old, []), self.labels.get(old, [])
        self._drop(old)
        self.audiences[new] = label
        self.names[new] = [old, *(name for name in names if name != new)]
        if added is not None:
            self.added[new] = added
        if labels:
            self.labels[new] = labels
        if label == old:
            self.label(new, new)

    def label(self, slug: str, label: str) -> None:
        old = self.audiences[slug]
        if old != label:
            self.audiences[slug] = label
            self.labels[slug] = [
                old,
                *(each for each in self.labels.get(slug, []) if each not in (old, label)),
            ]


def edited(export: ExportConfig, edits: Edits, change: Change, now: int) -> tuple[ExportConfig, Edits]:
    """The export after the change at `now` (epoch ms). Raises `ValidationError` by what is wrong."""
    _validate(export, change)
    made = _Editing(
        dict(export.audiences),
        dict(edits.added),
        dict(edits.names),
        dict(edits.labels),
        dict(edits.retired),
    )
    for slug in change.remove:
        made.remove(slug, now)
    for old, new in change.rename.items():
        made.rename(old, new)
    for slug in change.add:
        made.audiences[slug] = change.labels.get(slug, slug)
        made.added[slug] = now
    for slug, label in change.labels.items():
        made.label(slug, label)
    _validate_labels(made)
    changed = msgspec.structs.replace(export, audiences=made.audiences)
    labels = {*made.audiences.values(), *(each for former in made.labels.values() for each in former)}
    retired = {label: each for label, each in made.retired.items() if label not in labels}
    return changed, Edits(added=made.added, names=made.names, labels=made.labels, retired=retired)


def _validate(export: ExportConfig, change: Change) -> None:
    held = export.audiences
    faults: dict[str, list[str]] = {}

    def fault(where: str, slugs: Sequence[str], message: str) -> None:
        if slugs:
            faults.setdefault(where, []).append(f"{', '.join(sorted(slugs))}: {message}")

    gone = [*change.remove, *change.rename]
    come = [*change.add, *change.rename.values()]
    fault("add_audiences", [each for each in change.add if each in held], "an audience of the export already")
    fault("remove_audiences", [each for each in change.remove if each not in held], "not among its audiences")
    fault("rename_audiences", [each for each in change.rename if each not in held], "not among its audiences")
    new = [each for each in change.rename.values() if each in held]
    fault("rename_audiences", new, "an audience of the export already")
    fault("rename_audiences", [each for each in change.rename if each in change.remove], "removed as well")
    fault("rename_audiences", [*{each for each in come if come.count(each) > 1}], "named twice")
    unknown = [each for each in change.labels if each not in come and (each not in held or each in gone)]
    fault("labels", unknown, "not among the audiences")
    if not change.add and set(held) <= set(change.remove):
        faults["remove_audiences"] = ["an export has at least one audience: stop it instead"]
    if faults:
        raise ValidationError(dict(faults))


def _validate_labels(made: _Editing) -> None:
    """A label belongs to one audience, now and before: by it, people's rows are told apart."""
    owners: dict[str, str] = {}
    for slug, label in made.audiences.items():
        for each in (label, *made.labels.get(slug, ())):
            if owners.setdefault(each, slug) != slug:
                taken = f"{each!r} is or was the label of another audience of the export, {owners[each]}"
                raise ValidationError({"labels": [f"{taken}: give {slug} another label"]})
