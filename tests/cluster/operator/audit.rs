//! The operator's requests, by the apiserver's own audit log.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::cluster::{Cluster, OPERATOR};
use lab::wait;
use serde_json::Value;

use super::resource::TIMEOUT;

/// Verbs that change nothing.
const READS: [&str; 3] = ["get", "list", "watch"];

/// A request of the operator.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Request {
    verb: String,
    group: String,
    /// With its subresource behind a slash.
    resource: String,
    namespace: String,
    name: String,
    uri: String,
    code: u64,
}

impl Request {
    /// Whether it was to change something, the Lease left aside, which is renewed as long as the
    /// operator lives.
    pub(crate) fn is_write(&self) -> bool {
        !READS.contains(&self.verb.as_str()) && self.resource != "leases"
    }

    /// The rights that it needed: what is applied and was not there is created.
    fn rights(&self) -> Vec<String> {
        let created = (self.code == 201).then_some("create");
        created
            .into_iter()
            .chain([self.verb.as_str()])
            .map(|verb| format!("{verb} {}", self.what()))
            .collect()
    }

    /// Its resource, or the path of one that is about none.
    fn what(&self) -> &str {
        if self.resource.is_empty() { &self.uri } else { &self.resource }
    }

    /// Whether it asks if the apiserver is ready. Everybody may, and an apiserver that has not read
    /// its roles yet refuses it.
    fn asks_if_ready(&self) -> bool {
        self.uri == "/readyz"
    }

    /// Tells if it is the one that each reconcile of the resource begins with.
    fn is_reconcile(&self) -> bool {
        self.verb == "get" && self.resource == "keylimeattestors"
    }
}

/// All requests of the operator so far.
pub(crate) fn requests(cluster: &Cluster) -> Result<Vec<Request>> {
    let user = format!("system:serviceaccount:{OPERATOR}:{OPERATOR}");
    let log = fs::read_to_string(cluster.audit_log())?;
    let mut requests = Vec::new();
    // The last line may be on its way.
    for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let event: Value = serde_json::from_str(line)?;
        if event["user"]["username"] == user {
            requests.push(request(&event));
        }
    }
    Ok(requests)
}

/// Waits for a minute in which the operator reconciled the resource and wrote nothing. Its Lease
/// tells the time: it is renewed each ten seconds.
pub(crate) fn wait_for_an_idle_minute(cluster: &Cluster) -> Result<()> {
    wait::until("a minute without a write", TIMEOUT, || {
        let requests = requests(cluster)?;
        let since = requests.iter().rposition(Request::is_write).map_or(0, |last| last + 1);
        let idle = requests.get(since..).unwrap_or_default();
        let renewals =
            idle.iter().filter(|request| request.verb == "patch" && request.resource == "leases").count();
        let reconciles = idle.iter().filter(|request| request.is_reconcile()).count();
        let last = since.checked_sub(1).and_then(|last| requests.get(last));
        ensure!(
            renewals >= 6 && reconciles >= 1,
            "{renewals} renewals and {reconciles} reconciles came after {last:?}"
        );
        Ok(())
    })
}

/// No request was refused, none was outside of the chart's rules.
pub(crate) fn expect_within_rights(cluster: &Cluster) -> Result<()> {
    let rules = rules(cluster)?;
    for request in requests(cluster)?.into_iter().filter(|request| !request.asks_if_ready()) {
        ensure!(!matches!(request.code, 401 | 403), "it was refused: {request:?}");
        ensure!(rules.iter().any(|rule| rule.allow(&request)), "no rule is for it: {request:?}");
    }
    Ok(())
}

/// The rights that no request has used: verb and resource.
pub(crate) fn unused_rights(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let used: BTreeSet<_> = requests(cluster)?.iter().flat_map(Request::rights).collect();
    let rights = rules(cluster)?.into_iter().flat_map(|rule| {
        let what = [rule.resources, rule.paths].concat();
        rule.verbs
            .into_iter()
            .flat_map(move |verb| what.clone().into_iter().map(move |what| format!("{verb} {what}")))
    });
    Ok(rights.filter(|right| !used.contains(right)).collect())
}

/// A rule of a role of the chart's.
#[derive(Debug)]
struct Rule {
    /// The role's namespace. Empty: everywhere.
    namespace: String,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    /// Of requests that are about no resource.
    paths: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    fn allow(&self, request: &Request) -> bool {
        if !self.verbs.contains(&request.verb) {
            return false;
        }
        if request.resource.is_empty() {
            return self.paths.contains(&request.uri);
        }
        (self.namespace.is_empty() || self.namespace == request.namespace)
            && self.groups.contains(&request.group)
            && self.resources.contains(&request.resource)
            && (self.names.is_empty() || self.names.contains(&request.name))
    }
}

fn rules(cluster: &Cluster) -> Result<Vec<Rule>> {
    let label = format!("app.kubernetes.io/instance={OPERATOR}");
    let roles = cluster.kubectl(&[
        "get",
        "clusterroles,roles",
        "--all-namespaces",
        "--selector",
        &label,
        "--output",
        "json",
    ])?;
    let roles: Value = serde_json::from_str(&roles)?;
    let mut rules = Vec::new();
    for role in roles["items"].as_array().context("no list of roles")? {
        for rule in role["rules"].as_array().context("a role without rules")? {
            rules.push(Rule {
                namespace: text(&role["metadata"]["namespace"]),
                groups: texts(&rule["apiGroups"]),
                resources: texts(&rule["resources"]),
                names: texts(&rule["resourceNames"]),
                paths: texts(&rule["nonResourceURLs"]),
                verbs: texts(&rule["verbs"]),
            });
        }
    }
    ensure!(!rules.is_empty(), "the chart's roles are not there");
    Ok(rules)
}

fn request(event: &Value) -> Request {
    let object = &event["objectRef"];
    let resource = match text(&object["subresource"]) {
        sub if sub.is_empty() => text(&object["resource"]),
        sub => format!("{}/{sub}", text(&object["resource"])),
    };
    Request {
        verb: text(&event["verb"]),
        group: text(&object["apiGroup"]),
        resource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        uri: text(&event["requestURI"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(text).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
