//! The agents that are to move in batches.

use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::{KeylimeAttestorSpec, Mode};

use crate::model::problem::Problem;
use crate::model::target::{Role, Target};
use crate::rollout::strategy::Strategy;

/// The problems of agents that are to move in batches: nobody else may have their pods replaced
/// meanwhile, and agents that have not moved have to keep their configuration.
pub(super) fn problems(spec: &KeylimeAttestorSpec, targets: &[Target]) -> Vec<Problem> {
    if spec.rollout.as_ref().is_none_or(|rollout| rollout.batch_size.is_none()) {
        return Vec::new();
    }
    if spec.spire.mode != Mode::Overlay {
        let message = "spec.rollout.batchSize: expected spire.mode Overlay: in any other mode agents that have not moved would read the new \
                       configuration when they restart";
        return vec![Problem::new(reason::SPEC_INVALID, message)];
    }
    let agents = targets.iter().filter(|target| target.role == Role::Agent);
    let strategies = agents.filter_map(|target| Some((&target.key, Strategy::of(target.workload.as_ref()?))));
    strategies
        .filter_map(|(key, strategy)| match strategy {
            Strategy::Rolling(manager) => Some(Problem::new(
                reason::FIELD_CONFLICT,
                format!(
                    "spec.rollout.batchSize: expected updateStrategy.type of the {key} to be OnDelete or not set, {manager} has set it to \
                     RollingUpdate: set it to OnDelete there (with SPIFFE's charts the value spire-agent.updateStrategy.type), or remove batchSize"
                ),
            )),
            Strategy::Ours | Strategy::Theirs | Strategy::Free => None,
        })
        .collect()
}
