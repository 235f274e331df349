//! The reasons why a node is refused.

use std::net::IpAddr;
use std::time::Duration;

use crate::message::MessageError;
use crate::{BindingRefusal, Code, InvalidAttestationKey, InvalidQuote, Mode, NonceError};

/// A reason to refuse a node. `Display` is the text that may leave the process: it says what was
/// expected, what came and what to do, and holds no nonce, quote or key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A message of the agent plugin that cannot be read.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Neither the node nor the verifier tells the PCR bank to quote.
    #[error("the PCR bank is not known: {}", match mode {
        Mode::Pull => "the payload names none and the verifier has not seen a quote of this agent; let the Keylime agent tell its hash algorithm",
        Mode::Push => "the payload names none and a verifier in push mode knows none; have the agent plugin ask keylime-attestor-quoter (keylime_agent_socket), which tells it",
    })]
    NoHashAlg {
        /// The verifier's mode.
        mode: Mode,
    },
    /// The registrar does not know the node.
    #[error(
        "the agent is not known to Keylime's registrar; check the agent id, and that the Keylime agent has registered"
    )]
    NotRegistered,
    /// The registrar knows the node and has no proof of its TPM yet.
    #[error(
        "the agent is registered with Keylime's registrar, but not activated; see the Keylime agent's log and start it again"
    )]
    NotActivated,
    /// The verifier does not know the node.
    #[error("the agent is not known to Keylime's verifier; enrol it (keylime_tenant -c add)")]
    NotEnrolled,
    /// Two verifiers have the node.
    #[error(
        "the agent is known to two of Keylime's verifiers, so that none of them counts; remove it from one"
    )]
    EnrolledTwice,
    /// The registered AK is not accepted.
    #[error(transparent)]
    AttestationKey(#[from] InvalidAttestationKey),
    /// The verifier says FAIL.
    #[error("Keylime's verifier says that the agent FAILs attestation; repair the node and {}", match mode {
        Mode::Pull => "reactivate the agent (keylime_tenant -c reactivate)",
        Mode::Push => "enrol it anew (keylime_tenant -c update --push-model): in push mode FAIL stays whatever quotes follow",
    })]
    NodeFails {
        /// The verifier's mode.
        mode: Mode,
    },
    /// The verifier says FAIL, because it does not reach the node.
    #[error(
        "Keylime's verifier does not reach the agent (FAIL, state 7); check that the Keylime agent runs and the network in between, then reactivate the agent (keylime_tenant -c reactivate)"
    )]
    NodeUnreachable,
    /// The verifier says PENDING.
    #[error("Keylime's verifier has not attested the agent yet (PENDING); attest again once it says PASS; if it does not, {}", match mode {
        Mode::Pull => "see the logs of verifier and Keylime agent",
        Mode::Push => "check that the Keylime agent runs and reaches the verifier, and that its policy asks for something",
    })]
    NodePending {
        /// The verifier's mode.
        mode: Mode,
    },
    /// The verifier says TIMEOUT.
    #[error(
        "the agent has not been heard of by Keylime's verifier for too long (TIMEOUT); check that the Keylime agent runs on the node, and that it reaches the verifier"
    )]
    NodeTimedOut,
    /// The verifier tells no last success.
    #[error(
        "Keylime's verifier tells no last successful attestation of the agent; max_attestation_age needs one"
    )]
    NeverPassed,
    /// The last success is older than `max_attestation_age`.
    #[error("the agent's last successful attestation is {} s old; at most {} s are allowed (max_attestation_age); {}", age.as_secs(), max_age.as_secs(), match interval {
        Some(interval) => format!("the verifier attests it every {} s (quote_interval), so that more must be allowed", interval.as_secs()),
        None => "check that Keylime's verifier runs and hears of the agent".to_owned(),
    })]
    Stale {
        /// The age of the last success.
        age: Duration,
        /// The greatest age.
        max_age: Duration,
        /// The interval of the node's quotes, where it is not shorter than that.
        interval: Option<Duration>,
    },
    /// The last success lies in the future.
    #[error("the agent's last successful attestation lies {} s in the future; set the clocks of Keylime's verifier and of the SPIRE server", ahead.as_secs())]
    LastSuccessInFuture {
        /// The time by which it lies ahead.
        ahead: Duration,
    },
    /// The node has attested before, and may attest only once.
    #[error(
        "the agent has attested before and can_reattest is false; evict it first (spire-server agent evict)"
    )]
    AlreadyAttested,
    /// Another attestation under this id was accepted a moment ago, and the node may attest only
    /// once.
    #[error(
        "another attestation of this agent was accepted a moment ago and can_reattest is false; attest again in a minute"
    )]
    AcceptedElsewhere,
    /// No nonce can be made.
    #[error(transparent)]
    NoNonce(#[from] NonceError),
    /// The node's quote did not come in time.
    #[error("the agent did not answer the challenge within {} s (challenge_timeout); check that {}", timeout.as_secs(), match mode {
        Mode::Pull => "the Keylime agent answers",
        Mode::Push => "keylime-attestor-quoter answers on the node, and that the agent plugin asks it (keylime_agent_socket)",
    })]
    ChallengeTimedOut {
        /// The time that it had.
        timeout: Duration,
        /// The verifier's mode.
        mode: Mode,
    },
    /// The quote does not prove that the registered AK answered the nonce.
    #[error(transparent)]
    Quote(#[from] InvalidQuote),
    /// The verifier does not accept the quote.
    #[error("Keylime's verifier says that the quote is not valid; its log tells why")]
    VerifierSaysInvalid,
    /// The verifier accepts the quote for a nonce that is not in it.
    #[error(
        "Keylime's verifier takes the quote for another nonce as well, so that its word counts for nothing; have the verifier looked at, and attest again once it is repaired"
    )]
    VerifierIgnoresNonce,
    /// The registrar holds another key than the one that the agent attested with.
    #[error(
        "the {key} that Keylime's registrar holds is not the one that this agent attested with before; find out who registered it, and only then evict the agent (spire-server agent evict)"
    )]
    KeyChanged {
        /// `AK` or `EK`.
        key: &'static str,
    },
    /// Another agent attested with this TPM.
    #[error(
        "another agent attested with the EK of this one's TPM ({other}); find out which of the two the TPM is in, and evict the other (spire-server agent evict)"
    )]
    EkOfAnother {
        /// The other agent's SPIFFE ID.
        other: String,
    },
    /// The token of the SPIRE agent's pod does not prove its node.
    #[error(transparent)]
    Binding(#[from] BindingRefusal),
    /// SPIRE does not tell the address of its client.
    #[error(
        "SPIRE tells no client address, which client_address = \"verifier\" needs; update SPIRE's server to 1.15 or later"
    )]
    NoClientAddress,
    /// The verifier has no address of the node.
    #[error(
        "Keylime's verifier has no IP address of the agent to compare the client's with (client_address); enrol it by its IP address, or bind it otherwise in push mode"
    )]
    NoNodeAddress,
    /// The client has another address than the node.
    #[error(
        "the client's address is {client}, and Keylime's verifier reaches the agent at {expected} (client_address); find out who attests there"
    )]
    OtherClientAddress {
        /// The address that SPIRE saw.
        client: IpAddr,
        /// The verifier's.
        expected: IpAddr,
    },
    /// The node passed before the challenge and does not after it.
    #[error("the agent's state changed during the attestation: {0}")]
    StateChanged(Box<Refusal>),
}

impl Refusal {
    /// A short stable name in snake case, for logs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Message(error) => error.reason(),
            Self::NoHashAlg { .. } => "no_hash_alg",
            Self::NotRegistered => "not_registered",
            Self::NotActivated => "not_activated",
            Self::NotEnrolled => "not_enrolled",
            Self::EnrolledTwice => "enrolled_twice",
            Self::AttestationKey(error) => error.reason(),
            Self::NodeFails { .. } => "node_fails",
            Self::NodeUnreachable => "node_unreachable",
            Self::NodePending { .. } => "node_pending",
            Self::NodeTimedOut => "node_timed_out",
            Self::NeverPassed => "never_passed",
            Self::Stale { .. } => "stale",
            Self::LastSuccessInFuture { .. } => "last_success_in_future",
            Self::AlreadyAttested => "already_attested",
            Self::AcceptedElsewhere => "accepted_elsewhere",
            Self::NoNonce(_) => "no_nonce",
            Self::ChallengeTimedOut { .. } => "challenge_timed_out",
            Self::Quote(error) => error.reason(),
            Self::VerifierSaysInvalid => "verifier_says_invalid",
            Self::VerifierIgnoresNonce => "verifier_ignores_nonce",
            Self::KeyChanged { .. } => "key_changed",
            Self::EkOfAnother { .. } => "ek_of_another",
            Self::Binding(refusal) => refusal.reason(),
            Self::NoClientAddress => "no_client_address",
            Self::NoNodeAddress => "no_node_address",
            Self::OtherClientAddress { .. } => "other_client_address",
            Self::StateChanged(_) => "state_changed",
        }
    }

    /// True where a human has to act at once: Keylime, or its record of the node, is not the one of
    /// before.
    pub fn is_alarm(&self) -> bool {
        if let Self::Binding(refusal) = self {
            return refusal.is_against_a_pair();
        }
        matches!(
            self,
            Self::VerifierIgnoresNonce
                | Self::KeyChanged { .. }
                | Self::EkOfAnother { .. }
                | Self::Quote(InvalidQuote::Signer)
        )
    }

    /// The refusal's gRPC status.
    pub fn code(&self) -> Code {
        match self {
            Self::Message(error) => error.code(),
            Self::NoHashAlg { .. } => Code::InvalidArgument,
            Self::AttestationKey(error) => error.code(),
            Self::Quote(error) => error.code(),
            Self::StateChanged(refusal) => refusal.code(),
            Self::ChallengeTimedOut { .. }
            | Self::AcceptedElsewhere
            | Self::VerifierIgnoresNonce
            | Self::NoClientAddress => Code::Unavailable,
            Self::NoNonce(_) => Code::Internal,
            Self::NotRegistered
            | Self::NotActivated
            | Self::NotEnrolled
            | Self::EnrolledTwice
            | Self::NodeFails { .. }
            | Self::NodeUnreachable
            | Self::NodePending { .. }
            | Self::NodeTimedOut
            | Self::NeverPassed
            | Self::Stale { .. }
            | Self::LastSuccessInFuture { .. }
            | Self::AlreadyAttested
            | Self::VerifierSaysInvalid
            | Self::KeyChanged { .. }
            | Self::EkOfAnother { .. }
            | Self::Binding(_)
            | Self::NoNodeAddress
            | Self::OtherClientAddress { .. } => Code::PermissionDenied,
        }
    }
}
