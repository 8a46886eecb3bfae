"""Where workflows are kept: create, find, change state, delete.

What it was told (`config`) and how it stands (state, reason, times) are separate fields of one
hash, so that a state change never overwrites a definition.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from listbridge.errors import Fatal
from listbridge.store import keys
from listbridge.store.store import Store, now_ms
from listbridge.workflows import log
from listbridge.workflows.models import (
    ACTIVE,
    Edits,
    ExportConfig,
    ImportConfig,
    Kind,
    State,
    Workflow,
    backoff_ms,
)

_JSON: dict[str, Any] = {"edits": Edits, "released": dict[str, int]}
"""Fields beside the definition that are kept as JSON -> what they hold."""
_NUMBERS = (
    *("created_at", "started_at", "not_begun", "wake_at", "failures", "confirmed_at"),
    *("canary", "canary_since"),
)

_CONFIGS: dict[str, type[ExportConfig] | type[ImportConfig]] = {
    "export": ExportConfig,
    "import": ImportConfig,
}

# A change of state from the states named only. KEYS: workflow; ARGV: the states by commas, (field, value)...
_TRANSITION = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return '' end
if not string.find(',' .. ARGV[1] .. ',', ',' .. state .. ',', 1, true) then return state end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 'ok'
"""


# KEYS: workflow; ARGV: definition as read, new definition, new edits -> 0 when somebody else was first
_REDEFINE = """
local held = redis.call('HGET', KEYS[1], 'config')
if held == ARGV[2] then return 1 end
if held ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'config', ARGV[2], 'edits', ARGV[3])
return 1
"""


class NoSuchWorkflow(Fatal):
    """The workflow was deleted, or its id is misspelt: `listbridge workflow list` shows all."""


class NotAllowed(Fatal):
    """The workflow is in a state from which this can't be done."""


class EditedMeanwhile(NotAllowed):
    """Somebody else changed the definition at the same time: look at it and try again."""


def create(
    store: Store,
    *,
    kind: Kind,
    authorization_id: str,
    config: ExportConfig | ImportConfig,
    description: str = "",
    paused: bool = False,
    waits_for: str = "",
    reason: str = "not started yet",
) -> Workflow:
    """Store a workflow and start it, or let it wait. The definition has been validated before."""
    now = now_ms()
    made = Workflow(
        id=secrets.token_hex(6),
        kind=kind,
        authorization_id=authorization_id,
        description=description,
        config=config,
        state=State.PAUSED if paused else State.RUNNING,
        reason=reason if paused else "",
        waits_for=waits_for if paused else "",
        created_at=now,
        started_at=now,
        not_begun=int(paused),
    )
    fields = msgspec.to_builtins(made)
    for name in ("config", *_JSON):
        fields[name] = msgspec.json.encode(fields[name])
    if not paused:
        del fields["not_begun"]  # a field that an older program doesn't know stops it
    store.client.hset(keys.workflow(made.id), mapping=fields)
    store.client.sadd(keys.WORKFLOWS, made.id)
    log.write(store, made.id, f"created, {reason}" if paused else "created and started")
    return made


def find(store: Store, workflow_id: str) -> Workflow | None:
    held = cast(dict[bytes, bytes], store.client.hgetall(keys.workflow(workflow_id)))
    return _decode(held) if held else None


def get(store: Store, workflow_id: str) -> Workflow:
    found = find(store, workflow_id)
    if found is None:
        raise NoSuchWorkflow(f"no workflow {workflow_id!r}: {NoSuchWorkflow.__doc__}")
    return found


def list_all(store: Store, kind: Kind | None = None) -> list[Workflow]:
    """Oldest first."""
    pipe = store.client.pipeline(transaction=False)
    for each in cast(set[bytes], store.client.smembers(keys.WORKFLOWS)):
        pipe.hgetall(keys.workflow(each.decode()))
    found = [_decode(held) for held in pipe.execute() if held]
    kept = [each for each in found if kind is None or each.kind == kind]
    return sorted(kept, key=lambda w: (w.created_at, w.id))


def exports_to(store: Store, list_id: str) -> list[Workflow]:
    """The exports that feed a list and have not ended."""
    return feeding(list_all(store, "export"), list_id)


def feeding(workflows: Sequence[Workflow], list_id: str) -> list[Workflow]:
    """Those of the workflows that are exports into a list and have not ended."""
    exports = (each for each in workflows if each.kind == "export" and each.export.list_id == list_id)
    return [each for each in exports if each.state is not State.COMPLETED]


def deciding(feeds: Sequence[Workflow]) -> Sequence[Workflow]:
    """Those of a list's exports that say what rows look like: one that was made to wait has no say before
    it is first resumed. All, where none has begun."""
    return [each for each in feeds if not each.not_begun] or feeds


def pause(store: Store, workflow_id: str) -> Workflow:
    return _change(store, workflow_id, "paused by a person", State.PAUSED, from_=ACTIVE)


def hold(
    store: Store, workflow_id: str, waits_for: str, reason: str, *, from_: frozenset[State] = ACTIVE
) -> None:
    """Pause until a person says that they know of it (see `holds`)."""
    _move(store, workflow_id, reason, State.PAUSED, from_, waits_for=waits_for)


def rest(store: Store, workflow_id: str, until: int, reason: str) -> None:
    """Sleep until then (epoch ms): nothing is wrong."""
    _move(store, workflow_id, reason, State.SLEEPING, ACTIVE, wake_at=until)


def redefine(store: Store, workflow: Workflow, export: ExportConfig, edits: Edits) -> Workflow:
    """Give an export as it was read another definition. Raises `EditedMeanwhile`."""
    old, new = msgspec.json.encode(workflow.config), msgspec.json.encode(export)
    held = cast(bytes, store.client.hget(keys.workflow(workflow.id), "config"))
    same = held is not None and msgspec.json.decode(held, type=ExportConfig) == workflow.config
    args = [held if same else old, new, msgspec.json.encode(edits)]
    if not store.script(_REDEFINE, [keys.workflow(workflow.id)], args):
        raise EditedMeanwhile(f"workflow {workflow.id}: {EditedMeanwhile.__doc__}")
    return get(store, workflow.id)


def resume(store: Store, workflow_id: str, **fields: Any) -> Workflow:
    """Go on after a pause, a failure or a sleep; an import that is done runs once more.

    `fields` are what changes beside the state.
    """
    from_ = frozenset({State.PAUSED, State.FAILED, State.SLEEPING})
    held = get(store, workflow_id)
    if held.kind == "import":
        from_ |= {State.COMPLETED}
    fields |= {"wake_at": 0, "failures": 0} | ({"not_begun": 0} if held.not_begun else {})
    return _change(store, workflow_id, "resumed", State.RUNNING, from_=from_, **fields)


def stop(store: Store, workflow_id: str) -> Workflow:
    """End it for good; what it wrote stays, until another export into the same list has its way."""
    from_ = ACTIVE | {State.PAUSED, State.FAILED}
    return _change(store, workflow_id, "stopped by a person", State.COMPLETED, from_=from_)


def fail(store: Store, workflow_id: str, reason: str) -> None:
    _move(store, workflow_id, reason, State.FAILED, ACTIVE)


def sleep(store: Store, workflow: Workflow, reason: str, retry_after_seconds: float | None) -> int:
    """Wait for another system to recover; -> when it goes on, epoch ms."""
    failures = workflow.failures + 1
    wake_at = now_ms() + backoff_ms(failures, retry_after_seconds)
    _move(store, workflow.id, reason, State.SLEEPING, ACTIVE, wake_at=wake_at, failures=failures)
    return wake_at


def wake(store: Store, workflow_id: str) -> None:
    """A sleeping workflow goes on."""
    _move(store, workflow_id, "", State.RUNNING, frozenset({State.SLEEPING}), wake_at=0)


def succeeded(store: Store, workflow: Workflow) -> None:
    """The other system answers again: forget the problems in a row."""
    if workflow.failures:
        _move(store, workflow.id, "", State.RUNNING, ACTIVE, failures=0)


def run_again_at(store: Store, workflow_id: str, wake_at: int) -> None:
    """A run is over and the next one is due then."""
    _move(store, workflow_id, "up to date", State.SLEEPING, ACTIVE, wake_at=wake_at, failures=0)


def complete(store: Store, workflow_id: str) -> None:
    _move(store, workflow_id, "done", State.COMPLETED, ACTIVE)


def delete(store: Store, workflow_id: str) -> None:
    """Forget the workflow; what belongs to the resource (cursors, what was delivered) stays."""
    get(store, workflow_id)
    store.client.srem(keys.WORKFLOWS, workflow_id)
    names = (keys.workflow, keys.progress, keys.run, keys.log, keys.plan)
    for name in (make(workflow_id) for make in names):
        store.client.delete(name)


def _change(
    store: Store, workflow_id: str, reason: str, to: State, *, from_: frozenset[State], **fields: Any
) -> Workflow:
    """A person's change of state. Raises `NotAllowed` from another state than those of `from_`."""
    held = _move(store, workflow_id, reason, to, from_, **fields)
    if held == "":
        raise NoSuchWorkflow(f"no workflow {workflow_id!r}: {NoSuchWorkflow.__doc__}")
    if held != "ok" and held != to:
        allowed = ", ".join(sorted(from_))
        raise NotAllowed(f"workflow {workflow_id} is {held}; this needs one that is {allowed}")
    return get(store, workflow_id)


def _move(
    store: Store, workflow_id: str, reason: str, to: State, from_: frozenset[State], **fields: Any
) -> str:
    pairs: list[Any] = ["state", to, "reason", reason]
    for name, value in fields.items():
        pairs += (name, msgspec.json.encode(value) if name in _JSON else value)
    held = cast(
        bytes, store.script(_TRANSITION, [keys.workflow(workflow_id)], [",".join(sorted(from_)), *pairs])
    )
    if held == b"ok" and reason:
        log.write(store, workflow_id, f"{to}: {reason}", level="error" if to is State.FAILED else "info")
    return held.decode()


def _decode(held: dict[bytes, bytes]) -> Workflow:
    fields: dict[str, Any] = {name.decode(): value.decode() for name, value in held.items()}
    fields["config"] = msgspec.json.decode(fields["config"], type=_CONFIGS[fields["kind"]])
    for name in _NUMBERS:
        fields[name] = int(fields.get(name, 0))
    for name, kind in _JSON.items():
        if name in fields:
            fields[name] = msgspec.json.decode(fields[name], type=kind)
    fields["state"] = State(fields["state"])
    return Workflow(**fields)
