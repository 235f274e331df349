//! CertificateValid: until when the client certificate for Keylime counts.

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::conditions::{Reason, certificate_valid as reason};

use super::Facts;
use super::finding::Finding;
use crate::certificate::{Certificate, Validity};

/// The condition CertificateValid.
pub(super) fn certificate(facts: &Facts<'_>) -> Finding {
    if facts.is_deleted() {
        return (reason::WITHDRAWING, reason::WITHDRAWING.meaning.to_owned());
    }
    let gathered = facts.attempt.gathered();
    of(gathered.and_then(|gathered| gathered.client_certificate.as_ref()), facts.now)
}

pub(super) fn of(certificate: Option<&Certificate>, now: Timestamp) -> Finding {
    let Some(certificate) = certificate else {
        return (reason::NOT_CHECKED, reason::NOT_CHECKED.meaning.to_owned());
    };
    let Certificate { not_before, not_after, .. } = certificate;
    let told = |reason: Reason, when: String| {
        let remedy = if reason == reason::VALID { String::new() } else { format!(" {}", reason.remedy) };
        (reason, format!("{} It {when}.{remedy}", reason.meaning))
    };
    match certificate.validity(now) {
        Validity::Valid => told(reason::VALID, format!("ends at {not_after}")),
        Validity::EndsSoon => told(reason::ENDS_SOON, format!("ends at {not_after}")),
        Validity::Ended => told(reason::ENDED, format!("ended at {not_after}")),
        Validity::NotYet => told(reason::NOT_YET, format!("counts from {not_before}")),
    }
}
