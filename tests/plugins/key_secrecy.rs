//! No byte of a private key is in a message of the plugins, whatever became of the key, and
//! wherever somebody put it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lab::damage::{forms, trace_of};
use lab::host::{Host, Log};
use lab::programs;
use lab::site::{SERVER_PLUGIN, Site, TRUST_DOMAIN};

const SERVER: [&str; 3] = ["keylime_tls_ca_cert_file", "keylime_tls_cert_file", "keylime_tls_key_file"];
const AGENT: [&str; 3] = ["keylime_tls_cert_file", "keylime_tls_key_file", "keylime_tls_server_cert_file"];

#[tokio::test]
async fn a_damaged_key_is_in_no_answer_and_no_log() -> Result<()> {
    let site = Site::start().await?;
    let key = fs::read_to_string(&site.files.key)?;
    let folder = tempfile::tempdir()?;
    let damaged = folder.path().join("damaged.pem");
    let good = [&site.files.ca, &site.files.cert, &site.files.key];
    let agent = [&site.files.cert, &site.files.key, &site.files.ca];
    for (program, settings, files) in
        [(SERVER_PLUGIN, SERVER, good), ("keylime-attestor-agent", AGENT, agent)]
    {
        let host = Host::start(programs::built(program)?).start().await?;
        let mut refused = 0;
        for form in forms(&key) {
            fs::write(&damaged, &form.content)?;
            for broken in settings {
                let text = configuration(settings, files, broken, &damaged);
                let notes = host.plugin().validate(TRUST_DOMAIN, &text).await?.notes.join("\n");
                let answer = host.plugin().configure(TRUST_DOMAIN, &text).await;
                refused += usize::from(answer.is_err());
                for said in [notes, format!("{answer:?}")] {
                    let trace = trace_of(&key, &said);
                    assert_eq!(trace, None, "{program}, {broken}, {}: {said}", form.how);
                }
            }
        }
        // A key in the place of the path of its file.
        for setting in settings {
            let text = configuration(settings, files, setting, Path::new(&key));
            let notes = host.plugin().validate(TRUST_DOMAIN, &text).await?.notes.join("\n");
            assert!(notes.contains(setting), "{notes}");
            assert_eq!(trace_of(&key, &notes), None, "{program}, {setting}: {notes}");
        }
        assert!(refused > 50, "{program} refused only {refused}");
        logged_nothing_of(&key, host.log());
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_damaged_later_is_in_no_warning() -> Result<()> {
    let site = Site::start().await?;
    let key = fs::read_to_string(&site.files.key)?;
    for form in forms(&key).iter().filter(|form| ["newlines lost", "DER"].contains(&form.how)) {
        fs::write(&site.files.key, &form.content)?;
        let warned = |site: &Site| {
            site.host.log().lines().iter().filter(|line| line.contains("cannot be used")).count()
        };
        let before = warned(&site);
        // The files are read when somebody attests; what is in use stays.
        tokio::time::timeout(std::time::Duration::from_secs(60), async {
            while warned(&site) == before {
                site.attest().await?;
            }
            anyhow::Ok(())
        })
        .await
        .with_context(|| format!("no warning of {}", form.how))??;
    }
    logged_nothing_of(&key, site.host.log());
    Ok(())
}

/// The files, but for one setting.
fn configuration(settings: [&str; 3], files: [&PathBuf; 3], other: &str, value: &Path) -> String {
    let pairs = settings.into_iter().zip(files);
    pairs
        .map(|(setting, file)| format!("{setting} = {:?}\n", if setting == other { value } else { file }))
        .collect()
}

fn logged_nothing_of(key: &str, log: &Log) {
    for line in log.lines() {
        assert_eq!(trace_of(key, &line), None, "{line}");
    }
}
