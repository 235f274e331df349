//! The nodes' part of a `KeylimeAttestor`'s status. Pure.

use evidence::AgentId;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::conditions::{Reason, enforcing as enforcing_reason, nodes_attested as reason};
use keylime_attestor_api::{
    Action, Attestors, Enforcement, EnforcementStatus, KeylimeAttestor, NodeNotAttested, NodeReason,
    NodeState, NodesStatus,
};

use super::View;
use super::assess::interval_beyond;
use super::bindings::unbound;
use super::exclusive::needs;

/// The most nodes that are listed in the status, and the most that are named in a condition.
const LISTED: usize = 50;
const NAMED: usize = 10;

/// `status.nodes`. The time of the poll only changes along with other members: else every poll
/// would be a write.
pub(crate) fn nodes(view: &View, previous: Option<&NodesStatus>) -> NodesStatus {
    let of = |state| count(view.nodes.values().filter(|node| node.status.state == state).count());
    let all = not_attested(view);
    let listed = all.iter().take(LISTED);
    let mut nodes = NodesStatus {
        total: count(view.nodes.len()),
        attested: of(NodeState::Attested),
        failing: of(NodeState::Failing),
        pending: of(NodeState::Pending),
        unknown: of(NodeState::Unknown),
        not_enrolled: of(NodeState::NotEnrolled),
        last_poll_time: previous.and_then(|previous| previous.last_poll_time.clone()),
        agents_without_node: count(view.unmatched.len()),
        first_agents_without_node: view.unmatched.iter().take(NAMED).map(ToString::to_string).collect(),
        not_attested: listed.cloned().collect(),
        more: count(all.len().saturating_sub(LISTED)),
    };
    if previous != Some(&nodes) {
        nodes.last_poll_time = Some(Time(view.at));
    }
    nodes
}

/// `status.enforcement`.
pub(crate) fn loops(view: &View) -> Vec<EnforcementStatus> {
    let time =
        |seconds: u64| i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let pods = view.told.iter().map(|(pod, (started, last))| {
        let says = view.loops.iter().find(|one| one.pod == *pod);
        EnforcementStatus {
            name: pod.clone(),
            started: Time(time(*started).unwrap_or_default()),
            last_action: i64::try_from(*last).unwrap_or(i64::MAX),
            held: says.and_then(|says| says.held.clone()),
            error: says.and_then(|says| says.error.clone()),
        }
    });
    pods.collect()
}

/// The condition NodesAttested.
pub(crate) fn attested(view: Option<&View>) -> (Reason, String) {
    let Some(view) = view else { return (reason::NOT_CHECKED, reason::NOT_CHECKED.meaning.to_owned()) };
    let (reason, mut message) = finding(view);
    if let Some(unmatched) = unmatched(view) {
        message += &unmatched;
    }
    if let Some(interval) = view.interval_beyond {
        message += &format!(" {}", interval_beyond(interval));
    }
    if let Some((owner, nodes)) = &view.elsewhere {
        message += &format!(
            " {nodes} further nodes belong to KeylimeAttestor {owner}, which selects them as well: narrow spec.nodes.selector."
        );
    }
    if let Some(trouble) = &view.trouble {
        message += &format!(" {trouble}");
    }
    (reason, message)
}

/// The agents that fit no node, where there is a node without an agent: one of these may be the
/// other's.
fn unmatched(view: &View) -> Option<String> {
    let lacking = view.nodes.values().any(|node| node.status.state == NodeState::NotEnrolled);
    let named: Vec<&str> = view.unmatched.iter().take(NAMED).map(AgentId::as_str).collect();
    let more = view.unmatched.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (lacking && !named.is_empty()).then(|| {
        format!(
            " Agents at Keylime that fit no node: {}{more}; where one of them is a node's, name it in spec.agentId of its AttestedNode.",
            named.join(", ")
        )
    })
}

fn finding(view: &View) -> (Reason, String) {
    let all = not_attested(view);
    let nobody_tells = [NodeReason::KeylimeUnreachable.as_str(), NodeReason::IdentityUnknown.as_str()];
    let unreachable = |node: &&NodeNotAttested| nobody_tells.contains(&node.reason.as_str());
    let failing = all.iter().filter(|node| node.state == NodeState::Failing).count();
    let unclear = all.iter().filter(unreachable).count();
    let reason = if failing > 0 {
        reason::NODES_FAILING
    } else if all.len() > unclear {
        reason::NODES_NOT_ATTESTED
    } else if unclear > 0 {
        reason::NODES_UNKNOWN
    } else if !view.nodes.is_empty() {
        return (reason::ATTESTED, reason::ATTESTED.meaning.to_owned());
    } else if view.trouble.is_some() {
        return (reason::NOT_CHECKED, reason::NOT_CHECKED.meaning.to_owned());
    } else {
        return (reason::NO_NODES, format!("{} {}", reason::NO_NODES.meaning, reason::NO_NODES.remedy));
    };
    let named: Vec<String> =
        all.iter().take(NAMED).map(|node| format!("{} ({})", node.name, node.reason)).collect();
    let more = all.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let total = view.nodes.len();
    (reason, format!("{} of {total} nodes are not attested: {}{more}.", all.len(), named.join(", ")))
}

/// The condition Enforcing.
pub(crate) fn enforcing(enforcement: Option<&Enforcement>, view: Option<&View>) -> (Reason, String) {
    use enforcing_reason::{ENFORCING, FAILED, HELD, NOT_CONFIGURED, NOT_OBSERVED, OBSERVING};
    let plain = |reason: Reason| (reason, format!("{} {}", reason.meaning, reason.remedy));
    let with = |reason: Reason, detail: &str| (reason, format!("{detail} {}", reason.remedy));
    let loops = view.map(|view| view.loops.as_slice()).unwrap_or_default();
    let action = match enforcement.map(|enforcement| enforcement.action) {
        None => return plain(NOT_CONFIGURED),
        Some(Action::Observe) => return plain(OBSERVING),
        Some(Action::Evict) => report::Mode::Evict,
        Some(Action::Ban) => report::Mode::Ban,
    };
    if let Some((pod, held)) = loops.iter().find_map(|one| Some((&one.pod, one.held.as_ref()?))) {
        return with(HELD, &format!("pod {pod}: {held}."));
    }
    if let Some((pod, error)) = loops.iter().find_map(|one| Some((&one.pod, one.error.as_ref()?))) {
        return with(FAILED, &format!("pod {pod}: {error}."));
    }
    let unreported = view.map(|view| view.unreported.join("; ")).unwrap_or_default();
    if loops.is_empty() || loops.iter().any(|one| one.action != action) {
        let detail = if loops.is_empty() {
            unreported
        } else {
            "SPIRE's server still runs with another action".to_owned()
        };
        return with(NOT_OBSERVED, &format!("{} {detail}", NOT_OBSERVED.meaning));
    }
    if unreported.is_empty() {
        return (ENFORCING, ENFORCING.meaning.to_owned());
    }
    // One pod is enough to act on all agents.
    (ENFORCING, format!("{} Of others nothing is known: {unreported}.", ENFORCING.meaning))
}

/// The members of the status that follow from a view, without the time of the poll.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    nodes: NodesStatus,
    loops: Vec<EnforcementStatus>,
    attested: (Reason, String),
    enforcing: (Reason, String),
    reach: (Reason, String),
    /// What an exclusive attestor waits for.
    needs: Option<Vec<String>>,
    /// The nodes for which tokens are not demanded yet.
    unbound: Option<Vec<String>>,
}

/// The members of the status that follow from a view: while they are the same there is nothing to
/// write.
pub(crate) fn said(resource: &KeylimeAttestor, view: &View) -> Said {
    Said {
        nodes: NodesStatus { last_poll_time: None, ..nodes(view, None) },
        loops: loops(view),
        attested: attested(Some(view)),
        enforcing: enforcing(resource.spec.enforcement.as_ref(), Some(view)),
        reach: (view.reach.reason, view.reach.message.clone()),
        unbound: unbound(view),
        needs: (resource.spec.spire.attestors == Attestors::Exclusive).then(|| needs(Some(view))),
    }
}

/// The nodes that are not attested, those that fail first.
fn not_attested(view: &View) -> Vec<NodeNotAttested> {
    let mut all: Vec<NodeNotAttested> = Vec::new();
    for (name, node) in view.nodes.iter().filter(|(_, node)| node.status.state != NodeState::Attested) {
        all.push(NodeNotAttested {
            name: name.clone(),
            agent_id: node.status.agent_id.clone(),
            state: node.status.state,
            reason: node.status.reason.clone(),
            since: node.status.since.clone(),
            last_success: node.status.last_success.clone(),
            message: node.status.message.clone(),
        });
    }
    // In the order in which the states are declared; stable, so by name within.
    all.sort_by_key(|node| node.state);
    all
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
pub(in crate::nodes) mod tests;
