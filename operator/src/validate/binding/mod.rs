//! Whether attestations have to prove their Node.

use std::time::Duration;

use keylime_attestor_api::conditions::{
    Reason, binding_required as reason, configuration_applied::BINDING_IMPOSSIBLE,
};
use keylime_attestor_api::{Binding, KeylimeAttestor, Mode, RolloutState};

use crate::build::overlay::TOKEN;
use crate::gather::{Found, Gathered};
use crate::model::binding::{Bound, Review, Tokens, account};
use crate::model::problem::Problem;
use crate::model::target::Role;
use crate::model::workload::Workload;

/// Nodes that a message names.
const NAMED: usize = 5;

/// How long all agents run before tokens are demanded, for which SPIRE's server is rolled once
/// more. What is registered on a new agent comes to it in its first ten seconds.
const SETTLED: Duration = Duration::from_secs(60);

/// The accounts of the pods of SPIRE's agents, as far as their workloads are there.
pub(super) fn service_accounts(gathered: &Gathered) -> Vec<String> {
    let mut accounts: Vec<String> =
        agents(gathered).filter_map(|found| found.workload.as_ref()).map(account).collect();
    accounts.sort();
    accounts.dedup();
    accounts
}

/// The binding: that of the resource, else by what SPIRE's server can do and its agents have. What
/// was asked of agents once does not become less by itself.
pub(super) fn bound(resource: &KeylimeAttestor, gathered: &Gathered, service_accounts: &[String]) -> Bound {
    let asked = resource.spec.attestation.binding;
    let before =
        resource.status.as_ref().and_then(|status| status.binding).filter(|before| *before != Binding::Off);
    let obstacle = match (&gathered.review, before) {
        _ if service_accounts.is_empty() => {
            Some("the workload of SPIRE's agents, whose account is to prove itself, is not there")
        }
        (Review::Impossible(why), None) => Some(why.as_str()),
        _ => None,
    };
    let config_only = resource.spec.spire.mode == Mode::ConfigOnly;
    let so = |binding, reason: Reason| Bound { binding, reason, detail: String::new() };
    let impossible = |obstacle: &str| Bound {
        detail: obstacle.to_owned(),
        ..so(Binding::Off, reason::NO_REVIEW_POSSIBLE)
    };
    match (asked, obstacle, before) {
        (Some(Binding::Off), _, _) => so(Binding::Off, reason::TURNED_OFF),
        (None, _, _) if config_only => so(Binding::Off, reason::NOT_MANAGED),
        (_, Some(obstacle), _) => impossible(obstacle),
        (Some(Binding::Prefer), None, _) => so(Binding::Prefer, reason::PREFERRED),
        (Some(Binding::Require), None, _) | (None, None, Some(Binding::Require)) => {
            so(Binding::Require, reason::REQUIRED)
        }
        (None, None, Some(_)) => match waits(resource, gathered) {
            None => so(Binding::Require, reason::REQUIRED),
            Some(detail) => Bound { detail, ..so(Binding::Prefer, reason::ROLLING_OUT) },
        },
        (None, None, None) if gathered.review == Review::Possible => so(Binding::Prefer, reason::ROLLING_OUT),
        (None, None, None) => impossible("nobody could say which rights the account of SPIRE's server has"),
    }
}

/// The problem of tokens that are asked for and could not be reviewed.
pub(super) fn problem(resource: &KeylimeAttestor, bound: &Bound) -> Option<Problem> {
    let asked = resource.spec.attestation.binding.filter(|asked| *asked != Binding::Off)?;
    let impossible = bound.reason == reason::NO_REVIEW_POSSIBLE;
    let message = format!(
        "spec.attestation.binding: {asked:?} asks for tokens that nobody could review: {}",
        bound.detail
    );
    impossible.then(|| Problem::new(BINDING_IMPOSSIBLE, message))
}

/// What SPIRE's server and agents are told of it; [`None`] where no tokens are asked for.
pub(super) fn tokens(bound: &Bound, service_accounts: Vec<String>) -> Option<Tokens> {
    let required = match bound.binding {
        Binding::Require => true,
        Binding::Prefer => false,
        Binding::Off => return None,
    };
    Some(Tokens { required, service_accounts })
}

/// The reason why tokens are not demanded yet. The agents have first what they need of SPIRE's
/// server: its rollout would have their workloads wait. Where SPIRE's server tells which nodes have proven
/// themselves, all of them have to: an agent may live on with an SVID of before.
fn waits(resource: &KeylimeAttestor, gathered: &Gathered) -> Option<String> {
    if !all_have_tokens(resource, gathered) {
        return Some(String::new());
    }
    if gathered.agents_run_for.is_none_or(|agents_run_for| agents_run_for < SETTLED) {
        return Some("SPIRE's agents became ready within the last minute, and SPIRE's server is not replaced before they have what is registered on them".to_owned());
    }
    resource.spec.enforcement.as_ref()?;
    match gathered.unbound.as_deref() {
        None => Some("no pod of SPIRE's server tells yet which nodes proved themselves".to_owned()),
        Some([]) => None,
        Some(unbound) => {
            let first = unbound.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            Some(format!("{} nodes did not prove themselves yet, such as {first}", unbound.len()))
        }
    }
}

/// True where all pods of SPIRE's agents have a token and are ready.
fn all_have_tokens(resource: &KeylimeAttestor, gathered: &Gathered) -> bool {
    let Some(status) = &resource.status else { return false };
    let mut rollouts = status.agents.iter().chain(&status.server).map(|workload| workload.rollout.as_ref());
    let complete =
        rollouts.all(|rollout| rollout.is_some_and(|rollout| rollout.state == RolloutState::Complete));
    let has_token = |found: &Found| found.workload.as_ref().is_some_and(has_token);
    complete && agents(gathered).all(has_token)
}

fn has_token(workload: &Workload) -> bool {
    let volumes = workload.pod_spec().and_then(|pod| pod.volumes.as_ref());
    workload.pods.complete && volumes.is_some_and(|volumes| volumes.iter().any(|volume| volume.name == TOKEN))
}

fn agents(gathered: &Gathered) -> impl Iterator<Item = &Found> {
    gathered.found.values().filter(|found| found.role == Role::Agent)
}

#[cfg(test)]
mod tests;
