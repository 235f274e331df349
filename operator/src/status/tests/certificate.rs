use keylime_attestor_api::conditions::{ConditionType, REASONS};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::CERTIFICATE;
use super::case::Case;
use crate::certificate::Certificate;
use crate::fixture::now;
use crate::status::certificate::of;

/// One that counts from a day of the year before to a day of the present one, which has just begun.
fn certificate(from: (i32, u8, u8), to: (i32, u8, u8)) -> Option<Certificate> {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(to.0, to.1, to.2);
    let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    Some(Certificate::read(pem.as_bytes()).unwrap())
}

#[test]
fn each_reason_is_told_with_the_time() {
    let mut produced = Vec::new();
    for (certificate, reason, told) in [
        (certificate((2025, 1, 1), (2026, 6, 1)), "Valid", "It ends at 2026-06-01T00:00:00Z."),
        (
            certificate((2025, 1, 1), (2026, 1, 20)),
            "EndsSoon",
            "It ends at 2026-01-20T00:00:00Z. Issue it anew",
        ),
        (certificate((2025, 1, 1), (2026, 1, 1)), "Ended", "It ended at 2026-01-01T00:00:00Z. Issue it anew"),
        (certificate((2026, 2, 1), (2026, 6, 1)), "NotYetValid", "It counts from 2026-02-01T00:00:00Z. Set"),
        (None, "NotChecked", "has no certificate that can be read"),
    ] {
        let (came, message) = of(certificate.as_ref(), now());
        assert_eq!(came.name, reason);
        assert!(message.contains(told), "{message}");
        produced.push(reason);
    }
    let deleted = Case::new().deleted().status().conditions;
    let deleted = deleted.into_iter().find(|one| one.type_ == CERTIFICATE.as_str()).unwrap();
    assert_eq!(deleted.reason, "Withdrawing");
    produced.push("Withdrawing");
    let all = REASONS.iter().filter(|reason| reason.condition == ConditionType::CertificateValid);
    assert_eq!(produced, all.map(|reason| reason.name).collect::<Vec<_>>());
}
