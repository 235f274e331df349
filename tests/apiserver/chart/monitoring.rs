//! Alerts and dashboard: as Prometheus itself reads the rules, and against the metrics that the
//! operator has.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab::process::output;
use lab::programs::installed;
use serde_json::Value;
use tempfile::TempDir;

use super::helm::{HELMS, at, chart, objects, read, repository, template, text, value_set};

/// The prefix of the operator's metrics.
const PREFIX: &str = "keylime_attestor_";

#[test]
fn prometheus_takes_the_rules() -> Result<()> {
    let folder = TempDir::new()?;
    for helm in HELMS {
        let rules = folder.path().join("rules.yaml");
        fs::write(&rules, rendered(helm, "PrometheusRule")?["spec"].to_string())?;
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", text(&rules)?])?;
    }
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", text(&chart().join("files/alerts.yaml"))?])
}

/// Each fires for what it is about, in time, and for nothing else.
#[test]
fn every_alert_fires_when_it_should() -> Result<()> {
    let series = repository().join("tests/testdata/chart/alerts.yaml");
    promtool(&["test", "rules", text(&series)?])?;
    let tested: Value = serde_yaml::from_str(&read(&series)?)?;
    for alert in alerts()? {
        let (name, tested) = (at(&alert, "/alert"), tested.to_string());
        let fires = format!(r#"ALERTS{{alertname=\"{name}\", alertstate=\"firing\""#);
        ensure!(tested.contains(&fires), "no series lets {name} fire");
    }
    Ok(())
}

#[test]
fn every_alert_says_what_to_do() -> Result<()> {
    for alert in alerts()? {
        for member in ["/labels/severity", "/annotations/summary", "/annotations/description"] {
            ensure!(!at(&alert, member).is_empty(), "{member} is not in {alert:#}");
        }
    }
    Ok(())
}

/// Each alert leads to its section of the runbook, and no section is of an alert that is no more.
#[test]
fn every_alert_has_its_section_in_the_runbook() -> Result<()> {
    const RUNBOOK: &str = "operator/docs/runbook.md";
    let document = read(&repository().join(RUNBOOK))?;
    let sections: BTreeSet<&str> = document.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts()?;
    let named: BTreeSet<&str> = alerts.iter().map(|alert| at(alert, "/alert")).collect();
    assert_eq!(sections, named);
    for alert in &alerts {
        let anchor = format!("{RUNBOOK}#{}", at(alert, "/alert").to_lowercase());
        assert_eq!(at(alert, "/annotations/runbook_url"), anchor);
    }
    // Where it can be read, the chart is told.
    let elsewhere = "prometheusRule.runbook=https://wiki.example/runbook";
    let values = value_set("namespaces");
    for helm in HELMS {
        let set = ["--values", text(&values)?, "--set", elsewhere];
        let rule = objects(&template(helm, &set)?)?;
        let rule = rule.iter().find(|object| at(object, "/kind") == "PrometheusRule").context("no rule")?;
        let url = at(rule, "/spec/groups/0/rules/0/annotations/runbook_url");
        assert_eq!(url, "https://wiki.example/runbook#keylimenodesfailing");
    }
    Ok(())
}

#[test]
fn grafana_gets_the_dashboard() -> Result<()> {
    let file = read(&chart().join("files/dashboard.json"))?;
    let dashboard: Value = serde_json::from_str(&file)?;
    for helm in HELMS {
        let map = rendered(helm, "ConfigMap")?;
        let rendered: Value = serde_json::from_str(at(&map, "/data/keylime-attestor.json"))?;
        assert_eq!(rendered, dashboard);
    }
    let panels = dashboard.pointer("/panels").and_then(Value::as_array).context("no panels")?;
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "ids of panels come twice");
    for panel in panels {
        ensure!(at(panel, "/datasource/uid") == "${datasource}", "{panel:#}");
        ensure!(panel.pointer("/targets/0/expr").is_some(), "{panel:#}");
    }
    Ok(())
}

/// Each expression as Prometheus reads it, with Grafana's variables filled in.
#[test]
fn prometheus_takes_what_the_dashboard_asks() -> Result<()> {
    for expression in expressions()? {
        let filled =
            expression.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$name", ".*");
        promtool(&["promql", "--experimental", "format", &filled])?;
    }
    Ok(())
}

/// Nothing asks for a metric that the operator does not have.
#[test]
fn alerts_and_dashboard_ask_for_the_metrics_of_the_operator() -> Result<()> {
    let listed = read(&repository().join("operator/testdata/metrics.txt"))?;
    let has: BTreeSet<&str> = listed.lines().collect();
    ensure!(!has.is_empty(), "the list is empty");
    let mut asked = expressions()?;
    for alert in alerts()? {
        asked.push(at(&alert, "/expr").to_owned());
    }
    let asked: BTreeSet<&str> = asked.iter().flat_map(|expression| metrics(expression)).collect();
    let unknown: Vec<_> = asked.iter().filter(|metric| !has.contains(**metric)).collect();
    ensure!(unknown.is_empty(), "the operator does not have {unknown:?}");
    Ok(())
}

/// Names of metrics in an expression.
fn metrics(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|word| word.starts_with(PREFIX))
}

/// All that the dashboard asks, also to fill in its variables.
fn expressions() -> Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(&read(&chart().join("files/dashboard.json"))?)?;
    let list =
        |pointer: &str| dashboard.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let targets = list("/panels")
        .into_iter()
        .flat_map(|panel| panel.get("targets").and_then(Value::as_array).cloned().unwrap_or_default());
    let mut asked: Vec<String> = targets.map(|target| at(&target, "/expr").to_owned()).collect();
    for variable in list("/templating/list") {
        let query = at(&variable, "/query").strip_prefix("label_values(");
        asked.extend(query.and_then(|query| Some(query.rsplit_once(',')?.0.to_owned())));
    }
    Ok(asked)
}

fn alerts() -> Result<Vec<Value>> {
    let rules: Value = serde_yaml::from_str(&read(&chart().join("files/alerts.yaml"))?)?;
    let alerts = rules.pointer("/groups/0/rules").and_then(Value::as_array).context("no rules")?;
    Ok(alerts.clone())
}

fn rendered(helm: lab::cluster::Helm, kind: &str) -> Result<Value> {
    let objects = objects(&template(helm, &["--values", text(&value_set("namespaces"))?])?)?;
    objects.into_iter().find(|object| at(object, "/kind") == kind).with_context(|| format!("no {kind}"))
}

fn promtool(args: &[&str]) -> Result<()> {
    output(Command::new(installed("promtool/promtool")?).args(args)).map(drop)
}
