//! Network policies in the way of the report, by which SPIRE's server tells the operator what it
//! holds.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use keylime_attestor_api::KeylimeAttestor;
use kube::api::ListParams;
use kube::core::{Selector, SelectorExt as _};
use kube::{Api, ResourceExt as _};

use super::finding::{Finding, Subject};
use super::operator::Installed;
use crate::cluster::Cluster;
use crate::gather::Gathered;
use crate::model::target::Role;

type Labels = BTreeMap<String, String>;

/// Who connects.
struct Peer<'a> {
    namespace: &'a str,
    namespace_labels: &'a Labels,
    labels: &'a Labels,
}

pub(super) async fn findings(
    cluster: &Cluster,
    resource: &KeylimeAttestor,
    gathered: &Gathered,
    installed: Option<&Installed>,
) -> Option<Finding> {
    let port = resource.spec.enforcement.as_ref()?.report_port;
    let server = gathered.found.values().find(|found| found.role == Role::Server)?.workload.as_ref()?;
    let Some(installed) = installed else {
        return Some(Finding::ok(
            Subject::Network,
            "whether network policies let the operator read the report is checked when it is installed",
        ));
    };
    let labels = server.template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
    let api = Api::<Namespace>::all(cluster.client.clone());
    let own = api.get_opt(&installed.namespace).await.ok().flatten();
    let namespace_labels = own.map(|own| own.labels().clone()).unwrap_or_default();
    let peer = Peer {
        namespace: &installed.namespace,
        namespace_labels: &namespace_labels,
        labels: &installed.labels,
    };
    let policies = cluster.namespaced::<NetworkPolicy>(&server.key.namespace);
    let policies = match policies.list(&ListParams::default()).await {
        Ok(policies) => policies.items,
        Err(error) => {
            return Some(Finding::warning(
                Subject::Network,
                format!("whether network policies let the operator read the report is not known: {error}"),
                "Check with the right to list NetworkPolicies.",
            ));
        }
    };
    let closed_by = closed_by(&policies, &server.key.namespace, &labels.unwrap_or_default(), &peer, port);
    Some(if closed_by.is_empty() {
        Finding::ok(
            Subject::Network,
            format!("network policies let the operator reach port {port} of SPIRE's server"),
        )
    } else {
        Finding::failure(
            Subject::Network,
            format!(
                "the network policies {} in {} select SPIRE's server, and none lets the operator's pods in {} reach port {port}, where it reads the report",
                closed_by.join(", "),
                server.key.namespace,
                installed.namespace
            ),
            "Add an ingress rule for the operator's pods and that port.",
        )
    })
}

/// The policies that select the server's pods for ingress, where none of them lets the peer in.
fn closed_by(
    policies: &[NetworkPolicy],
    namespace: &str,
    server: &Labels,
    peer: &Peer<'_>,
    port: u16,
) -> Vec<String> {
    let selecting: Vec<&NetworkPolicy> =
        policies.iter().filter(|policy| is_about_ingress_of(policy, server)).collect();
    let rules =
        selecting.iter().flat_map(|policy| policy.spec.iter().flat_map(|spec| spec.ingress.iter().flatten()));
    let open = rules.into_iter().any(|rule| lets_in(rule, namespace, peer, port));
    if open { Vec::new() } else { selecting.iter().map(|policy| policy.name_any()).collect() }
}

fn is_about_ingress_of(policy: &NetworkPolicy, pod: &Labels) -> bool {
    policy.spec.as_ref().is_some_and(|spec| {
        // Left out, it is about ingress.
        let ingress = spec.policy_types.as_ref().is_none_or(|types| types.iter().any(|one| one == "Ingress"));
        ingress && spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, pod))
    })
}

fn lets_in(rule: &NetworkPolicyIngressRule, namespace: &str, peer: &Peer<'_>, port: u16) -> bool {
    let ports = rule.ports.as_deref().unwrap_or_default();
    let from = rule.from.as_deref().unwrap_or_default();
    (ports.is_empty() || ports.iter().any(|one| includes(one, port)))
        && (from.is_empty() || from.iter().any(|one| is_peer(one, namespace, peer)))
}

fn includes(rule: &NetworkPolicyPort, port: u16) -> bool {
    let tcp = rule.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
    let end = rule.end_port;
    tcp && match &rule.port {
        None => true,
        Some(IntOrString::Int(first)) => (*first..=end.unwrap_or(*first)).contains(&i32::from(port)),
        // The plugin's port has no name.
        Some(IntOrString::String(_)) => false,
    }
}

/// True for a rule's peer that takes in the operator's pods. Addresses count as doing so: which one
/// a pod gets is not known.
fn is_peer(rule: &NetworkPolicyPeer, namespace: &str, peer: &Peer<'_>) -> bool {
    if rule.ip_block.is_some() {
        return true;
    }
    let place = match &rule.namespace_selector {
        Some(selector) => selects(selector, peer.namespace_labels),
        None => peer.namespace == namespace,
    };
    place && rule.pod_selector.as_ref().is_none_or(|selector| selects(selector, peer.labels))
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels(of: &[(&str, &str)]) -> Labels {
        of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn closed(spec: Value) -> bool {
        let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "one"}, "spec": spec});
        let policy = serde_json::from_value(policy).unwrap();
        let (namespace_labels, own) = (labels(&[("team", "keylime")]), labels(&[("app", "operator")]));
        let peer = Peer { namespace: "keylime", namespace_labels: &namespace_labels, labels: &own };
        !closed_by(&[policy], "spire", &labels(&[("app", "server")]), &peer, 9797).is_empty()
    }

    #[test]
    fn what_closes_the_port_is_found() {
        let all = json!({});
        assert!(closed(json!({"podSelector": all})));
        assert!(closed(
            json!({"podSelector": {"matchLabels": {"app": "server"}}, "ingress": [{"ports": [{"port": 8081}]}]})
        ));
        assert!(closed(
            json!({"podSelector": all, "ingress": [{"ports": [{"port": 9797, "protocol": "UDP"}]}]})
        ));
        assert!(closed(json!({"podSelector": all, "ingress": [{"from": [{"podSelector": {}}]}]})));
        let other = json!({"matchLabels": {"team": "other"}});
        assert!(closed(json!({"podSelector": all, "ingress": [{"from": [{"namespaceSelector": other}]}]})));
    }

    #[test]
    fn what_lets_the_operator_in_is_none() {
        let all = json!({});
        assert!(!closed(json!({"podSelector": {"matchLabels": {"app": "other"}}})));
        assert!(!closed(json!({"podSelector": all, "policyTypes": ["Egress"]})));
        assert!(!closed(json!({"podSelector": all, "ingress": [{}]})));
        assert!(!closed(
            json!({"podSelector": all, "ingress": [{"ports": [{"port": 9000, "endPort": 9999}]}]})
        ));
        let ours = json!({"namespaceSelector": {"matchLabels": {"team": "keylime"}}, "podSelector": {"matchLabels": {"app": "operator"}}});
        assert!(!closed(
            json!({"podSelector": all, "ingress": [{"from": [ours], "ports": [{"port": 9797}]}]})
        ));
        assert!(!closed(
            json!({"podSelector": all, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]})
        ));
    }
}
