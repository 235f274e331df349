//! The questions to Keylime and SPIRE: to each verifier about its agents, and to each pod of
//! SPIRE's server about the agents that SPIRE has.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use keylime::{Endpoint, States};
use keylime_attestor_api::KeylimeAttestor;
use kube::ResourceExt as _;
use kube::api::ListParams;

use super::spire::Reported;
use super::{Context, Inputs};
use crate::keylime_client::reach::{self, Reach};

/// The reports of SPIRE's server pods, and the reasons why some are missing.
#[derive(Default)]
pub(super) struct Reports {
    pub(super) reports: Vec<Reported>,
    pub(super) unreported: Vec<String>,
    /// The names of all pods, whether they report or not; [`None`] when the list failed.
    pub(super) pods: Option<BTreeSet<String>>,
}

/// The verifiers' records of their agents, and the reachability of Keylime's servers.
pub(super) async fn ask_keylime(inputs: &Inputs) -> (States, Reach) {
    match &inputs.keylime_client {
        Some(keylime_client) => reach::ask(keylime_client).await,
        None => (States::default(), Reach::not_checked()),
    }
}

/// The reports of SPIRE's server pods; none are asked for where they are not set up to report.
pub(super) async fn ask_spire(context: &Context, resource: &KeylimeAttestor, inputs: &Inputs) -> Reports {
    let Some(enforcement) = &resource.spec.enforcement else {
        return Reports { pods: Some(BTreeSet::new()), ..Reports::default() };
    };
    let (Some((namespace, selector)), Some(keylime_client)) = (&inputs.server, &inputs.keylime_client) else {
        let text = "neither the pods of SPIRE's server nor the Secret for Keylime are known yet".to_owned();
        return Reports { unreported: vec![text], ..Reports::default() };
    };
    let pods =
        context.cluster.namespaced::<Pod>(namespace).list(&ListParams::default().labels(selector)).await;
    let pods = match pods {
        Ok(pods) => pods.items,
        Err(error) => {
            let text = format!("failed to list the pods of SPIRE's server: {error}");
            return Reports { unreported: vec![text], ..Reports::default() };
        }
    };
    let Some(reporter) = &keylime_client.reporter else {
        let text = "the operator has no certificate of its own for the report yet".to_owned();
        return Reports { unreported: vec![text], ..Reports::default() };
    };
    let asked = pods.iter().map(async |pod| {
        let name = pod.name_any();
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
        let ip = ip.ok_or_else(|| format!("pod {name} has no address yet"))?;
        let endpoint = Endpoint::new(ip, enforcement.report_port).map_err(|error| error.to_string())?;
        let report = reporter.report(&endpoint).await.map_err(|error| format!("pod {name}: {error}"))?;
        Ok(Reported { pod: name, endpoint, report })
    });
    let names = Some(pods.iter().map(|pod| pod.name_any()).collect());
    let mut reports = Reports { pods: names, ..Reports::default() };
    for answer in join_all(asked).await {
        match answer {
            Ok(reported) => reports.reports.push(reported),
            Err(text) => reports.unreported.push(text),
        }
    }
    reports
}
