//! The operator, where it is installed.

use std::collections::BTreeMap;

use clap::Parser as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::ListParams;
use kube::{Api, Client, Error, ResourceExt as _};

use super::finding::{Finding, Subject};
use crate::cluster::OwnSecret;
use crate::process::cli::Args;

/// The labels that the chart gives its Deployment.
const SELECTOR: &str = "app.kubernetes.io/name=keylime-attestor,app.kubernetes.io/component=operator";

/// The operator's Deployment.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) name: String,
    pub(super) namespace: String,
    /// The namespaces in which it acts.
    pub(super) namespaces: Vec<String>,
    /// The image that SPIRE's pods install the plugins from.
    pub(super) image: Option<String>,
    /// The labels of its pods.
    pub(super) labels: BTreeMap<String, String>,
    report_secret: String,
    ready: i32,
}

impl Installed {
    pub(super) fn report_secret(&self) -> Option<OwnSecret> {
        Some(OwnSecret { namespace: self.namespace.clone(), name: self.report_secret.clone() })
    }

    /// Reads a Deployment; [`None`] where its flags are not those of an operator.
    fn of(deployment: &Deployment) -> Option<Self> {
        let template: &PodTemplateSpec = &deployment.spec.as_ref()?.template;
        let container = template.spec.as_ref()?.containers.first()?;
        let flags = container.args.clone().unwrap_or_default();
        let program = env!("CARGO_PKG_NAME").to_owned();
        let args = Args::try_parse_from(std::iter::once(program).chain(flags)).ok()?;
        let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
        let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas);
        Some(Self {
            name: deployment.name_any(),
            namespace: deployment.namespace().unwrap_or_default(),
            namespaces: args.namespaces,
            image: args.plugin_image.or_else(|| container.image.clone()),
            labels: labels.unwrap_or_default(),
            report_secret: args.report_secret,
            ready: ready.unwrap_or_default(),
        })
    }
}

/// The operator of the cluster; [`None`] where there is none.
///
/// # Errors
/// The apiserver's refusal.
pub(super) async fn installed(client: &Client) -> Result<Option<Installed>, Error> {
    let params = ListParams::default().labels(SELECTOR);
    let found = Api::<Deployment>::all(client.clone()).list(&params).await?;
    Ok(found.items.iter().find_map(Installed::of))
}

pub(super) fn finding(installed: &Result<Option<Installed>, Error>) -> Finding {
    match installed {
        Ok(Some(Installed { name, namespace, namespaces, ready, .. })) if *ready > 0 => Finding::ok(
            Subject::Operator,
            format!("the Deployment {namespace}/{name} is ready and acts in {}", namespaces.join(", ")),
        ),
        Ok(Some(Installed { name, namespace, .. })) => Finding::failure(
            Subject::Operator,
            format!("no pod of the Deployment {namespace}/{name} is ready"),
            format!("See kubectl -n {namespace} describe deployment {name}, and the log of its pods."),
        ),
        Ok(None) => Finding::warning(
            Subject::Operator,
            "not installed, so that nothing is known of what only it can see",
            "Install the chart when nothing fails here, and check again.",
        ),
        Err(error) => Finding::warning(
            Subject::Operator,
            format!("whether it is installed is not known: {error}"),
            "Check with the right to list Deployments.",
        ),
    }
}
