//! The builds of a plugin that a workload's pods may get.

use keylime_attestor_api::Mode;
use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::names::label;

use crate::model::builds::Builds;
use crate::model::problem::Problem;
use crate::model::target::Asked;
use crate::model::workload::Workload;
use crate::plugins::{Checksums, NoBuild};

/// The checksums for a workload: of the architecture that the resource names or its pods ask their
/// nodes for, or else of each that there is, which takes a configuration for each.
pub(super) fn checksums(
    asked: &Asked,
    mode: Mode,
    workload: Option<&Workload>,
    checksums: &Checksums,
) -> Result<Builds<String>, Problem> {
    let told = asked.architecture.as_deref().or_else(|| selected(workload?));
    let builds = checksums.of(asked.role, told).map_err(|NoBuild { asked: architecture, known }| {
        let key = &asked.key;
        Problem::new(
            reason::ARCHITECTURE_UNKNOWN,
            format!(
                "the pods of the {key} are to run on {architecture}, and the operator's image has plugins of {known} alone: correct architecture of the workload in spec.spire, or its nodeSelector, or install an image that has it"
            ),
        )
    })?;
    if matches!(builds, Builds::Each(_)) && mode != Mode::Overlay {
        let message = format!(
            "with mode {mode:?} the pods of the {} have one configuration, with the checksum of one plugin, and the operator's image has those of {}: set architecture of the workload in spec.spire, or kubernetes.io/arch in its nodeSelector, or choose mode Overlay",
            asked.key,
            builds.architectures().join(", ")
        );
        return Err(Problem::new(reason::ARCHITECTURE_UNKNOWN, message));
    }
    Ok(builds)
}

/// The architecture of the nodes that the pods ask for.
fn selected(workload: &Workload) -> Option<&str> {
    let selector = workload.pod_spec()?.node_selector.as_ref()?;
    selector.get(label::ARCHITECTURE).map(String::as_str)
}

#[cfg(test)]
mod tests;
