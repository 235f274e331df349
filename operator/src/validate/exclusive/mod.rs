//! Whether SPIRE's server may be left with our node attestor alone.

use hcl::edit::{self, Placement};
use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::{Attestors, KeylimeAttestor, KeylimeAttestorStatus, Mode};

use crate::configuration::derived;
use crate::gather::Gathered;
use crate::model::problem::Problem;
use crate::model::target::{Role, Target};
use crate::model::workload::{Kind, WorkloadKey};

/// The place of our node attestor in the server's configuration. `applied` is that of before, or
/// empty.
///
/// The others go when nobody needs them. Once they are gone they stay so, whatever becomes of the
/// nodes: a node that Keylime fails must not get them back.
pub(super) fn placement(resource: &KeylimeAttestor, gathered: &Gathered, applied: &str) -> Placement {
    let spire = &resource.spec.spire;
    let is_alone = || {
        is_sole(applied, &spire.plugin_name)
            || resource.status.as_ref().is_some_and(KeylimeAttestorStatus::is_keylime_alone)
    };
    let nobody_needs_them = || gathered.needs.as_ref().is_some_and(Vec::is_empty);
    match spire.attestors {
        Attestors::Exclusive if is_alone() || nobody_needs_them() => Placement::Sole,
        Attestors::Exclusive | Attestors::Coexist => Placement::Beside,
    }
}

fn is_sole(text: &str, plugin_name: &str) -> bool {
    edit::node_attestors(text).is_ok_and(|names| matches!(names.as_slice(), [only] if only == plugin_name))
}

/// The problem of agents that are to get their former attestor back, by which the server would not
/// admit them. A deletion sees to it by itself.
pub(super) fn problem(
    resource: &KeylimeAttestor,
    gathered: &Gathered,
    targets: &[Target],
) -> Option<Problem> {
    let mode = resource.spec.spire.mode;
    let server = targets.iter().find(|target| target.role == Role::Server)?;
    let applied = match mode {
        Mode::ConfigOnly | Mode::Overlay => server.source.beside.as_ref(),
        Mode::InPlace => Some(&server.source.live),
    };
    let applied = applied.and_then(|map| derived::applied(map, &server.source.key));
    let had_others = edit::node_attestors(&server.source.original).is_ok_and(|names| !names.is_empty());
    let due = resource.status.as_ref().is_some_and(|status| status.readmission_due);
    let alone = due || applied.is_some_and(|applied| is_sole(&applied, &server.plugin.name));
    let deleted = resource.metadata.deletion_timestamp.is_some();
    if deleted || !had_others || !alone {
        return None;
    }
    let stays =
        |key: &&WorkloadKey| mode != Mode::ConfigOnly && targets.iter().any(|target| target.key == **key);
    let agents = gathered.ours.iter().filter(|workload| workload.key.kind == Kind::DaemonSet);
    let lost = agents.map(|workload| &workload.key).find(|key| !stays(key))?;
    let message = format!(
        "the {lost} would get its former attestor back, by which SPIRE's server admits nobody: undo this change, set \
         spec.spire.attestors to Coexist, wait for ServerRolledOut, and make the change then"
    );
    Some(Problem::new(reason::SPEC_INVALID, message))
}

#[cfg(test)]
mod tests;
