//! What still needs other attestors than ours in SPIRE's server. Pure.

use keylime_attestor_api::{Attestors, KeylimeAttestor, KeylimeAttestorStatus, NodeState};

use super::View;

/// The most nodes or agents that are named.
const NAMED: usize = 10;

/// The reasons why SPIRE's server has to keep its other attestors. Without a reason no agent that
/// it holds needs them.
pub(crate) fn needs(view: Option<&View>) -> Vec<String> {
    let Some(view) = view else { return vec!["the nodes have not been polled yet".to_owned()] };
    let mut needs = Vec::from_iter(view.trouble.clone());
    let lacking = view.nodes.iter().filter(|(_, node)| node.status.state != NodeState::Attested);
    let lacking: Vec<String> =
        lacking.map(|(name, node)| format!("{name} ({})", node.status.reason)).collect();
    if view.nodes.is_empty() {
        needs.push("spec.nodes.selector selects no node".to_owned());
    }
    if !lacking.is_empty() {
        needs.push(format!("{} nodes are not attested: {}", lacking.len(), named(&lacking)));
    }
    match &view.others {
        None => needs.push(format!("no pod of SPIRE's server tells which agents it holds: {}", view.unreported.join("; "))),
        Some(others) if !others.is_empty() => needs.push(format!(
            "SPIRE holds {} agents of other attestors that are on no node which Keylime attests, and would be lost: {} (what is not in use \
             goes with: spire-server agent evict -spiffeID ID)",
            others.len(),
            named(others)
        )),
        Some(_) => {}
    }
    let failed = view.loops.iter().find_map(|one| Some(format!("pod {}: {}", one.pod, one.error.as_ref()?)));
    needs.extend(failed);
    needs
}

/// True where SPIRE's server admits nodes by our attestor alone, as the resource asks for.
pub(super) fn is_exclusive(resource: &KeylimeAttestor) -> bool {
    resource.spec.spire.attestors == Attestors::Exclusive
        && resource.status.as_ref().is_some_and(KeylimeAttestorStatus::is_keylime_alone)
}

fn named(all: &[String]) -> String {
    let more = all.len().saturating_sub(NAMED);
    let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

#[cfg(test)]
mod tests;
