use super::*;

const CHART: &str = include_str!("../../../../testdata/controller-manager/chart.yaml");
const MANUAL: &str = include_str!("../../../../testdata/controller-manager/manual.yaml");
const HEAD: &str = "kind: ControllerManagerConfig\n";

fn wrapped(text: &str) -> Result<String, Error> {
    derive(text, |original| format!("<{}>", original.unwrap_or("default")))
}

#[test]
fn of_the_charts_configuration_one_line_changes() {
    let derived = wrapped(CHART).unwrap();
    let changed: Vec<_> =
        CHART.lines().zip(derived.lines()).filter(|(before, after)| before != after).collect();
    assert_eq!(
        changed,
        [(
            "parentIDTemplate: \"spiffe://{{ .TrustDomain }}/spire/agent/k8s_psat/{{ .ClusterName }}/{{ .NodeMeta.UID }}\"",
            "parentIDTemplate: '<spiffe://{{ .TrustDomain }}/spire/agent/k8s_psat/{{ .ClusterName }}/{{ .NodeMeta.UID }}>'"
        )]
    );
    assert_eq!(CHART.lines().count(), derived.lines().count());
}

#[test]
fn a_configuration_without_a_template_gets_one_line_more() {
    let derived = wrapped(MANUAL).unwrap();
    let (before, after) = derived.split_once("parentIDTemplate: '<default>'\n").unwrap();
    assert_eq!([before, after].concat(), MANUAL);
    assert_eq!(parent_id_template(&derived).unwrap().as_deref(), Some("<default>"));
}

#[test]
fn the_value_is_found_however_it_is_written() {
    for (before, after) in [
        ("parentIDTemplate: a\n", "parentIDTemplate: '<a>'\n"),
        ("parentIDTemplate:   'a'   # why\n", "parentIDTemplate:   '<a>'   # why\n"),
        ("parentIDTemplate: \"a # b\" # why # so\n", "parentIDTemplate: '<a # b>' # why # so\n"),
        ("\"parentIDTemplate\" : a\n", "\"parentIDTemplate\" : '<a>'\n"),
        ("parentIDTemplate:\n  \"a\"\n# c\nx: 1\n", "parentIDTemplate: '<a>'\n# c\nx: 1\n"),
        ("parentIDTemplate: >-\n  a\n  b\n\n  # c\nx: 1\n", "parentIDTemplate: |-\n  <a b\n  # c>\nx: 1\n"),
        ("parentIDTemplate: \"a\\\n  b\"\n\n  # c\nx: 1\n", "parentIDTemplate: '<ab>'\n\n  # c\nx: 1\n"),
        ("parentIDTemplate: it's\r\nx: 1\r\n", "parentIDTemplate: \"<it's>\"\r\nx: 1\r\n"),
        ("parentIDTemplate: |\n  a\nx: 1\n", "parentIDTemplate: |-\n  <a\n  >\nx: 1\n"),
        ("parentIDTemplate: a", "parentIDTemplate: '<a>'"),
        ("? parentIDTemplate\n: a\n", "? parentIDTemplate\n: '<a>'\n"),
        ("parentIDTemplate: ''\n", "parentIDTemplate: '<default>'\n"),
        ("parentIDTemplate:\nx: 1\n", "parentIDTemplate: '<default>'\nx: 1\n"),
    ] {
        let derived = wrapped(&format!("{HEAD}{before}")).unwrap();
        assert_eq!(derived, format!("{HEAD}{after}"), "{before:?}");
    }
}

#[test]
fn the_keys_may_stand_in_braces_or_be_indented() {
    for (before, after) in [
        (
            "{kind: ControllerManagerConfig,\nparentIDTemplate: a, x: 1\n}\n",
            "{kind: ControllerManagerConfig,\nparentIDTemplate: '<a>', x: 1\n}\n",
        ),
        (
            "  kind: ControllerManagerConfig\n  parentIDTemplate: a\n",
            "  kind: ControllerManagerConfig\n  parentIDTemplate: '<a>'\n",
        ),
    ] {
        assert_eq!(wrapped(before).unwrap(), after);
    }
}

#[test]
fn what_is_right_stays_byte_for_byte() {
    assert_eq!(derive(CHART, |original| original.unwrap().to_owned()).unwrap(), CHART);
}

#[test]
fn what_cannot_be_edited_safely_is_refused() {
    for (text, expected) in [
        ("kind: ControllerManagerConfig\nparentIDTemplate: &a b\nx: *a\n", "without touching the rest"),
        ("kind: ControllerManagerConfig\nparentIDTemplate: a\nparentIDTemplate: b\n", "as YAML"),
        ("kind: ControllerManagerConfig\n---\nkind: ControllerManagerConfig\n", "as YAML"),
        ("kind: ControllerManagerConfig\nparentIDTemplate: [a]\n", "to be a text"),
        (
            "kind: ControllerManagerConfig\nparentIDTemplate: '{{- define \"x\" }}{{ end }}'\n",
            "define or block",
        ),
        ("kind: ConfigMap\n", "got ConfigMap"),
        ("a: 1\n", "got none"),
        ("- a\n", "got no mapping"),
        ("\t", "got no mapping"),
        ("kind: [", "as YAML"),
    ] {
        let error = wrapped(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn a_key_within_something_else_is_not_taken_for_the_key() {
    let nested = "kind: ControllerManagerConfig\nx:\n  parentIDTemplate: b\n";
    assert_eq!(wrapped(nested).unwrap(), format!("{nested}parentIDTemplate: '<default>'\n"));
    let text = "kind: ControllerManagerConfig\nnote: \"a\nparentIDTemplate: b\"\n";
    assert_eq!(wrapped(text).unwrap(), format!("{text}parentIDTemplate: '<default>'\n"));
}
