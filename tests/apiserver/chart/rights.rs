//! The operator's rights: as the chart says them, and as a real apiserver decides.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::apiserver::ApiServer;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::helm::{HELMS, NAMESPACE, at, objects, template, text, value_set, value_sets};

/// Verb; resource, with its group behind a dot and its subresource behind a slash, or path; name
/// ("" for any); namespace ("" for all); answer.
type Question = (&'static str, &'static str, &'static str, &'static str, bool);

#[test]
fn every_rule_is_narrow_and_has_a_reason() -> Result<()> {
    for values in value_sets()? {
        let rendered = template(HELMS[0], &["--values", text(&values)?])?;
        let mut before = "";
        for line in rendered.lines() {
            let reason = before.starts_with("# ") && before.ends_with('.');
            let is_rule = line.starts_with("- apiGroups:") || line.starts_with("- nonResourceURLs:");
            ensure!(!is_rule || reason, "{before:?} is no reason");
            before = line;
        }
        for object in objects(&rendered)? {
            for rule in object.pointer("/rules").and_then(Value::as_array).into_iter().flatten() {
                ensure!(!rule.to_string().contains('*'), "{rule}");
                let secrets =
                    rule.pointer("/resources").is_some_and(|resources| *resources == json!(["secrets"]));
                ensure!(secrets || !rule.to_string().contains("secrets"), "{rule}");
                let name = rule.pointer("/resourceNames/0").and_then(Value::as_str);
                let written = name.is_some_and(|name| name.ends_with("-report"))
                    && at(&object, "/metadata/namespace") == NAMESPACE;
                let verbs = if written { json!(["get", "create", "patch"]) } else { json!(["get"]) };
                let named = name.is_some() && rule.pointer("/verbs") == Some(&verbs);
                ensure!(!secrets || (named && at(&object, "/kind") == "Role"), "{rule}");
            }
        }
    }
    Ok(())
}

/// Whoever takes a right away, or adds one, has to say here that it is needed; the cluster's tests
/// use every one of them.
#[test]
fn the_rules_are_what_is_needed() -> Result<()> {
    let rendered = template(HELMS[0], &["--values", text(&value_set("default"))?])?;
    let mut given = BTreeSet::new();
    for object in objects(&rendered)? {
        for rule in object.pointer("/rules").and_then(Value::as_array).into_iter().flatten() {
            let list = |path| rule.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
            let group = rule.pointer("/apiGroups/0").and_then(Value::as_str).unwrap_or_default();
            let resources = list("/resources").into_iter().map(|resource| {
                let (resource, sub) = split(resource.as_str().unwrap_or_default(), '/');
                [resource, &suffix('.', group), &suffix('/', sub)].concat()
            });
            let paths = list("/nonResourceURLs");
            for what in resources.chain(paths.iter().filter_map(Value::as_str).map(str::to_owned)) {
                let verbs = list("/verbs");
                given.extend(verbs.iter().filter_map(Value::as_str).map(|verb| format!("{verb} {what}")));
            }
        }
    }
    let needed: BTreeSet<_> = needed().map(|(verb, what, ..)| format!("{verb} {what}")).collect();
    assert_eq!(given, needed);
    Ok(())
}

#[test]
fn the_apiserver_grants_what_is_needed_and_no_more() -> Result<()> {
    let server = ApiServer::start()?;
    for namespace in [NAMESPACE, "spire-edge", "spire-server", "spire-system"] {
        server.kubectl(&["create", "namespace", namespace])?;
    }
    let by_default: Vec<_> = needed().chain(BY_DEFAULT.iter().copied()).collect();
    expect(&server, "default", "keylime-attestor", &by_default)?;
    expect(&server, "namespaces", "attestor", LISTED)?;
    expect(&server, "default", "keylime-attestor-uninstall", REFUSES)?;
    expect(&server, "namespaces", "attestation-uninstall", WITHDRAWS)?;
    expect(&server, "attestor", "keylime-attestor", SECRETS_OF_VALUES)
}

/// What Kubernetes' own roles take in, asked as somebody who is bound to ours in its place: nobody
/// aggregates here.
#[test]
fn people_see_and_write_resources_and_nothing_of_the_operator() -> Result<()> {
    let server = ApiServer::start()?;
    let rendered = objects(&template(HELMS[0], &["--values", text(&value_set("namespaces"))?])?)?;
    let folder = TempDir::new()?;
    for (role, aggregated, questions) in [("view", &["view"][..], VIEW), ("edit", &["admin", "edit"], EDIT)] {
        let name = format!("attestation-{role}");
        let found =
            rendered.iter().find(|object| at(object, "/metadata/name") == name).context(name.clone())?;
        let labels = found.pointer("/metadata/labels").and_then(Value::as_object).context("no labels")?;
        let prefix = "rbac.authorization.k8s.io/aggregate-to-";
        let to: Vec<_> = labels.keys().filter_map(|key| key.strip_prefix(prefix)).collect();
        assert_eq!(to, aggregated);
        let file = folder.path().join("role.json");
        fs::write(&file, found.to_string())?;
        server.kubectl(&["create", "--validate=strict", "--filename", text(&file)?])?;
        let user = format!("--serviceaccount={NAMESPACE}:{role}");
        server.kubectl(&["create", "clusterrolebinding", &name, &format!("--clusterrole={name}"), &user])?;
        let reviews: Vec<_> = questions.iter().map(|question| review(role, question)).collect();
        answer(&server, &folder, role, questions, &reviews)?;
    }
    Ok(())
}

const VIEW: &[Question] = &[
    ("get", "keylimeattestors.spire.keylime.dev", "spire", "spire-server", true),
    ("list", "keylimeattestors.spire.keylime.dev", "", "", true),
    ("watch", "attestednodes.spire.keylime.dev", "", "", true),
    ("patch", "keylimeattestors.spire.keylime.dev", "spire", "spire-server", false),
    ("get", "secrets", "keylime-admin-client", "spire-server", false),
];

const EDIT: &[Question] = &[
    ("create", "keylimeattestors.spire.keylime.dev", "", "spire-server", true),
    ("delete", "keylimeattestors.spire.keylime.dev", "spire", "spire-server", true),
    ("patch", "keylimeattestors.spire.keylime.dev/status", "spire", "spire-server", false),
    ("patch", "attestednodes.spire.keylime.dev", "worker-1", "", false),
    ("patch", "nodes", "worker-1", "", false),
];

/// The requests of the operator: verbs, kind, and namespace.
const NEEDED: &[(&str, &str, &str)] = &[
    ("get list watch patch", "keylimeattestors.spire.keylime.dev", "spire-system"),
    ("patch", "keylimeattestors.spire.keylime.dev/status", "spire-system"),
    ("get list watch create patch delete", "configmaps", "spire-system"),
    ("get list watch patch", "daemonsets.apps", "spire-system"),
    ("get list watch patch", "deployments.apps", "spire-system"),
    ("get list watch patch", "statefulsets.apps", "spire-system"),
    ("list watch delete", "pods", "spire-system"),
    ("get", "pods/log", "spire-system"),
    ("list create patch", "events.events.k8s.io", "spire-system"),
    ("list watch patch", "nodes", ""),
    ("list watch create patch delete", "attestednodes.spire.keylime.dev", ""),
    ("patch", "attestednodes.spire.keylime.dev/status", ""),
    ("list watch create patch delete", "clusterstaticentries.spire.spiffe.io", ""),
    ("get", "pods", NAMESPACE),
    ("create get patch", "leases.coordination.k8s.io", NAMESPACE),
    ("get", "/metrics", ""),
    ("create", "subjectaccessreviews.authorization.k8s.io", ""),
    ("get create patch", "secrets", NAMESPACE),
];

fn needed() -> impl Iterator<Item = Question> {
    let each = |(verbs, what, namespace): &(&'static str, &'static str, &'static str)| {
        let (what, namespace) = (*what, *namespace);
        // The objects whose names are in a rule.
        let name = match what {
            "leases.coordination.k8s.io" => "keylime-attestor-operator",
            "secrets" => "keylime-attestor-report",
            _ => "",
        };
        // By server-side apply, what is made has a name.
        let any = move |verb| verb == "create" && what != "secrets";
        verbs.split(' ').map(move |verb| (verb, what, if any(verb) { "" } else { name }, namespace, true))
    };
    NEEDED.iter().flat_map(each)
}

/// With two namespaces, and no Secret.
const BY_DEFAULT: &[Question] = &[
    ("list", "keylimeattestors.spire.keylime.dev", "", "", true),
    ("watch", "keylimeattestors.spire.keylime.dev", "", "", false),
    ("patch", "keylimeattestors.spire.keylime.dev", "spire", "tenant", false),
    ("patch", "keylimeattestors.spire.keylime.dev/status", "spire", "tenant", true),
    ("get", "configmaps", "x", "tenant", false),
    ("patch", "daemonsets.apps", "x", "tenant", false),
    ("create", "keylimeattestors.spire.keylime.dev", "", "spire-system", false),
    ("delete", "keylimeattestors.spire.keylime.dev", "spire", "spire-system", false),
    ("patch", "statefulsets.apps", "spire-server", "spire-server", true),
    ("create", "statefulsets.apps", "", "spire-server", false),
    ("delete", "daemonsets.apps", "spire-agent", "spire-system", false),
    ("list", "pods", "", "", false),
    ("watch", "pods", "", "", false),
    ("delete", "pods", "spire-server-0", "spire-server", true),
    ("get", "pods/log", "spire-server-0", "spire-server", true),
    ("create", "pods", "", "spire-system", false),
    ("patch", "pods", "spire-server-0", "spire-server", false),
    ("create", "pods/exec", "x", "spire-system", false),
    ("update", "nodes", "worker-1", "", false),
    ("delete", "nodes", "worker-1", "", false),
    ("patch", "nodes/status", "worker-1", "", false),
    ("create", "events.events.k8s.io", "", "default", true),
    ("get", "secrets", "keylime-admin-client", "spire-server", false),
    ("list", "secrets", "", "", false),
    ("list", "secrets", "", NAMESPACE, false),
    ("create", "secrets", "", NAMESPACE, false),
    ("get", "secrets", "other", NAMESPACE, false),
    ("delete", "secrets", "keylime-attestor-report", NAMESPACE, false),
    ("patch", "secrets", "keylime-attestor-report", "spire-server", false),
    ("patch", "leases.coordination.k8s.io", "other", NAMESPACE, false),
    ("patch", "leases.coordination.k8s.io", "keylime-attestor-operator", "kube-system", false),
    ("patch", "clusterroles.rbac.authorization.k8s.io", "keylime-attestor", "", false),
    ("patch", "customresourcedefinitions.apiextensions.k8s.io", "x", "", false),
];

/// With two namespaces listed, and Secrets in them.
const LISTED: &[Question] = &[
    ("get", "/metrics", "", "", false),
    ("get", "/logs/", "", "", false),
    ("list", "nodes", "", "", true),
    ("watch", "nodes", "", "", true),
    ("patch", "nodes", "worker-1", "", true),
    ("update", "nodes", "worker-1", "", false),
    ("delete", "nodes", "worker-1", "", false),
    ("patch", "nodes/status", "worker-1", "", false),
    ("create", "attestednodes.spire.keylime.dev", "", "", true),
    ("delete", "attestednodes.spire.keylime.dev", "worker-1", "", true),
    ("patch", "attestednodes.spire.keylime.dev/status", "worker-1", "", true),
    ("create", "events.events.k8s.io", "", "default", true),
    ("watch", "pods", "", "spire-system", true),
    ("list", "configmaps", "", "default", false),
    ("watch", "keylimeattestors.spire.keylime.dev", "", "", false),
    ("watch", "keylimeattestors.spire.keylime.dev", "", "spire-system", true),
    ("watch", "keylimeattestors.spire.keylime.dev", "", NAMESPACE, false),
    ("patch", "statefulsets.apps", "spire-server", "spire-server", true),
    ("patch", "deployments.apps", "coredns", "kube-system", false),
    ("get", "configmaps", "x", "kube-system", false),
    ("list", "pods", "", "", false),
    ("get", "pods", "keylime-attestor-1", NAMESPACE, true),
    ("list", "pods", "", NAMESPACE, false),
    ("get", "secrets", "keylime-admin-client", "spire-server", true),
    ("get", "secrets", "keylime-other", "spire-server", true),
    ("get", "secrets", "keylime-a", "spire-system", true),
    ("get", "secrets", "keylime-a", "spire-server", false),
    ("get", "secrets", "keylime-admin-client", "spire-system", false),
    ("get", "secrets", "spire-ca", "spire-server", false),
    ("list", "secrets", "", "spire-server", false),
    ("watch", "secrets", "", "spire-server", false),
    ("patch", "secrets", "keylime-admin-client", "spire-server", false),
];

/// Of what runs before the release is deleted.
const REFUSES: &[Question] = &[
    ("list", "keylimeattestors.spire.keylime.dev", "", "spire-system", true),
    ("get", "keylimeattestors.spire.keylime.dev", "spire", "spire-system", false),
    ("delete", "keylimeattestors.spire.keylime.dev", "spire", "spire-system", false),
    ("list", "keylimeattestors.spire.keylime.dev", "", "", false),
    ("list", "pods", "", "spire-system", false),
    ("get", "secrets", "keylime-attestor-report", NAMESPACE, false),
];

/// The same, where it deletes the resources.
const WITHDRAWS: &[Question] = &[
    ("list", "keylimeattestors.spire.keylime.dev", "", "spire-server", true),
    ("delete", "keylimeattestors.spire.keylime.dev", "spire", "spire-server", true),
    ("delete", "keylimeattestors.spire.keylime.dev", "spire", "tenant", false),
    ("patch", "keylimeattestors.spire.keylime.dev", "spire", "spire-server", false),
    ("patch", "statefulsets.apps", "spire-server", "spire-server", false),
    ("get", "secrets", "keylime-admin-client", "spire-server", false),
];

/// The Secrets of the resource that comes from the values are where SPIRE's server is, and its
/// agents.
const SECRETS_OF_VALUES: &[Question] = &[
    ("get", "secrets", "keylime-node-client", "spire-system", true),
    ("get", "secrets", "keylime-node-client", "spire-edge", false),
    ("get", "secrets", "keylime-edge-client", "spire-edge", true),
    ("get", "secrets", "keylime-edge-client", "spire-system", false),
    ("get", "secrets", "keylime-node-client", "spire-server", false),
    ("get", "secrets", "keylime-admin-client", "spire-server", true),
    ("get", "secrets", "keylime-admin-client", "spire-system", false),
    ("get", "secrets", "keylime-admin-client", NAMESPACE, false),
];

/// Asks about the ServiceAccount while the chart's roles and bindings are in place.
fn expect(server: &ApiServer, values: &str, account: &str, questions: &[Question]) -> Result<()> {
    let rendered = objects(&template(HELMS[0], &["--values", text(&value_set(values))?])?)?;
    let rights = rendered.iter().filter(|object| at(object, "/apiVersion") == "rbac.authorization.k8s.io/v1");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": rights.collect::<Vec<_>>()});
    let folder = TempDir::new()?;
    let rights = folder.path().join("rights.json");
    fs::write(&rights, list.to_string())?;
    server.kubectl(&["create", "--validate=strict", "--filename", text(&rights)?])?;

    let reviews: Vec<_> = questions.iter().map(|question| review(account, question)).collect();
    answer(server, &folder, values, questions, &reviews)?;
    server.kubectl(&["delete", "--filename", text(&rights)?])?;
    Ok(())
}

/// Expects the answers of the questions.
fn answer(
    server: &ApiServer,
    folder: &TempDir,
    values: &str,
    questions: &[Question],
    reviews: &[Value],
) -> Result<()> {
    let file = folder.path().join("reviews.json");
    fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": reviews}).to_string())?;
    let answers = server.kubectl(&["create", "--filename", text(&file)?, "--output", "json"])?;
    let answers = serde_json::Deserializer::from_str(&answers).into_iter::<Value>();
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(answers.len(), questions.len());
    for (question, answer) in questions.iter().zip(&answers) {
        let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool).context("no answer")?;
        assert_eq!(allowed, question.4, "{values}: {question:?}");
    }
    Ok(())
}

fn split(text: &str, at: char) -> (&str, &str) {
    text.split_once(at).unwrap_or((text, ""))
}

fn suffix(mark: char, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{mark}{text}") }
}

fn review(account: &str, (verb, what, name, namespace, _): &Question) -> Value {
    let (about, attributes) = if what.starts_with('/') {
        ("nonResourceAttributes", json!({"verb": verb, "path": what}))
    } else {
        let (what, subresource) = split(what, '/');
        let (resource, group) = split(what, '.');
        let attributes = json!({
            "verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name, "namespace": namespace,
        });
        ("resourceAttributes", attributes)
    };
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{NAMESPACE}:{account}"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{NAMESPACE}"), "system:authenticated"],
            (about): attributes,
        },
    })
}
