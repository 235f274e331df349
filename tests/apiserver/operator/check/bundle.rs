//! The support bundle: what is in it, and that no key, token or quote is, wherever one was.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::read::GzDecoder;
use lab::damage::{forms, trace_of};
use lab::fake_keylime::pki::{Ca, Clients, Validity};
use lab::fake_keylime::{FakeServer, Request, Response};
use rcgen::KeyPair;
use serde_json::json;
use tar::Archive;

use super::super::spire;
use super::run;
use crate::operator::site::Site;

/// Names and texts of the files of a bundle.
type Files = Vec<(String, String)>;

/// Something that may be in no bundle, as PEM holds it and as itself.
struct Planted {
    what: &'static str,
    pem: String,
    bytes: Vec<u8>,
    texts: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_token_or_quote_is_in_it_wherever_one_was() -> Result<()> {
    let site = Site::start("bundled").await?;
    let planted = planted()?;
    let everything: Vec<&str> =
        planted.iter().flat_map(|planted| planted.texts.iter().map(String::as_str)).collect();
    plant(&site, &everything).await?;
    site.attest(json!({}))?;
    let condition = json!([{"type": "ServerRolledOut", "status": "False", "reason": "Progressing",
        "message": format!("it says: {}", everything.join(" ")).chars().take(30_000).collect::<String>(),
        "lastTransitionTime": "2026-11-29T09:00:00Z"}]);
    site.patch_status("kla/spire", &json!({"conditions": condition}))?;
    let kubelet = kubelet(everything.join("\n")).await?;
    node(&site, kubelet.address().port())?;

    let (file, told) = bundle(&site)?;
    ensure!(file.metadata()?.permissions().mode() & 0o777 == 0o600, "others can read it");
    let files = files(file)?;
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "contents.yaml",
        "check.json",
        "objects/bundled/KeylimeAttestor.yaml",
        "objects/bundled/StatefulSet.yaml",
        "objects/bundled/DaemonSet.yaml",
        "objects/bundled/ConfigMap.yaml",
        "objects/bundled/Pod.yaml",
        "objects/bundled/Event.yaml",
        "objects/Node.yaml",
        "logs/bundled/spire-server-0/spire-server.log",
    ] {
        ensure!(
            names.contains(&format!("keylime-attestor-bundle/{name}").as_str()),
            "{name}: {names:?}, {told}"
        );
    }
    // Each place was read, and something taken out of it.
    for (part, place) in [
        ("<removed", "logs/bundled/spire-server-0/spire-server.log"),
        ("it listens", "logs/bundled/spire-server-0/spire-server.log"),
        ("<removed", "objects/bundled/Event.yaml"),
        ("<removed", "objects/bundled/KeylimeAttestor.yaml"),
        ("<removed", "check.json"),
        ("bytes>", "objects/bundled/ConfigMap.yaml"),
        ("trust_domain: example.org", "objects/bundled/ConfigMap.yaml"),
        ("bytes>", "objects/bundled/StatefulSet.yaml"),
        ("image: ghcr.io/spiffe/spire", "objects/bundled/StatefulSet.yaml"),
        ("Secret bundled/keylime-client", "contents.yaml"),
    ] {
        let found = files.iter().find(|(name, _)| name.ends_with(place));
        ensure!(found.is_some_and(|(_, text)| text.contains(part)), "{part} is not in {place}: {found:?}");
    }
    let served =
        site.kubectl(&["get", "statefulsets,configmaps,events,pods,kla,secrets", "--output", "yaml"])?;
    for Planted { what, pem, bytes, texts } in &planted {
        ensure!(trace_of(pem, &served).is_some(), "the {what} was not planted");
        let parts: HashSet<&[u8]> = bytes.windows(8).collect();
        for (name, text) in &files {
            let trace = trace_of(pem, text);
            ensure!(trace.is_none(), "{trace:?} of the {what} is in {name}: {text}");
            let raw = text.as_bytes().windows(8).find(|part| parts.contains(part));
            ensure!(raw.is_none(), "{raw:?} of the {what} is in {name}");
            ensure!(!texts.iter().any(|planted| text.contains(planted.as_str())), "the {what} is in {name}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said_and_no_file_is_overwritten() -> Result<()> {
    let site = Site::start("bundle-bare").await?;
    site.attest(json!({}))?;
    let (file, _) = bundle(&site)?;
    let files = files(file)?;
    let contents = files.iter().find(|(name, _)| name.ends_with("contents.yaml")).context("no contents")?;
    ensure!(contents.1.contains("StatefulSet bundle-bare/spire-server"), "{}", contents.1);
    ensure!(contents.1.contains("it is not there"), "{}", contents.1);
    let file = site.dir.path().join("bundle.tar.gz");
    let before = file.metadata()?.len();
    let path = file.to_str().context("a path that is not UTF-8")?;
    let output = run(&site, &["--resource", "bundle-bare/spire", "--bundle", path])?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(2) && error.contains("give a file that is not there yet"),
        "{error}"
    );
    ensure!(file.metadata()?.len() == before, "it was written");
    Ok(())
}

/// A key, a token and a quote, in every form that one of them may have come in.
fn planted() -> Result<Vec<Planted>> {
    let key = KeyPair::generate()?;
    let pem = key.serialize_pem();
    let damaged = forms(&pem).into_iter().map(|form| String::from_utf8_lossy(&form.content).into_owned());
    // Control characters are in no YAML, by which kubectl sends it.
    let plain = |text: String| text.chars().filter(|c| !c.is_control() || "\n\r\t".contains(*c)).collect();
    let texts = damaged.map(plain).collect();
    let key = Planted { what: "key", pem, bytes: key.serialize_der(), texts };

    let parts = [&br#"{"alg":"RS256","kid":"q2Zr"}"#[..], br#"{"aud":["spire-server"],"sub":"x"}"#];
    let signature = KeyPair::generate()?.serialize_der();
    let parts: Vec<String> =
        parts.into_iter().chain([&signature[..]]).map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
    let token = as_pem("token", parts.join(".").into_bytes());

    let mut attested = vec![0xff, b'T', b'C', b'G', 0x80, 0x18];
    attested.extend(KeyPair::generate()?.serialize_der());
    let quote = format!("r{}:{}", STANDARD.encode(&attested), STANDARD.encode(&signature));
    let mut quoted = as_pem("quote", attested);
    quoted.texts.push(quote);
    Ok(vec![key, token, quoted])
}

/// As bytes, in every encoding.
fn as_pem(what: &'static str, bytes: Vec<u8>) -> Planted {
    let joined =
        |form: fn(&u8) -> String, between: &str| bytes.iter().map(form).collect::<Vec<_>>().join(between);
    let mut texts = vec![
        STANDARD.encode(&bytes),
        joined(|byte| format!("{byte:02x}"), ""),
        joined(|byte| format!("{byte:02X}"), ":"),
        joined(u8::to_string, ", "),
        joined(|byte| format!("\\x{byte:02x}"), ""),
    ];
    texts.extend(String::from_utf8(bytes.clone()));
    Planted { what, pem: STANDARD.encode(&bytes), bytes, texts }
}

/// SPIRE with all of it in every place that a bundle is made from.
async fn plant(site: &Site, texts: &[&str]) -> Result<()> {
    let all = texts.join(" ");
    let mut objects = spire::json(&site.namespace);
    for object in objects["items"].as_array_mut().into_iter().flatten() {
        object["metadata"]["annotations"]["vault.example/token"] = json!(all);
        match object["kind"].as_str() {
            Some("ConfigMap") => {
                object["data"]["notes"] = json!(all);
                object["data"]["other.json"] = json!(
                    json!({"plugins": {"DataStore": [{"sql": {"plugin_data":
                    {"connection_string": all}}}]}})
                    .to_string()
                );
            }
            Some("StatefulSet" | "DaemonSet") => {
                let container = &mut object["spec"]["template"]["spec"]["containers"][0];
                container["env"] = json!([{"name": "PASSWORD", "value": all}]);
                container["livenessProbe"] = json!({"exec": {"command": ["sh", "-c", all]}});
                object["spec"]["template"]["metadata"]["annotations"]["x.example/y"] = json!(all);
            }
            _ => {}
        }
    }
    site.apply_with(&objects, &["--server-side"])?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "planted", "namespace": site.namespace}, "stringData": {"all": all}});
    site.apply_with(&secret, &["--server-side"])?;
    for (at, text) in texts.iter().enumerate() {
        let note: String = text.chars().filter(|c| !c.is_control()).take(1024).collect();
        let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": format!("planted-{at}"), "namespace": site.namespace},
            "eventTime": "2026-11-29T09:00:00.000000Z", "type": "Warning", "reason": "Failed", "action": "Try",
            "reportingController": "x", "reportingInstance": "x", "note": note,
            "regarding": {"kind": "Pod", "name": "spire-server-0", "namespace": site.namespace}});
        site.apply_with(&event, &["--server-side"])?;
    }
    Ok(())
}

/// A Node whose kubelet is ours, with a pod of SPIRE's server on it.
fn node(site: &Site, port: u16) -> Result<()> {
    site.make_node("bundled", "11111111-0000-0000-0000-000000000009", "127.0.0.1")?;
    let endpoint = json!({"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}});
    site.server.api().patch_status("", "node/bundled", &endpoint)?;
    let mut pod = spire::pod(&site.namespace, "spire-server-0", "spire-server", "");
    pod["spec"]["nodeName"] = json!("bundled");
    site.apply(&pod)
}

/// A kubelet that has one log for every container.
async fn kubelet(log: String) -> Result<FakeServer> {
    let ca = Ca::new()?;
    let certificate = ca.server(&["127.0.0.1"], Validity::Now)?;
    let config = certificate.server_config(Clients::Optional(&ca))?;
    let log = format!("level=info msg=\"it listens\"\n{log}\nlevel=info msg=\"it ends\"\n");
    let answer = move |request: &Request| {
        let is_log = request.target.starts_with("/containerLogs/");
        Response {
            status: if is_log { 200 } else { 404 },
            content_type: Some("text/plain"),
            body: if is_log { log.clone().into_bytes() } else { Vec::new() },
        }
    };
    FakeServer::start(Some(config), Arc::new(answer)).await
}

/// Makes a bundle; the file, and what is told of it.
fn bundle(site: &Site) -> Result<(File, String)> {
    let file = site.dir.path().join("bundle.tar.gz");
    let path = file.to_str().context("a path that is not UTF-8")?;
    let output = run(site, &["--resource", &format!("{}/spire", site.namespace), "--bundle", path])?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((File::open(&file).with_context(|| told.clone())?, told))
}

fn files(file: File) -> Result<Files> {
    let mut archive = Archive::new(GzDecoder::new(file));
    let texts = archive.entries()?.map(|entry| {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        Ok((name, text))
    });
    texts.collect()
}
