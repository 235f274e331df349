use rustls::pki_types::pem::PemObject;

use super::*;

/// The certificates of a Rust and of a Python agent, as the registrar has them.
const RUST: &str = include_str!("../../../../../tests/testdata/keylime/registrar-agent.json");
const PYTHON: &str = include_str!("../../../../../tests/testdata/keylime/pyagent-registrar-agent.json");

fn certificate(record: &str) -> CertificateDer<'static> {
    let record: serde_json::Value = serde_json::from_str(record).unwrap();
    let pem = record["results"]["mtls_cert"].as_str().unwrap();
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn check(pin: &str, shown: &str, host: &str) -> Result<(), Error> {
    let verifier = PinVerifier::pinned(certificate(pin), &rustls::crypto::ring::default_provider());
    let host = ServerName::try_from(host).unwrap();
    verifier.verify_server_cert(&certificate(shown), &[], &host, &[], UnixTime::now()).map(|_| ())
}

#[test]
fn the_certificates_of_real_agents_pass_their_pin_and_no_other() {
    for record in [RUST, PYTHON] {
        for host in ["127.0.0.1", "localhost"] {
            check(record, record, host).unwrap();
        }
        assert!(check(record, record, "10.1.2.3").is_err());
    }
    for (pin, shown) in [(RUST, PYTHON), (PYTHON, RUST)] {
        let error = check(pin, shown, "127.0.0.1").unwrap_err();
        assert_eq!(error, CertificateError::ApplicationVerificationFailure.into());
    }
}

#[test]
fn the_certificate_of_a_rust_agent_is_no_trust_anchor() {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(RUST)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = CaVerifier::new(Arc::new(roots), None, provider).unwrap();
    let host = ServerName::try_from("127.0.0.1").unwrap();
    assert!(verifier.verify_server_cert(&certificate(RUST), &[], &host, &[], UnixTime::now()).is_err());
}
