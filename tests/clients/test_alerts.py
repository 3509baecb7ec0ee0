"""The alerts and recording rules of deploy/prometheus: they load, fire when they should, and name metrics there are."""

import re
import shutil
import subprocess

import yaml

from conftest import ROOT, programs

RULES = ROOT / "deploy" / "prometheus"
FILES = ["alerts.yaml", "modelarts.yaml"]


def promtool(*arguments: str) -> str:
    tool = shutil.which("promtool") or ROOT / ".venv" / "bin" / "promtool"
    done = subprocess.run([tool, *arguments], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict]:
    groups = [group for name in FILES for group in yaml.safe_load((RULES / name).read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def test_the_rules_load():
    assert promtool("check", "rules", *FILES).count("SUCCESS") == len(FILES)


def test_alerts_fire_when_they_should_and_only_then():
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yaml")


def test_every_alert_is_seen_to_fire():
    tests = yaml.safe_load((RULES / "alerts_test.yaml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules() if "alert" in rule}


def test_rules_name_metrics_that_there_are():
    table = subprocess.run([programs() / "pangu-gateway", "metrics"], capture_output=True, text=True, check=True)
    kinds = dict(re.findall(r"^(gateway_\w+)\s+(\w+)", table.stdout, re.MULTILINE))
    named = {name for rule in rules() for name in re.findall(r"\bgateway_\w+", rule["expr"])}
    named |= set(re.findall(r"\bgateway_\w+", (RULES / "README.md").read_text()))
    assert len(named) > 10
    for name in named:
        series = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in kinds or kinds.get(series) == "histogram", name
