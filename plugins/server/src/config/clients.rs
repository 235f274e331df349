//! The clients of Keylime's servers, and the TLS files.

use std::time::Duration;

use hcl::{Fields, Port};
use keylime::{
    Endpoint, IdentityFiles, InvalidEndpoint, KeyHash, PinnedServer, Servers, ServersConfig, Setting,
    TlsFiles,
};

use super::text_or;

const CA_FILE: &str = "keylime_tls_ca_cert_file";
const CERT_FILE: &str = "keylime_tls_cert_file";
const KEY_FILE: &str = "keylime_tls_key_file";
const SERVER_NAME: &str = "keylime_tls_server_name";
pub(super) const REQUEST_TIMEOUT: &str = "request_timeout";
const VERIFIERS: &str = "keylime_verifiers";

/// Most verifiers beside the main one. Each attestation asks all of them.
const MAX_FURTHER_VERIFIERS: usize = 8;

/// The clients of Keylime's servers, or [`None`] after problems were noted.
pub(super) fn servers(fields: &mut Fields, tls: TlsFiles, request_timeout: Duration) -> Option<Servers> {
    let verifier_host = text_or(fields, "keylime_verifier_host", "127.0.0.1");
    let verifier =
        endpoint(fields, ("keylime_verifier_host", &verifier_host), ("keylime_verifier_port", 8881));
    let mut verifiers = Vec::from_iter(verifier);
    verifiers.extend(further_verifiers(fields));
    let registrar_host = text_or(fields, "keylime_registrar_host", &verifier_host);
    let registrar =
        endpoint(fields, ("keylime_registrar_host", &registrar_host), ("keylime_registrar_port", 8891));
    let config = ServersConfig { verifiers, registrar: registrar?, tls, request_timeout };
    let problems = match Servers::new(config) {
        Ok(servers) => return Some(servers),
        Err(problems) => problems,
    };
    for problem in problems {
        fields.problem(key_of(problem.setting), problem);
    }
    None
}

pub(super) fn tls_files(fields: &mut Fields) -> TlsFiles {
    TlsFiles {
        ca: text_or(fields, CA_FILE, "/var/lib/keylime/cv_ca/cacert.crt").into(),
        cert: text_or(fields, CERT_FILE, "/var/lib/keylime/cv_ca/server-cert.crt").into(),
        key: text_or(fields, KEY_FILE, "/var/lib/keylime/cv_ca/server-private.pem").into(),
        server_name: Some(text_or(fields, SERVER_NAME, "")).filter(|name| !name.is_empty()),
    }
}

pub(super) fn report_tls(fields: &mut Fields, own: IdentityFiles, client: KeyHash) -> Option<PinnedServer> {
    let problems = match PinnedServer::new(own, client) {
        Ok(server) => return Some(server),
        Err(problems) => problems,
    };
    for problem in problems {
        fields.problem(key_of(problem.setting), problem);
    }
    None
}

fn key_of(setting: Setting) -> &'static str {
    match setting {
        Setting::CaFile => CA_FILE,
        Setting::CertFile => CERT_FILE,
        Setting::KeyFile | Setting::PinnedFile => KEY_FILE,
        Setting::ServerName => SERVER_NAME,
        Setting::RequestTimeout => REQUEST_TIMEOUT,
        Setting::Endpoint => VERIFIERS,
    }
}

/// An endpoint. After a problem any one does, so that the settings beside it are still checked.
fn endpoint(fields: &mut Fields, host: (&'static str, &str), port: (&'static str, u16)) -> Option<Endpoint> {
    let port = fields.take(port.0).map_or(port.1, Port::get);
    let endpoint = Endpoint::new(host.1, port).or_else(|error| {
        fields.problem(host.0, error);
        Endpoint::new("localhost", port)
    });
    endpoint.ok()
}

fn further_verifiers(fields: &mut Fields) -> Vec<Endpoint> {
    let texts: Vec<String> = fields.take(VERIFIERS).unwrap_or_default();
    if texts.len() > MAX_FURTHER_VERIFIERS {
        let text = format!("expected at most {MAX_FURTHER_VERIFIERS} verifiers, got {}", texts.len());
        fields.problem(VERIFIERS, text);
        return Vec::new();
    }
    let endpoints = texts
        .iter()
        .map(|text| text.parse().map_err(|error: InvalidEndpoint| fields.problem(VERIFIERS, error)));
    endpoints.filter_map(Result::ok).collect()
}
