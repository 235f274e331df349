//! The Secrets that SPIRE's pods mount.

use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::{KeylimeAttestorSpec, Mode};

use crate::gather::{Gathered, Presence};
use crate::model::problem::Problem;

/// The problems of Secrets that are missing where they are to be mounted.
pub(super) fn problems(spec: &KeylimeAttestorSpec, gathered: &Gathered) -> Vec<Problem> {
    let mut problems = Vec::new();
    for ((namespace, name), presence) in &gathered.secrets {
        let problem = match presence {
            Presence::Missing => Problem::new(
                reason::SECRET_NOT_FOUND,
                format!(
                    "expected the Secret {name} in the namespace {namespace}, where SPIRE's pods mount it and none of another can be \
                     mounted: create it there, copy it there, or have it issued there"
                ),
            ),
            Presence::Incomplete(details) => Problem::new(
                reason::SECRET_INCOMPLETE,
                format!("the Secret {namespace}/{name} cannot be used: {}", details.join("; ")),
            ),
            Presence::Forbidden => Problem::new(
                reason::SECRET_FORBIDDEN,
                format!(
                    "expected the right to get the Secret {name} in the namespace {namespace}, the operator has none: add it to the \
                     chart's rbac.keylimeSecrets, as {{namespace: {namespace}, names: [{name}]}}, or make such a Role yourself"
                ),
            ),
            Presence::There => continue,
        };
        // An agents' Secret is read by pods alone, which this mode does not touch.
        if spec.spire.mode != Mode::ConfigOnly || *name == spec.keylime.tls.secret_name {
            problems.push(problem);
        }
    }
    problems
}
