//! The Secret with the certificate that the operator issues for itself, and the key's hash in the
//! derived configuration.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keylime::KeyHash;
use lab::damage::{forms, trace_of};
use lab::wait;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};

use super::secrets::{grant, rights};
use super::site::{Site, TIMEOUT};
use super::spire;

const NAME: &str = "keylime-attestor-report";

/// The hash in the derived configuration.
pub(crate) fn pinned(site: &Site) -> Result<String> {
    let text = site.text("spire-server-keylime", "server.conf")?;
    let (_, after) = text.split_once("\"report_client_key_sha256\"").context("no hash")?;
    Ok(after.split('"').nth(1).context("no text")?.to_owned())
}

/// The hash of the key in the Secret, which is that of its certificate.
fn kept(site: &Site) -> Result<String> {
    let (certificate, key) = (entry(site, "tls.crt")?, entry(site, "tls.key")?);
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let hash = KeyHash::of(&certificate)?.to_string();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    CertifiedKey::from_der(vec![certificate], key, &default_provider())?;
    Ok(hash)
}

fn entry(site: &Site, key: &str) -> Result<String> {
    let secret = site.get(&format!("secret/{NAME}"))?;
    let content = secret["data"][key].as_str().with_context(|| format!("no {key}"))?;
    Ok(String::from_utf8(STANDARD.decode(content)?)?)
}

/// Waits until the server is configured with the key in the Secret; its hash.
fn agreed(site: &Site) -> Result<String> {
    wait::until("the server to know the operator's key", TIMEOUT, || {
        let (pinned, kept) = (pinned(site)?, kept(site)?);
        ensure!(pinned == kept, "{pinned} is configured, {kept} is kept");
        Ok(kept)
    })
}

/// Has the operator reconcile now.
fn wake(site: &Site, count: usize) -> Result<()> {
    site.kubectl(&["annotate", "kla", "spire", "--overwrite", &format!("count={count}")]).map(drop)
}

/// As the chart brings it.
fn empty(site: &Site) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": site.namespace}})
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_agree_on_one_certificate_and_keep_it() -> Result<()> {
    let mut site = Site::start("report-secret").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.apply(&empty(&site))?;
    site.attest(json!({"enforcement": {}}))?;
    let operators = [site.operator()?, site.operator()?];
    let hash = agreed(&site)?;
    let version = site.get(&format!("secret/{NAME}"))?["metadata"]["resourceVersion"].clone();
    let before = operators.iter().map(|operator| operator.reconciles()).collect::<Result<Vec<_>>>()?;
    wake(&site, 1)?;
    wait::until("both to reconcile", TIMEOUT, || {
        for (operator, before) in operators.iter().zip(&before) {
            ensure!(operator.reconciles()? > *before);
        }
        Ok(())
    })?;
    ensure!(agreed(&site)? == hash, "there is another key");
    ensure!(
        site.get(&format!("secret/{NAME}"))?["metadata"]["resourceVersion"] == version,
        "it was written again"
    );
    operators.into_iter().try_for_each(|operator| operator.stop())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_certificate_is_replaced_and_the_server_follows() -> Result<()> {
    let mut site = Site::start("report-damaged").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.attest(json!({"enforcement": {}}))?;
    let operator = site.operator()?;
    let first = agreed(&site)?;
    let (rolled, key) = (site.hash("statefulset/spire-server")?, entry(&site, "tls.key")?);

    let mut replaced = 0;
    // Every form is tried where it is read; here some of them go the whole way.
    for (count, form) in forms(&key).iter().enumerate().step_by(5) {
        let mut damaged = empty(&site);
        let certificate = entry(&site, "tls.crt")?;
        damaged["data"] =
            json!({"tls.crt": STANDARD.encode(certificate), "tls.key": STANDARD.encode(&form.content)});
        site.apply(&damaged)?;
        wake(&site, count)?;
        let hash = agreed(&site)?;
        replaced += usize::from(hash != first);
    }
    ensure!(replaced > 2, "only {replaced} were replaced");
    site.wait("the server's pods to be replaced", |site| {
        Ok(site.hash("statefulset/spire-server")? != rolled)
    })?;

    let last = agreed(&site)?;
    site.kubectl(&["delete", "secret", NAME])?;
    wake(&site, usize::MAX)?;
    ensure!(agreed(&site)? != last);

    let told = site.kubectl(&["get", "kla,events,statefulsets,daemonsets,configmaps", "--output", "yaml"])?;
    let log = operator.process.log()?;
    operator.stop()?;
    ensure!(log.contains("a certificate for the report was made"), "{log}");
    for text in [told, log] {
        ensure!(trace_of(&key, &text).is_none(), "{text}");
    }
    Ok(())
}

/// The rights are those that the chart gives.
#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_this_one_secret_is_needed_and_enough() -> Result<()> {
    let mut site = Site::start("report-rights").await?;
    site.apply(&spire::json(&site.namespace))?;
    site.apply(&site.secret("keylime-node")?)?;
    let user = "somebody-without-the-report";
    site.apply(&rights(&site.namespace, user))?;
    for secret in ["keylime-client", "keylime-node"] {
        grant(&site, user, secret)?;
    }
    site.attest(json!({"enforcement": {}}))?;
    let operator = site.operator_as(user)?;
    let message = site.wait_for("ConfigurationApplied", "Refused")?;
    ensure!(message.contains(NAME) && message.contains("get, create and patch"), "{message}");
    ensure!(site.hash("statefulset/spire-server")?.is_none());

    let name = format!("--resource-name={NAME}");
    site.kubectl(&["create", "role", NAME, "--verb=get,create,patch", "--resource=secrets", &name])?;
    let (role, user) = (format!("--role={NAME}"), format!("--user={user}"));
    site.kubectl(&["create", "rolebinding", NAME, &role, &user])?;
    agreed(&site)?;
    operator.stop()
}
