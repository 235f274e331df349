//! TLS: the certificates that are trusted, the one that is shown, and their files.

use std::fs;

use keylime::{Endpoint, Error, Servers, ServersConfig, Setting, TlsFiles, Unreachable};
use lab::fake_keylime::pki::{Ca, Clients, Validity};
use lab::fake_keylime::{FakeAgent, FakeAgentConfig, SERVER_NAMES};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{World, agent, at, settings, tls_files};

const V1: &str = include_str!("certificates/x509-v1.crt");
const P521: &str = include_str!("certificates/p521.crt");

/// The result of a call to a verifier with this certificate, where this name is expected.
async fn verifier_shows(
    world: &World,
    ca: &Ca,
    names: &[&str],
    validity: Validity,
    expected: Option<&str>,
) -> Result<(), Error> {
    let certificate = ca.server(names, validity).unwrap();
    world.keylime.verifier.set_tls(certificate.server_config(Clients::Optional(&world.keylime.ca)).unwrap());
    let tls = TlsFiles { server_name: expected.map(str::to_owned), ..tls_files(&world.files) };
    let servers = Servers::new(ServersConfig { tls, ..world.config() }).unwrap();
    servers.state(&agent()).await.map(|_| ())
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_refused_and_says_why() {
    let world = World::new().await;
    let (own, other) = (&world.keylime.ca, Ca::new().unwrap());
    for (ca, names, validity, expected, reason) in [
        (&other, &SERVER_NAMES[..], Validity::Now, None, "unknown_ca"),
        (own, &["localhost", "keylime.example"][..], Validity::Now, None, "wrong_server_name"),
        (own, &SERVER_NAMES[..], Validity::Now, Some("keylime.example"), "wrong_server_name"),
        (own, &SERVER_NAMES[..], Validity::Expired, None, "certificate_expired"),
        (own, &SERVER_NAMES[..], Validity::NotYet, None, "certificate_not_yet_valid"),
    ] {
        let error = verifier_shows(&world, ca, names, validity, expected).await.unwrap_err();
        assert_eq!((error.reason(), error.is_refusal()), (reason, false));
    }
    assert_eq!(world.keylime.verifier.served(), 0);
}

#[tokio::test]
async fn the_name_expected_may_differ_from_the_host_dialled() {
    let world = World::new().await;
    for (names, expected) in [
        (&["keylime.example"][..], Some("keylime.example")),
        (&["10.1.2.3"][..], Some("10.1.2.3")),
        (&["*.keylime.example"][..], Some("a.keylime.example")),
        (&["127.0.0.1"][..], None),
    ] {
        verifier_shows(&world, &world.keylime.ca, names, Validity::Now, expected).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_name_is_shown_with_the_names_that_would_do() {
    let world = World::new().await;
    let names = ["keylime.example", "10.1.2.3"];
    let error = verifier_shows(&world, &world.keylime.ca, &names, Validity::Now, None).await.unwrap_err();
    let Error::Unreachable { cause: Unreachable::WrongName { expected, presented }, .. } = &error else {
        unreachable!("{error}")
    };
    assert_eq!(expected, "127.0.0.1");
    assert_eq!(presented, "keylime.example, 10.1.2.3");
}

#[tokio::test]
async fn a_certificate_that_must_be_reissued_says_how() {
    let world = World::new().await;
    let ca = &world.keylime.ca;
    let leaf = |change: &dyn Fn(&mut CertificateParams)| ca.server_with(change).unwrap();
    let with = |names: Vec<SanType>| leaf(&|params| params.subject_alt_names.clone_from(&names));
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    for (shown, texts) in [
        (
            with(vec![dns("127.0.0.1"), dns("server")]),
            &["names the address 127.0.0.1 as a DNS name", "as an IP address"][..],
        ),
        (with(vec![]), &["has no subjectAltName; reissue it with one that names 127.0.0.1"]),
        (
            leaf(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            &["its certificate is a CA's certificate", "first in its chain"],
        ),
        (
            leaf(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            &["its certificate is one for another purpose", "serverAuth"],
        ),
    ] {
        world.keylime.verifier.set_tls(shown.server_config(Clients::Optional(ca)).unwrap());
        let error = world.servers().state(&agent()).await.unwrap_err().to_string();
        assert!(texts.iter().all(|text| error.contains(text)), "{error}");
        assert!(!error.contains("set the server name") && !error.contains("Other"), "{error}");
    }
    let v1 = CertificateDer::from_pem_slice(V1.as_bytes()).unwrap();
    world.keylime.verifier.set_tls(crate::node_agent::stolen(&v1));
    let error = world.servers().state(&agent()).await.unwrap_err();
    assert!(error.to_string().contains("its certificate is an X.509 v1 certificate"), "{error}");
    assert_eq!(error.reason(), "unusable_certificate");
}

#[tokio::test]
async fn a_server_with_nothing_in_common_says_what_is_supported() {
    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let verifiers = vec![Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port()).unwrap()];
    // OpenSSL's answer where the server's only key is on P-521: the alert handshake_failure.
    let answer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let alert = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28];
        tokio::io::AsyncWriteExt::write_all(&mut stream, &alert).await.unwrap();
        stream
    });
    let servers = Servers::new(ServersConfig { verifiers, ..world.config() }).unwrap();
    let error = servers.state(&agent()).await.unwrap_err();
    assert_eq!(error.reason(), "nothing_in_common");
    assert!(error.to_string().contains("P-521 is not supported"), "{error}");
    answer.await.unwrap();
}

#[tokio::test]
async fn a_host_by_name_is_resolved_and_checked() {
    let world = World::new().await;
    let verifiers = vec![Endpoint::new("localhost", world.keylime.verifier.port()).unwrap()];
    Servers::new(ServersConfig { verifiers, ..world.config() }).unwrap().state(&agent()).await.unwrap();
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let world = World::new().await;
    let certificate = world.keylime.ca.server(&SERVER_NAMES, Validity::Now).unwrap();
    world.keylime.verifier.set_tls(certificate.tls12_config(Clients::Optional(&world.keylime.ca)).unwrap());
    world.servers().state(&agent()).await.unwrap();
    assert!(world.keylime.verifier.requests().last().unwrap().with_certificate);
}

#[tokio::test]
async fn a_client_certificate_that_the_server_does_not_trust_is_named() {
    let world = World::new().await;
    let other = Ca::new().unwrap();
    for config in ["tls 1.3", "tls 1.2"] {
        let own = world.keylime.ca.server(&SERVER_NAMES, Validity::Now).unwrap();
        let tls = if config == "tls 1.3" {
            own.server_config(Clients::Required(&other))
        } else {
            own.tls12_config(Clients::Required(&other))
        };
        world.keylime.verifier.set_tls(tls.unwrap());
        let error = world.servers().state(&agent()).await.unwrap_err();
        assert_eq!(error.reason(), "client_certificate_refused", "{config}: {error}");
    }
}

#[tokio::test]
async fn a_server_of_plain_http_is_recognized() {
    let world = World::new().await;
    let plain = FakeAgent::start(FakeAgentConfig::recorded("a")).await.unwrap();
    let config = ServersConfig { verifiers: vec![at(&plain.server)], ..world.config() };
    // The fake waits for the end of a request that never comes.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let verifiers = vec![Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port()).unwrap()];
    let answer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let error =
        Servers::new(ServersConfig { verifiers, ..config }).unwrap().state(&agent()).await.unwrap_err();
    assert_eq!(error.reason(), "not_tls");
    answer.await.unwrap();
}

#[tokio::test]
async fn the_ca_file_may_hold_several() {
    let world = World::new().await;
    let other = Ca::new().unwrap();
    fs::write(&world.files.ca, format!("{}\n# ours\n{}", other.pem(), world.keylime.ca.pem())).unwrap();
    world.servers().state(&agent()).await.unwrap();
}

#[tokio::test]
async fn one_file_may_hold_certificate_and_key() {
    let world = World::new().await;
    let both = world.path().join("both.pem");
    let [cert, key] = [&world.files.cert, &world.files.key].map(|path| fs::read_to_string(path).unwrap());
    for text in [format!("{cert}{key}"), format!("{key}{cert}")] {
        fs::write(&both, text).unwrap();
        let tls = TlsFiles { cert: both.clone(), key: both.clone(), ..tls_files(&world.files) };
        Servers::new(ServersConfig { tls, ..world.config() }).unwrap().state(&agent()).await.unwrap();
    }
}

#[tokio::test]
async fn keys_of_every_form_are_taken() {
    let world = World::new().await;
    let rsa = rcgen::KeyPair::from_pem(include_str!("keys/rsa-pkcs8.pem")).unwrap();
    let ec = rcgen::KeyPair::from_pem(include_str!("keys/ec-pkcs8.pem")).unwrap();
    for (key, pem) in [
        (&rsa, include_str!("keys/rsa-pkcs8.pem")),
        (&rsa, include_str!("keys/rsa-pkcs1.pem")),
        (&ec, include_str!("keys/ec-pkcs8.pem")),
        (&ec, include_str!("keys/ec-sec1.pem")),
    ] {
        let leaf = world.keylime.ca.client_for(key).unwrap();
        fs::write(&world.files.cert, &leaf).unwrap();
        fs::write(&world.files.key, pem).unwrap();
        world.servers().state(&agent()).await.unwrap();
        assert!(world.keylime.verifier.requests().last().unwrap().with_certificate);
    }
}

#[tokio::test]
async fn everything_wrong_is_reported_at_once_and_no_connection_made() {
    let world = World::new().await;
    let missing = |name: &str| world.path().join("missing").join(name);
    let tls = TlsFiles {
        ca: missing("ca"),
        cert: missing("cert"),
        key: missing("key"),
        server_name: Some("https://a".to_owned()),
    };
    let problems = Servers::new(ServersConfig { tls, ..world.config() }).unwrap_err();
    assert_eq!(
        settings(&problems),
        [Setting::ServerName, Setting::CaFile, Setting::CertFile, Setting::KeyFile]
    );
    assert!(problems[1].to_string().contains("missing/ca"), "{}", problems[1]);
    world.servers();
    assert_eq!((world.keylime.verifier.served(), world.keylime.verifier.handshakes()), (0, 0));
}

#[tokio::test]
async fn files_that_do_not_do_are_reported_with_what_is_expected() {
    let world = World::new().await;
    let other = world.keylime.ca.client().unwrap();
    let good = |path: &std::path::Path| fs::read_to_string(path).unwrap();
    let (ca, cert, key) = (good(&world.files.ca), good(&world.files.cert), good(&world.files.key));
    let broken = cert.replacen("MII", "AAA", 1);
    let large = " ".repeat(1024 * 1024 + 1);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let (run_together, ca_first) = (key.replace('\n', ""), format!("{ca}{cert}"));
    for (ca, cert, key, setting, text) in [
        (
            ca.as_str(),
            cert.as_str(),
            other.key_pem.as_str(),
            Setting::KeyFile,
            "expected the key of the certificate",
        ),
        (&ca, &other.cert_pem, &key, Setting::KeyFile, "expected the key of the certificate"),
        ("", &cert, &key, Setting::CaFile, "the file is empty"),
        (&key, &cert, &key, Setting::CaFile, "got a private key"),
        (&broken, &cert, &key, Setting::CaFile, "expected CA certificates, got one that cannot be read"),
        (&large, &cert, &key, Setting::CaFile, "expected at most 1048576 bytes"),
        (&ca, &key, &key, Setting::CertFile, "got a private key"),
        (&ca, &broken, &key, Setting::CertFile, "expected certificates, got one that cannot be read"),
        (&ca, V1, &key, Setting::CertFile, "got an X.509 v1 certificate"),
        (&ca, P521, &key, Setting::CertFile, "P-521, which is not supported"),
        (&ca, &ca_first, &key, Setting::CertFile, "own certificate first"),
        (&ca, "-----BEGIN CERTIFICATE-----\n!", &key, Setting::CertFile, "expected PEM certificates"),
        (&ca, &cert, &cert, Setting::KeyFile, "got a certificate"),
        (&ca, &cert, &run_together, Setting::KeyFile, "its lines run together"),
        (&ca, &cert, &encrypted, Setting::KeyFile, "not encrypted"),
        (&ca, &cert, "", Setting::KeyFile, "expected a PEM private key"),
    ] {
        fs::write(&world.files.ca, ca).unwrap();
        fs::write(&world.files.cert, cert).unwrap();
        fs::write(&world.files.key, key).unwrap();
        let problems = Servers::new(world.config()).unwrap_err();
        assert_eq!(settings(&problems), [setting], "{problems:?}");
        assert!(problems[0].to_string().contains(text), "{}", problems[0]);
        assert!(!problems[0].to_string().contains("peer"), "{}", problems[0]);
    }
}

#[tokio::test]
async fn what_is_no_file_is_not_read() {
    let world = World::new().await;
    for path in [world.path().to_owned(), "/dev/zero".into()] {
        let tls = TlsFiles { ca: path, ..tls_files(&world.files) };
        let problems = Servers::new(ServersConfig { tls, ..world.config() }).unwrap_err();
        assert!(problems[0].to_string().contains("expected a regular file"), "{}", problems[0]);
    }
}

#[tokio::test]
async fn a_timeout_of_nothing_is_a_problem() {
    let world = World::new().await;
    let config = ServersConfig { request_timeout: std::time::Duration::ZERO, ..world.config() };
    assert_eq!(settings(&Servers::new(config).unwrap_err()), [Setting::RequestTimeout]);
}
