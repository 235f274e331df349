//! `credentials`: the client certificates that SPIRE's server and nodes need for Keylime, made
//! where an administrator runs it, kept in a folder and renewed from there, as the two Secrets that
//! a resource names.
//!
//! Keys go into files that only their owner can read, and to standard output only where that is
//! asked for.

mod folder;
mod issue;
mod keylime_ca;
mod manifests;

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::jiff::Timestamp;

use crate::certificate::Certificate;
use crate::process::cli::CredentialsArgs;
use folder::Folder;
use issue::{Authority, Pair};
use keylime_ca::read;
use manifests::{cert_manager, secret, yaml};

/// The names of the files in the folder.
const NODE_CA: &str = "node-ca";
const NODE: &str = "node-client";
const ADMIN: &str = "admin-client";
const SECRETS: &str = "secrets.yaml";

/// The names in the certificates, for whoever reads a log of Keylime's.
const NODE_NAME: &str = "keylime-attestor-node";
const ADMIN_NAME: &str = "keylime-attestor-admin";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes what is missing or ends soon, and says what to do with it.
///
/// # Errors
/// What is missing, cannot be read or does not belong together. No key is in a message.
pub(crate) fn credentials(args: &CredentialsArgs) -> Result<()> {
    if args.cert_manager {
        return say(&cert_manager(args));
    }
    ensure!(
        args.days > args.renew_before,
        "expected --days above --renew-before, got {} and {}: it would be renewed at each run",
        args.days,
        args.renew_before
    );
    let folder = Folder::open(&args.folder)?;
    let mut told = Vec::new();
    let node_ca = node_ca(&folder, &mut told)?;
    let node = renewed(args, &folder, NODE, &node_ca, NODE_NAME, &mut told)?;
    let (admin, keylime_ca) = admin(args, &folder, &mut told)?;
    let secrets = [
        secret(&args.server_namespace, &args.admin_secret, &admin, Some(&keylime_ca)),
        secret(&args.agent_namespace, &args.node_secret, &node, None),
    ];
    let text = yaml(&secrets)?;
    if args.output.as_deref() == Some("-") {
        return say(&text);
    }
    let manifest = folder.keep_secret(SECRETS, &text)?;
    let ca = folder.path(&format!("{NODE_CA}.crt"));
    told.push(format!(
        "\nApply both Secrets: kubectl apply --server-side -f {}\n\
         Copy {} to every node as /etc/keylime/keylime-attestor-node-ca.crt, and have its Keylime agent trust it beside Keylime's own CA, by this line in its configuration:\n\
         \x20 trusted_client_ca = \"['/var/lib/keylime/cv_ca/cacert.crt', '/etc/keylime/keylime-attestor-node-ca.crt']\"\n\
         The verifier and the registrar must not trust it. Run this again before they end: what ends within {} days is issued anew.\n",
        manifest.display(),
        ca.display(),
        args.renew_before
    ));
    say(&told.join("\n"))
}

/// The nodes' CA: the one that is kept, or a new one.
fn node_ca(folder: &Folder, told: &mut Vec<String>) -> Result<Authority> {
    let (pair, how) = match folder.pair(NODE_CA)? {
        Some(kept) => (kept, "kept"),
        None => (Authority::make()?, "made"),
    };
    let authority = Authority::new(&pair.certificate, &pair.key).context("the nodes' CA")?;
    if how == "made" {
        folder.keep(NODE_CA, &pair)?;
    }
    tell(told, how, "the nodes' CA", &pair)?;
    Ok(authority)
}

/// The administrator's certificate with its key, and the CA of Keylime's servers.
fn admin(args: &CredentialsArgs, folder: &Folder, told: &mut Vec<String>) -> Result<(Pair, String)> {
    if let Some(cv_ca) = &args.keylime_ca {
        let password = match &args.keylime_ca_password_file {
            Some(file) => read(file)?.trim_end_matches(['\r', '\n']).to_owned(),
            // As Keylime's own configuration has it until somebody changes it.
            None => "default".to_owned(),
        };
        let authority = keylime_ca::open(cv_ca, &password)?;
        let pair = renewed(args, folder, ADMIN, &authority, ADMIN_NAME, told)?;
        return Ok((pair, authority.certificate));
    }
    let given =
        [&args.admin_certificate, &args.admin_key, &args.keylime_ca_certificate].map(Option::as_deref);
    let [Some(certificate), Some(key), Some(ca)] = given else {
        anyhow::bail!(
            "expected --keylime-ca with the verifier's folder cv_ca, or --admin-certificate, --admin-key and --keylime-ca-certificate"
        );
    };
    let pair = Pair { certificate: read(certificate)?, key: read(key)? };
    let ca = read(ca)?;
    let parsed = Certificate::read(pair.certificate.as_bytes());
    let parsed =
        parsed.with_context(|| format!("{} has no certificate that can be read", certificate.display()))?;
    ensure!(
        parsed.fits(pair.key.as_bytes()),
        "{} is not the key of {}",
        key.display(),
        certificate.display()
    );
    ensure!(
        Certificate::read(ca.as_bytes()).is_some(),
        "{} has no certificate that can be read",
        args.keylime_ca_certificate.as_deref().unwrap_or(key).display()
    );
    tell(told, "given", "the administrator's certificate", &pair)?;
    Ok((pair, ca))
}

/// The certificate of a name: the one that is kept, where it counts long enough and is of this CA,
/// or a new one.
fn renewed(
    args: &CredentialsArgs,
    folder: &Folder,
    name: &str,
    authority: &Authority,
    common_name: &str,
    told: &mut Vec<String>,
) -> Result<Pair> {
    let now = Timestamp::now();
    let renew_before = DAY * args.renew_before;
    let lasts = |kept: &Pair| {
        let Some(certificate) = Certificate::read(kept.certificate.as_bytes()) else { return false };
        let left = Duration::try_from(certificate.not_after.duration_since(now)).unwrap_or_default();
        left > renew_before
            && certificate.fits(kept.key.as_bytes())
            && certificate.is_issued_by(authority.certificate.as_bytes(), now)
    };
    let before = folder.pair(name)?;
    let how = if before.is_some() { "renewed" } else { "made" };
    if let Some(kept) = before.filter(lasts) {
        tell(told, "kept", common_name, &kept)?;
        return Ok(kept);
    }
    let pair = authority.issue(common_name, DAY * args.days)?;
    folder.keep(name, &pair)?;
    tell(told, how, common_name, &pair)?;
    Ok(pair)
}

fn tell(told: &mut Vec<String>, how: &str, what: &str, pair: &Pair) -> Result<()> {
    let certificate =
        Certificate::read(pair.certificate.as_bytes()).context("a certificate cannot be read")?;
    told.push(format!("{how}: {what}, ends at {}", certificate.not_after));
    Ok(())
}

fn say(text: &str) -> Result<()> {
    io::stdout().write_all(text.as_bytes()).context("failed to write to standard output")
}
