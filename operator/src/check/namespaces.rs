//! The namespaces of the resource and of SPIRE, and what Pod Security enforces in them. Whether
//! SPIRE's pods pass it, their own dry run tells.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt as _};

use super::finding::{Finding, Subject};
use crate::cluster::Cluster;

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

pub(super) async fn findings(cluster: &Cluster) -> Vec<Finding> {
    let api = Api::<Namespace>::all(cluster.client.clone());
    let mut findings = Vec::new();
    for name in &cluster.namespaces {
        findings.push(match api.get_opt(name).await {
            Ok(Some(found)) => Finding::ok(
                Subject::Namespaces,
                match found.labels().get(ENFORCE) {
                    Some(level) => format!("{name} is there; Pod Security enforces {level}"),
                    None => format!("{name} is there; Pod Security enforces nothing by its label"),
                },
            ),
            Ok(None) => Finding::failure(
                Subject::Namespaces,
                format!("expected the namespace {name}, it is not there"),
                "Install SPIRE, or correct the namespaces of the KeylimeAttestor.",
            ),
            Err(error) => Finding::warning(
                Subject::Namespaces,
                format!("whether the namespace {name} is there is not known: {error}"),
                "Check with the right to get namespaces.",
            ),
        });
    }
    findings
}
