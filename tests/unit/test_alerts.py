"""Every alert fires when it should, is silent when all is well, and has a section that says what to do."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.prometheus import needs_prometheus, promtool
from tools.process import ROOT
from tools.prometheus import ALERTS

RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
NAMES = [rule["alert"] for rule in RULES]
PAGE = ROOT / "docs/observability.md"

GATEWAY, AUTH, WORKER = 'job="gateway", instance="g"', 'job="auth", instance="a"', 'job="auth-worker", instance="w"'


def up(job: str, number: int = 1) -> str:
    return f'up{{job="{job}", instance="{number}"}}'


def answers(status: int) -> str:
    return f'latchkey_http_requests_total{{{GATEWAY}, status="{status}"}}'


def faster_than(seconds: str) -> str:
    return f'latchkey_http_request_duration_seconds_bucket{{{GATEWAY}, le="{seconds}"}}'


def outcome(action: str, code: str) -> str:
    return f'latchkey_auth_outcomes_total{{{AUTH}, action="{action}", outcome="{code}"}}'


VIOLATIONS = f"latchkey_envelope_violations_total{{{GATEWAY}}}"
READY = f'latchkey_ready{{{GATEWAY}, check="keys"}}'
REPLICAS = f'latchkey_upstream_replicas{{{GATEWAY}, service="users"}}'
REPLICAS_READY = f'latchkey_upstream_replicas_ready{{{GATEWAY}, service="users"}}'
KEYS_AGE = f"latchkey_keys_age_seconds{{{GATEWAY}}}"
FOLLOWED = f"latchkey_revocations_followed{{{GATEWAY}}}"
BRAKES = f"latchkey_brakes_without_redis{{{AUTH}}}"
CONFIRMATIONS = f"latchkey_confirmations_waiting{{{GATEWAY}}}"
LAG = f"latchkey_outbox_lag_seconds{{{WORKER}}}"
ROUNDS = f'latchkey_worker_rounds_total{{{WORKER}, task="outbox", result="done"}}'
KEY_AGE = f"latchkey_signing_key_age_seconds{{{WORKER}}}"
IN_USE, LIMIT = (f"latchkey_sql_connections_{what}{{{AUTH}}}" for what in ("in_use", "limit"))
HASHING_REFUSED = f"latchkey_hashing_refused_total{{{AUTH}}}"
OVER_LIMIT = f'latchkey_rate_limit_refusals_total{{{GATEWAY}, limit="network"}}'

# An hour and a half in Prometheus' words, a value for each minute: "5x90" stays, "0+60x90" grows by 60 a minute.
HEALTHY = {
    **{up(job): "1x90" for job in ("gateway", "auth", "auth-worker", "users")},
    answers(200): "0+600x90",
    answers(503): "0+1x90",
    faster_than("1.0"): "0+600x90",
    faster_than("5.0"): "0+601x90",
    faster_than("+Inf"): "0+601x90",
    outcome("refresh", "done"): "0+60x90",
    outcome("refresh", "repeated"): "0+10x90",
    outcome("refresh", "AUTH_006"): "0+0.1x90",
    outcome("refresh", "AUTH_004"): "0+1x90",
    outcome("sign_in", "done"): "0+60x90",
    outcome("sign_in", "AUTH_001"): "0+59x90",
    VIOLATIONS: "0x90",
    READY: "1x90",
    REPLICAS: "3x90",
    REPLICAS_READY: "3x90",
    KEYS_AGE: "60x90",
    FOLLOWED: "1x90",
    BRAKES: "0x90",
    CONFIRMATIONS: "20x90",
    LAG: "5x90",
    ROUNDS: "0+100x90",
    KEY_AGE: "864000x90",
    # Who serves knows nothing of the key, and says 0.
    KEY_AGE.replace(WORKER, AUTH): "0x90",
    IN_USE: "9x90",
    LIMIT: "18x90",
    HASHING_REFUSED: "0x90",
    OVER_LIMIT: "0+30x90",
}
# What is different, after how many minutes, and the alerts that fire then: these and no other.
CASES: list[tuple[dict[str, str | None], int, set[str]]] = [
    ({}, 85, set()),
    # A night with a failure now and then wakes nobody, whatever its share.
    ({answers(200): "0+20x90"}, 30, set()),
    ({answers(503): "0+10x90"}, 8, {"LatchkeyAnswersFail"}),
    ({faster_than("1.0"): "0+588x90"}, 11, {"LatchkeyIsSlow"}),
    ({outcome("refresh", "AUTH_004"): "0+20x90"}, 16, {"LatchkeyRefreshesFail"}),
    ({VIOLATIONS: "0x5 1x85"}, 7, {"LatchkeyEnvelopeBroken"}),
    ({up("users"): None}, 2, {"LatchkeyRoomGone"}),
    ({up("users"): "0x90"}, 3, {"LatchkeyRoomGone", "LatchkeyReplicaDown"}),
    ({up("edge"): "1x90"}, 85, set()),
    ({up("edge"): "0x90"}, 2, {"LatchkeyRoomGone"}),
    ({up("users", 2): "0x90"}, 3, {"LatchkeyReplicaDown"}),
    ({READY: "0x90"}, 3, {"LatchkeyNotReady"}),
    ({REPLICAS_READY: "2x90"}, 6, {"LatchkeyReplicasLeftOut"}),
    ({KEYS_AGE: "300x90"}, 2, {"LatchkeyKeysStale"}),
    ({FOLLOWED: "0x90"}, 2, {"LatchkeyEndedSessionsLive"}),
    ({BRAKES: "1x90"}, 3, {"LatchkeyBrakesWithoutRedis"}),
    ({CONFIRMATIONS: "1000x90"}, 6, {"LatchkeyConfirmationsWait"}),
    ({LAG: "120x90"}, 3, {"LatchkeyOutboxLags"}),
    ({ROUNDS: "7x90"}, 11, {"LatchkeyTaskStandsStill"}),
    ({KEY_AGE: "8726400x90"}, 61, {"LatchkeyKeyIsOld"}),
    ({IN_USE: "17x90"}, 3, {"LatchkeyConnectionsFull"}),
    ({HASHING_REFUSED: "0+1x90"}, 4, {"LatchkeyHashingRefuses"}),
    ({OVER_LIMIT: "0+120x90"}, 16, {"LatchkeyLimitsRefuse"}),
    ({outcome("sign_in", "AUTH_001"): "0+120x90"}, 22, {"LatchkeyGuessing"}),
    ({outcome("refresh", "AUTH_006"): "0+0.5x90"}, 61, {"LatchkeyStolenTokens"}),
]


def case(changes: dict[str, str | None], minutes: int, firing: set[str]) -> dict[str, Any]:
    """One test of promtool."""
    series = {name: values for name, values in {**HEALTHY, **changes}.items() if values}
    return {
        "interval": "1m",
        "name": f"{changes}",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"}) ^ 0',
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)],
            }
        ],
    }


def tried(folder: Path, rules: str) -> subprocess.CompletedProcess[str]:
    """What promtool says to all cases about these rules."""
    (folder / "rules.yml").write_text(rules)
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [case(*entry) for entry in CASES]}
    (folder / "tests.yml").write_text(json.dumps(tests))
    return promtool("test", "rules", folder / "tests.yml")


@needs_prometheus
def test_prometheus_understands_the_alerts() -> None:
    finished = promtool("check", "rules", ALERTS)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"{len(RULES)} rules found" in finished.stdout


@needs_prometheus
def test_what_is_wrong_is_told_and_nothing_else(tmp_path: Path) -> None:
    finished = tried(tmp_path, ALERTS.read_text())
    assert finished.returncode == 0, finished.stdout + finished.stderr


@needs_prometheus
def test_no_alert_can_be_broken_unseen(tmp_path: Path) -> None:
    rules = yaml.safe_load(ALERTS.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = "vector(0) > 1"
    finished = tried(tmp_path, json.dumps(rules))
    assert finished.returncode == 1
    missed = re.findall(r'\{alertname="(\w+)"\} 1E\+00', finished.stdout + finished.stderr)
    assert set(missed) == set(NAMES)


def test_every_alert_has_a_section_that_says_what_to_do_and_there_is_no_other() -> None:
    _, _, sections = PAGE.read_text().partition("## Alerts\n")
    told = re.findall(r"^### (Latchkey\w+)\n\n(.+)", sections.partition("\n## ")[0], re.MULTILINE)
    assert [name for name, _ in told] == NAMES
    assert {rule["annotations"]["runbook"] for rule in RULES} == {
        f"docs/observability.md#{name.lower()}" for name in NAMES
    }


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_says_in_a_sentence_what_is_wrong_and_how_urgent_it_is(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["runbook"].endswith(f"#{rule['alert'].lower()}")
    assert rule["labels"]["severity"] in ("page", "ticket")
