//! BypassPossible: by which other attestors SPIRE's server admits nodes.

use hcl::edit;
use keylime_attestor_api::conditions::{Reason, bypass_possible as reason};
use keylime_attestor_api::{Attestors, Mode, RolloutState};

use super::Facts;
use super::finding::Finding;
use crate::model::target::Desired;

/// The condition BypassPossible.
pub(super) fn bypass(facts: &Facts<'_>) -> Finding {
    let plain = |reason: Reason| (reason, reason.meaning.to_owned());
    if facts.is_deleted() {
        return plain(reason::WITHDRAWING);
    }
    let desired = facts.attempt.desired();
    let Some((desired, others)) = desired.and_then(|desired| Some((desired, others(desired)?))) else {
        return plain(reason::NOT_APPLIED);
    };
    let exclusive = facts.resource.spec.spire.attestors == Attestors::Exclusive;
    let needs = facts.attempt.gathered().and_then(|gathered| gathered.needs.as_ref());
    if let Some(needs) = needs.filter(|_| exclusive && !others.is_empty()) {
        let (reason, names) = (reason::WAITING, others.join(", "));
        return (reason, format!("{} They are {names}. It waits: {}.", reason.meaning, needs.join("; ")));
    }
    if !others.is_empty() {
        let (reason, names) = (reason::OTHER_ATTESTORS, others.join(", "));
        return (reason, format!("{} They are {names}. {}", reason.meaning, reason.remedy));
    }
    let server = facts.attempt.rollouts().get(&desired.server.key).map(|rollout| rollout.state);
    match (desired.mode, server) {
        (Mode::ConfigOnly, _) => plain(reason::NOT_MANAGED),
        (_, Some(RolloutState::Complete)) => plain(reason::KEYLIME_ALONE),
        _ => plain(reason::ROLLING_OUT),
    }
}

/// The other attestors in the server's configuration; [`None`] where they cannot be told.
fn others(desired: &Desired) -> Option<Vec<String>> {
    let server = &desired.server;
    let mut others = edit::node_attestors(server.derived.any()?).ok()?;
    others.retain(|name| *name != server.plugin.name);
    Some(others)
}
