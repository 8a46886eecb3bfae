"""`make fuzz`: every route of the OpenAPI document with inputs that fit it and that don't, in this process.

Nothing may end in 500, and no answer may be other than the document says. Campaign Monitor is nowhere here,
so routes that call it may answer 502 or 503.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import schemathesis
from cryptography.fernet import Fernet
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from listbridge import audiences, authorizations
from listbridge.aggregation.fold import Folder
from listbridge.campaign_monitor.webhooks import Receiver, digest
from listbridge.context import build
from listbridge.store import keys
from listbridge.store.embedded import EmbeddedStore
from listbridge.workflows import service
from settings import Settings
from webhooks.app import create_app

PERSON = "ada@example.com"
TOKEN = "a-token-for-the-fuzzing"
NOWHERE = "http://127.0.0.1:9/api/v3.3"
CHECKS = (status_code_conformance, content_type_conformance, response_schema_conformance)
ELSEWHERE = {502, 503}
"""What routes answer when the other system can't be reached."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="inputs a route, at most")
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        with EmbeddedStore(path / "store", appendfsync="everysec") as server:
            made = Settings(
                data_dir=path,
                redis_url=server.url,
                api_tokens=(TOKEN,),
                encryption_keys=(Fernet.generate_key().decode(),),
                api_base_url=NOWHERE,
                api_connect_timeout_seconds=0.2,
                api_read_timeout_seconds=0.2,
            )
            return Fuzzing(made, chosen.examples, chosen.seed).run()


class Fuzzing:
    """One application, and what its routes answered."""

    def __init__(self, settings: Settings, examples: int, seed: int | None) -> None:
        self.examples, self.seed = examples, seed
        self.context = context = build(settings, settings.redis_url)
        self.known: dict[str, str] = {}
        receiver = Receiver(
            client_id="c1",
            client_name="C",
            zone="UTC",
            lists={"l1": "L"},
            token="x",
            tokens=[digest("right")],
        )
        context.store.client.set(keys.receiver("w1"), msgspec.json.encode(receiver))
        app = create_app(dataclasses.replace(context), lambda: None, **_silent())
        self.headers = {"Authorization": f"Bearer {TOKEN}"}
        self.schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", app, headers=self.headers)
        self.statuses: dict[str, Counter[int]] = {}
        self.failures: dict[str, str] = {}

    def run(self) -> int:
        began = time.monotonic()
        for found in self.schema.get_all_operations():
            operation = found.ok()
            self.attempt(operation)
        for name, counts in sorted(self.statuses.items()):
            shown = ", ".join(f"{status}: {n}" for status, n in sorted(counts.items()))
            print(f"{sum(counts.values()):6}  {name:70} {shown}")
        for name, why in sorted(self.failures.items()):
            print(f"\nFAILED {name}\n{why}")
        inputs = sum(sum(counts.values()) for counts in self.statuses.values())
        print(
            f"\n{inputs} inputs to {len(self.statuses)} routes in {time.monotonic() - began:.0f} s, "
            f"{len(self.failures)} routes failed"
        )
        return 1 if self.failures else 0

    def settle(self) -> None:
        """Make sure that there is an authorization, an export and a person, whatever was deleted before."""
        store, box = self.context.store, self.context.secrets
        held = authorizations.create(store, box, secret="k" * 32, description="fuzz", base_url=NOWHERE)
        config = {"client_id": "c1", "list_id": "l1", "audiences": ["vip"], "consent_to_track": "Unchanged"}
        made = service.create_export(self.context, held.id, config, paused=True)
        event = audiences.AudienceEvent(
            email=PERSON, audience="vip", event="enter", timestamp=audiences.now()
        )
        audiences.receive(store, [event])
        Folder(store, self.context.programs, self.context.archive).run()
        self.known = {"authorization_id": held.id, "workflow_id": made.id, "email": PERSON, "slug": "vip"}

    def led_somewhere(self, path: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Two of three paths lead to something that there is; which ones follows from what was drawn."""
        if "/webhooks/" in path:
            return parameters | {"workflow_id": "w1", "token": "right"}
        if zlib.crc32(repr(sorted(parameters.items())).encode(errors="replace")) % 3 == 0:
            return parameters
        return parameters | {name: self.known[name] for name in parameters if name in self.known}

    def attempt(self, operation: schemathesis.APIOperation) -> None:
        name = f"{operation.method.upper()} {operation.path}"
        self.settle()
        counts = self.statuses.setdefault(name, Counter())
        modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
        for mode in modes:

            @hypothesis.settings(
                max_examples=max(self.examples // 2, 1),
                deadline=None,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def one(case: schemathesis.Case) -> None:
                case.path_parameters = self.led_somewhere(operation.path, case.path_parameters or {})
                answer = case.call(headers=self.headers)
                counts[answer.status_code] += 1
                if answer.status_code in ELSEWHERE:
                    return
                case.validate_response(answer, checks=[not_a_server_error, *CHECKS])

            try:
                (hypothesis.seed(self.seed)(one) if self.seed is not None else one)()
            except hypothesis.errors.Unsatisfiable:
                continue  # nothing can be wrong about a route without parameters
            except (Exception, BaseExceptionGroup) as problem:
                self.failures.setdefault(name, str(problem)[:1500])


def _silent() -> dict[str, object]:
    return {name: lambda _: None for name in ("ring_deliver", "ring_pull", "ring_plan")}


if __name__ == "__main__":
    sys.exit(main())
