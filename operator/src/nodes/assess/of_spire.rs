//! SPIRE's part of an assessment, with its agent's pod.

use evidence::Mode;
use keylime_attestor_api::NodeReason;
use keylime_attestor_api::node_reason::identity;

use super::inputs::{Rules, Seen};
use super::of_keylime::{Keylime, remedy_in};
use crate::nodes::spire::Held;

pub(super) struct Spire {
    /// The reason and message against a node that Keylime passes.
    pub(super) against: Option<(NodeReason, String)>,
    pub(super) spiffe_id: Option<String>,
    /// The status, reason and message of the condition IdentityIssued.
    pub(super) identity: (&'static str, &'static str, String),
}

/// Of a node in push mode whose SPIRE agent asks at a port.
const FOR_PULL_MODE: &str = " Keylime is in push mode, in which its agents open no port, and the KeylimeAttestor is set up for agents that listen: run \
     keylime-attestor-quoter on the node, and set spec.keylime.agent.socket.";

pub(super) fn by_spire(rules: &Rules<'_>, seen: &Seen<'_>, keylime: &Keylime) -> Spire {
    let mode = seen.record.map_or(Mode::Pull, |record| record.node.mode);
    let is_set_up_for_pull = mode == Mode::Push && !rules.asks_quoters;
    let (mode, for_pull) = if is_set_up_for_pull { (Mode::Pull, FOR_PULL_MODE) } else { (mode, "") };
    let unready = seen.pod.filter(|pod| !pod.ready).map(|pod| {
        let reason = NodeReason::SpireAgentNotReady;
        (reason, format!("{} {}{for_pull}", reason.meaning(), pod.message))
    });
    let without_plugin = rules.managed && seen.pod.is_some_and(|pod| pod.hash.is_none());
    let Some(spire) = rules.spire else {
        if without_plugin {
            return without_identity(unready, "Its SPIRE agent runs without the plugin.");
        }
        return unreported(rules, seen, unready);
    };
    let held = keylime.agent.as_ref().and_then(|(agent, _)| spire.ours(agent));
    let missing = |reason: NodeReason, detail: String| {
        let text = format!("{}{detail} {}{for_pull}", reason.meaning(), remedy_in(mode, reason));
        let identity = ("False", reason.as_str(), text.clone());
        (reason, text, identity)
    };
    let other = spire.other(seen.node);
    // The record of an agent that is gone ends before that of the one that runs.
    let outlived = |held: &Held| !rules.managed && other.is_some_and(|other| other.expires > held.expires);
    let held = held.filter(|held| held.banned || !outlived(held));
    let (reason, text, identity) = match (held, other) {
        // SPIRE keeps a record until its SVID would have ended, whoever has attested since: after a
        // rollback it is of an agent that is gone.
        (Some(held), other) if !held.banned && without_plugin && other.is_none() => {
            let message =
                "Its SPIRE agent runs without the plugin; SPIRE still has a record of the one before.";
            return without_identity(unready, message);
        }
        (Some(held), _) if !held.banned && !without_plugin => {
            let identity = ("True", identity::ISSUED, format!("SPIRE has it as {}", held.spiffe_id));
            return Spire { against: unready, spiffe_id: Some(held.spiffe_id.clone()), identity };
        }
        (Some(held), _) if held.banned => missing(NodeReason::Banned, String::new()),
        (_, Some(other)) => {
            let detail = format!(" It is {}, attested by {}.", other.spiffe_id, other.attestation_type);
            missing(NodeReason::IdentityOfOtherAttestor, detail)
        }
        (_, None) => missing(NodeReason::IdentityNotIssued, String::new()),
    };
    let against =
        // A ban goes before the pod: a banned agent cannot become ready, so that would hide the
        // reason.
        if reason == NodeReason::Banned { Some((reason, text)) } else { unready.or(Some((reason, text))) };
    Spire { against, spiffe_id: None, identity }
}

/// The result for an agent that runs without our plugin; a pod that is not ready goes first.
fn without_identity(unready: Option<(NodeReason, String)>, message: &str) -> Spire {
    let reason = NodeReason::IdentityNotIssued;
    let text = format!("{} {message}", reason.meaning());
    let identity = ("False", reason.as_str(), text.clone());
    Spire { against: unready.or(Some((reason, text))), spiffe_id: None, identity }
}

/// The result where no pod of SPIRE's server reports.
fn unreported(rules: &Rules<'_>, seen: &Seen<'_>, unready: Option<(NodeReason, String)>) -> Spire {
    let message = if rules.observed {
        "no pod of SPIRE's server reports what SPIRE holds; see the condition Enforcing of the KeylimeAttestor"
    } else {
        "it is not known what SPIRE holds; `enforcement: {}` in the spec of the KeylimeAttestor turns that on, and nothing else"
    };
    // A SPIFFE ID that was known stays while there are no reports: entries of workloads have it as
    // their parent.
    let before = seen.previous.filter(|_| rules.observed).and_then(|previous| previous.spiffe_id.clone());
    let identity = ("Unknown", identity::NOT_OBSERVED, message.to_owned());
    // Where the operator did not put the plugin into the pods, a node that Keylime passes may
    // attest by anything.
    let unknown = (!rules.managed).then(|| {
        let reason = NodeReason::IdentityUnknown;
        (reason, format!("{} {}", reason.meaning(), reason.remedy()))
    });
    Spire { against: unready.or(unknown), spiffe_id: before, identity }
}
