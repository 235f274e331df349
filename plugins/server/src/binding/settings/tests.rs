use super::*;

fn read(text: &str) -> (Option<Binding>, Vec<String>) {
    let mut fields = Fields::parse(text).unwrap();
    let binding = take(&mut fields, Duration::from_secs(1));
    (binding, fields.finish().iter().map(ToString::to_string).collect())
}

#[test]
fn without_the_block_there_is_no_binding() {
    let (binding, problems) = read("");
    assert!(binding.is_none() && problems.is_empty(), "{problems:?}");
}

#[test]
fn every_problem_of_the_block_is_told() {
    let (_, problems) = read(
        r#"kubernetes {
            service_accounts = ["spire:agent", "agent"]
            audience = "a b"
            binding = "off"
            allowed_node_label_keys = ["zone", "a:b"]
            apiserver = "nowhere"
            ca_file = "/nonexistent/ca"
            token_file = "/nonexistent/token"
            tokn_file = "x"
        }"#,
    );
    for (key, said) in [
        ("service_accounts", "namespace:name, got \"agent\""),
        ("audience", "without blanks"),
        ("binding", "unknown value 'off'"),
        ("allowed_node_label_keys", "got \"a:b\""),
        ("apiserver", "expected host:port"),
        ("ca_file", "/nonexistent/ca"),
        ("token_file", "/nonexistent/token"),
        ("tokn_file", "did you mean 'token_file'"),
    ] {
        let key = format!("kubernetes.{key} (line");
        let told =
            problems.iter().filter(|problem| problem.starts_with(&key) && problem.contains(said)).count();
        assert_eq!(told, 1, "{key} {said}: {problems:#?}");
    }
    assert_eq!(problems.len(), 8, "{problems:#?}");
}

#[test]
fn a_block_without_accounts_is_no_block_for_everybody() {
    for text in ["kubernetes {}", "kubernetes { service_accounts = [] }"] {
        let (_, problems) = read(text);
        assert!(
            problems.iter().any(|problem| problem.starts_with("kubernetes.service_accounts")),
            "{problems:?}"
        );
    }
}

#[test]
fn the_apiserver_is_that_of_the_pod() {
    let of = |host: Option<&str>, port: Option<&str>| {
        of_pod(host.map(str::to_owned), port.map(str::to_owned)).map(|endpoint| endpoint.to_string())
    };
    assert_eq!(of(None, None).unwrap(), "kubernetes.default.svc:443");
    assert_eq!(of(Some("10.96.0.1"), Some("6443")).unwrap(), "10.96.0.1:6443");
    assert_eq!(of(Some("fd00::1"), None).unwrap(), "[fd00::1]:443");
    assert!(of(Some("http://x"), None).is_err() && of(None, Some("https")).is_err());
}
