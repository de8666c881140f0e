"""Our metrics, alerts and dashboard in the hands of the real promtool and the real Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.conditions import wait_until
from tests.helpers.prometheus import Prometheus, promtool, running_prometheus
from tests.helpers.requests import png
from tests.helpers.servers import RunningServer, running_server

pytestmark = pytest.mark.ecosystem

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"
ALERTS, TESTS = RULES / "alerts.yaml", RULES / "alerts_test.yaml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "lrpserve.json").read_text())
# what a browser fills in
VARIABLES = {"$__rate_interval": "10s", "$job": "lrpserve", "$instance": ".*"}
OF_PROMETHEUS = {"job", "instance"}


def expressions() -> list[str]:
    """The queries of all panels, with the variables filled in."""
    return [
        re.sub("|".join(re.escape(name) for name in VARIABLES), lambda v: VARIABLES[v[0]], expr)
        for panel in DASHBOARD["panels"]
        for expr in (target["expr"] for target in panel["targets"])
    ]


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a cache that has answered requests."""
    settings = {"LRPSERVE_CACHE_BYTES": "1000000"}
    with running_server(tmp_path_factory.mktemp("busy"), settings) as server:
        ask(server)
        yield server


def ask(server: RunningServer) -> None:
    """Send a new image to both routes, and once more for the cache, and what is no image."""
    new = png(np.random.default_rng().integers(0, 255, (32, 32, 3), dtype=np.uint8))
    headers = {"Content-Type": "image/png"}
    for path, content in (
        ("/explain", new),
        ("/predict", new),
        ("/predict", new),
        ("/explain", b""),
    ):
        httpx.post(server.url + path, content=content, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, busy: RunningServer
) -> Iterator[Prometheus]:
    target = busy.url.removeprefix("http://")
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), target, ALERTS) as running:
        yield running


def test_promtool_finds_no_fault_in_our_metrics(busy: RunningServer) -> None:
    done = promtool("check", "metrics", text=httpx.get(f"{busy.url}/metrics").text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_finds_faults_in_metrics() -> None:
    text = "# TYPE lrpserve_wrong counter\nlrpserve_wrong 1\n"
    assert promtool("check", "metrics", text=text).returncode == 3


def test_each_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    rules = [{"record": f"query:{n}", "expr": expr} for n, expr in enumerate(expressions())]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.parametrize("expr", [*expressions(), *(alert["expr"] for alert in alerts())])
def test_each_query_asks_for_what_we_export(busy: RunningServer, expr: str) -> None:
    labels = exported_labels(busy)
    selectors = re.findall(r"\b([a-z_]+)\{([^}]*)\}", expr)
    assert selectors
    for name, matchers in selectors:
        if name == "up":
            continue
        assert name in labels
        used = set(re.findall(r"(\w+)\s*[=!]~?", matchers))
        assert used <= labels[name] | OF_PROMETHEUS
    for grouped in re.findall(r"by \(([^)]*)\)", expr):
        known = set.union(*(labels.get(name, set()) for name, _ in selectors))
        assert {label.strip() for label in grouped.split(",")} <= known | OF_PROMETHEUS


def exported_labels(server: RunningServer) -> dict[str, set[str]]:
    """The labels of each metric of `/metrics`."""
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def test_each_query_of_the_dashboard_has_an_answer(
    busy: RunningServer, prometheus: Prometheus
) -> None:
    unanswered = expressions()

    def are_all_answered() -> bool:
        ask(busy)
        unanswered[:] = [expr for expr in unanswered if not has_values(prometheus.query(expr))]
        return not unanswered

    wait_until(are_all_answered)


def has_values(result: list[dict[str, Any]]) -> bool:
    return any(series["value"][1] != "NaN" for series in result)


def test_prometheus_evaluates_each_alert(prometheus: Prometheus) -> None:
    wait_until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()))
    names = [alert["alert"] for alert in alerts()]
    assert [rule["name"] for rule in prometheus.rules()] == names


def test_the_tests_of_the_alerts_pass() -> None:
    done = promtool("test", "rules", str(TESTS))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_where_it_fires_and_where_it_does_not() -> None:
    cases = [
        (case["alertname"], bool(case["exp_alerts"]))
        for test in yaml.safe_load(TESTS.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    names = [alert["alert"] for alert in alerts()]
    assert sorted(cases) == sorted((name, fires) for name in names for fires in (True, False))


def test_each_alert_is_explained_for_operators() -> None:
    page = (ROOT / "docs" / "how-to" / "operate.md").read_text()
    assert [a["alert"] for a in alerts() if f"| `{a['alert']}` |" not in page] == []
