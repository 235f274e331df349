//! The tolerations of SPIRE's workloads for the operator's taint: without one on the agents, a node
//! that fails once would never be attested again; without one on the server, none would where all
//! have failed.

use k8s_openapi::api::core::v1::Toleration;
use keylime_attestor_api::KeylimeAttestorSpec;
use keylime_attestor_api::conditions::configuration_applied::SPEC_INVALID;
use keylime_attestor_api::names::TAINT;

use crate::model::problem::Problem;
use crate::model::target::Target;

/// A problem for each workload of SPIRE that does not tolerate our taint, where it is asked for.
pub(super) fn problems(spec: &KeylimeAttestorSpec, targets: &[Target]) -> Vec<Problem> {
    let workloads = targets.iter().filter_map(|target| target.workload.as_ref());
    let workloads = workloads.filter(|_| spec.nodes.taint);
    let intolerant = workloads.filter(|workload| {
        let pod = workload.template.spec.as_ref();
        !pod.iter().flat_map(|pod| pod.tolerations.iter().flatten()).any(tolerates)
    });
    let problem = |workload: &crate::model::workload::Workload| {
        let text = format!(
            "spec.nodes.taint: the pods of the {} do not tolerate {TAINT}:NoSchedule, so that they could not come back to a node with it: add the toleration to it",
            workload.key
        );
        Problem::new(SPEC_INVALID, text)
    };
    intolerant.map(problem).collect()
}

fn tolerates(toleration: &Toleration) -> bool {
    let exists = toleration.operator.as_deref() == Some("Exists");
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let whole = exists || toleration.value.as_deref().unwrap_or_default().is_empty();
    ["", "NoSchedule"].contains(&effect) && ((key == TAINT && whole) || (key.is_empty() && exists))
}

#[cfg(test)]
mod tests;
