"""`/metrics` in Prometheus' text format: the store's figures at the time of the request."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from listbridge.context import Context
from listbridge.standing.metrics import METRICS, samples
from webhooks.arguments import Blueprint
from webhooks.wiring import web

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

blueprint = Blueprint("metrics", __name__, description="Figures for Prometheus")


class StoreCollector(Collector):
    """Reads the figures anew for every scrape: no process counts anything by itself."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterable[Metric]:
        families = {name: _family(name) for name in METRICS}
        for sample in samples(self._context):
            family = families[sample.name]
            suffix = "_total" if isinstance(family, CounterMetricFamily) else ""
            family.add_sample(family.name + suffix, dict(sample.labels), sample.value)
        return families.values()


def _family(name: str) -> Metric:
    kind, words = METRICS[name]
    return CounterMetricFamily(name, words) if kind == "counter" else GaugeMetricFamily(name, words)


_TEXT = {"text/plain": {"schema": {"type": "string"}}}


@blueprint.route("/metrics")
@blueprint.doc(
    responses={
        "200": {"description": "Prometheus' text format", "content": _TEXT},
        "default": "DEFAULT_ERROR",
    }
)
def metrics() -> Response:
    """Show the figures of streams, workflows and deliveries."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StoreCollector(web().context))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE)
