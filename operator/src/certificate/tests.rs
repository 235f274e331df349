use k8s_openapi::jiff::ToSpan as _;
use lab::fake_keylime::pki::Ca;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use super::*;

fn certificate(key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "client");
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2026, 12, 31);
    params.self_signed(key).unwrap().pem().into_bytes()
}

#[test]
fn it_counts_between_its_dates() {
    let certificate = Certificate::read(&certificate(&KeyPair::generate().unwrap())).unwrap();
    assert_eq!(certificate.subject, "CN=client");
    let at = |time: &str| certificate.validity(time.parse().unwrap());
    assert_eq!(at("2025-12-31T23:59:59Z"), Validity::NotYet);
    assert_eq!(at("2026-06-01T00:00:00Z"), Validity::Valid);
    assert_eq!(at("2026-12-01T00:00:00Z"), Validity::Valid);
    assert_eq!(at("2026-12-01T00:00:01Z"), Validity::EndsSoon);
    assert_eq!(at("2026-12-31T00:00:01Z"), Validity::Ended);
    assert_eq!(
        certificate.validity(certificate.not_after.checked_sub(1.second()).unwrap()),
        Validity::EndsSoon
    );
}

#[test]
fn it_fits_its_own_key_only() {
    let [own, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
    let certificate = Certificate::read(&certificate(&own)).unwrap();
    assert!(certificate.fits(own.serialize_pem().as_bytes()));
    assert!(!certificate.fits(other.serialize_pem().as_bytes()));
    assert!(!certificate.fits(b"no key"));
}

#[test]
fn its_ca_is_told_from_another_of_the_same_name() {
    let [own, other] = [(); 2].map(|()| Ca::new().unwrap());
    let leaf = own.client().unwrap();
    let certificate = Certificate::read(leaf.cert_pem.as_bytes()).unwrap();
    let now = Timestamp::now();
    assert!(certificate.is_issued_by(own.pem().as_bytes(), now));
    assert!(!certificate.is_issued_by(other.pem().as_bytes(), now));
    assert!(certificate.is_issued_by((other.pem().to_owned() + own.pem()).as_bytes(), now));
    // Ended since, it is still of that CA.
    assert!(certificate.is_issued_by(own.pem().as_bytes(), "9998-01-01T00:00:00Z".parse().unwrap()));
}

#[test]
fn what_is_none_is_not_read() {
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(Certificate::read(text.as_bytes()).is_none(), "{text}");
    }
}
