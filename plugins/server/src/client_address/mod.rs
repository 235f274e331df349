//! The address from which an agent connects, compared with the one at which Keylime's verifier
//! reaches the node: a second factor where there is no Kubernetes.

use std::net::IpAddr;

use evidence::Refusal;
use keylime::Contact;
use serde::Deserialize;

/// The addresses from which a node may attest.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientAddress {
    /// All.
    #[default]
    Any,
    /// The verifier's for the node (`ip`).
    Verifier,
}

impl ClientAddress {
    /// Compares the address that SPIRE saw with the verifier's. Without either nothing is known, so
    /// that the node is refused.
    pub(crate) fn check(self, client: Option<IpAddr>, contact: Option<&Contact>) -> Result<(), Refusal> {
        if self == Self::Any {
            return Ok(());
        }
        let client = client.ok_or(Refusal::NoClientAddress)?.to_canonical();
        match contact {
            Some(Contact::Address(address)) if *address == client => Ok(()),
            Some(Contact::Address(address)) => {
                Err(Refusal::OtherClientAddress { client, expected: *address })
            }
            Some(Contact::Name(_)) | None => Err(Refusal::NoNodeAddress),
        }
    }
}

#[cfg(test)]
mod tests;
