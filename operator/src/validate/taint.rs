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
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{desired, gathered, resource};

    #[test]
    fn server_and_agents_have_to_come_back_to_a_node_with_the_taint() {
        for (toleration, tolerated) in [
            (json!({"key": TAINT, "operator": "Exists"}), true),
            (json!({"key": TAINT, "effect": "NoSchedule"}), true),
            (json!({"operator": "Exists"}), true),
            (json!({"key": TAINT, "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": TAINT, "value": "x"}), false),
            (json!({"key": "another", "operator": "Exists"}), false),
        ] {
            let untainted = resource(json!({}));
            let mut desired = desired(&untainted, &gathered(&untainted));
            let mut targets = vec![desired.server];
            targets.append(&mut desired.agents);
            for target in &mut targets {
                let pod = target.workload.as_mut().unwrap().template.spec.as_mut().unwrap();
                pod.tolerations = Some(vec![serde_json::from_value(toleration.clone()).unwrap()]);
            }
            let tainted = resource(json!({"nodes": {"taint": true}}));
            let found = problems(&tainted.spec, &targets);
            assert_eq!(found.len(), if tolerated { 0 } else { targets.len() }, "{toleration}");
            assert!(problems(&untainted.spec, &targets).is_empty());
        }
    }
}
