//! The node aliases that fit a configuration of `spire-controller-manager`. Pure.

use serde_json::{Map, Value};

use super::DEFAULT;
use super::config::{self, Error};
use crate::model::alias::Aliases;

/// The aliases in place of the agents of SPIRE's own attestor, or why none can stand in.
pub(crate) fn aliases(configuration: &str, plugin: &str) -> Result<Aliases, String> {
    let template = config::parent_id_template(configuration).map_err(|error: Error| error.to_string())?;
    if template.is_some_and(|template| !is_default(&template)) {
        return Err("parentIDTemplate names other agents than those of k8s_psat".to_owned());
    }
    let settings = config::read(configuration).map_err(|error| error.to_string())?;
    if !makes_static_entries(&settings) {
        return Err("reconcile.clusterStaticEntries is not true".to_owned());
    }
    let text = |key: &str| settings.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Aliases {
        trust_domain: segment(text("trustDomain"), "trustDomain")?,
        cluster: segment(text("clusterName"), "clusterName")?,
        class: Some(text("className")).filter(|class| !class.is_empty()),
        plugin: plugin.to_owned(),
    })
}

/// True for the program's own template, however its actions are spaced.
fn is_default(template: &str) -> bool {
    let without_spaces = |text: &str| text.replace(' ', "");
    without_spaces(template) == without_spaces(DEFAULT)
}

/// Without a choice it makes entries of every kind.
fn makes_static_entries(settings: &Map<String, Value>) -> bool {
    match settings.get("reconcile") {
        None | Some(Value::Null) => true,
        Some(chosen) => chosen.get("clusterStaticEntries") == Some(&Value::Bool(true)),
    }
}

/// A value that can stand in a SPIFFE ID as it is: a variable of the environment cannot.
fn segment(value: String, key: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match !value.is_empty() && value.chars().all(fits) && !matches!(value.as_str(), "." | "..") {
        true => Ok(value),
        false => Err(format!("{key} is no name that can stand in a SPIFFE ID")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHART: &str = include_str!("../../../testdata/controller-manager/chart.yaml");

    #[test]
    fn a_chart_s_configuration_tells_them() {
        let expected = Aliases {
            trust_domain: "example.org".to_owned(),
            cluster: "example-cluster".to_owned(),
            class: Some("spire-server-spire".to_owned()),
            plugin: "keylime".to_owned(),
        };
        assert_eq!(aliases(CHART, "keylime"), Ok(expected.clone()));
        let tight = CHART.replace("{{ .TrustDomain }}", "{{.TrustDomain}}");
        assert_eq!(aliases(&tight, "keylime"), Ok(expected.clone()));
        let without = CHART.lines().filter(|line| !line.starts_with("parentIDTemplate"));
        let without: String = without.map(|line| format!("{line}\n")).collect();
        assert_eq!(aliases(&without, "keylime"), Ok(expected));
        let classless = CHART.replace("className: \"spire-server-spire\"\n", "");
        assert_eq!(aliases(&classless, "keylime").unwrap().class, None);
    }

    #[test]
    fn where_they_cannot_stand_in_the_reason_is_told() {
        for (from, to, part) in [
            ("/spire/agent/k8s_psat/", "/spire/agent/aws_iid/", "parentIDTemplate"),
            ("clusterStaticEntries: true", "clusterStaticEntries: false", "clusterStaticEntries"),
            ("  clusterStaticEntries: true\n", "", "clusterStaticEntries"),
            ("clusterName: example-cluster", "clusterName: $CLUSTER", "clusterName"),
            ("clusterName: example-cluster", "clusterName: a/b", "clusterName"),
            ("trustDomain: example.org\n", "", "trustDomain"),
            ("kind: ControllerManagerConfig", "kind: Other", "kind"),
        ] {
            let changed = CHART.replace(from, to);
            assert_ne!(changed, CHART);
            let error = aliases(&changed, "keylime").unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
