//! A release, from its installation to its end, by each Helm on a real apiserver.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::apiserver::ApiServer;
use lab::cluster::Helm;
use lab::wait;
use serde_json::Value;
use tempfile::TempDir;

use super::helm::{self, NAMESPACE, RELEASE, at, chart, read, text, value_set};
use super::hook;

const CRD: &str = "keylimeattestors.spire.keylime.dev";
const TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn helm_3_installs_upgrades_and_uninstalls() -> Result<()> {
    life_of_a_release(Helm::V3)
}

#[test]
fn helm_4_installs_upgrades_and_uninstalls() -> Result<()> {
    life_of_a_release(Helm::V4)
}

fn life_of_a_release(helm: Helm) -> Result<()> {
    let server = ApiServer::start()?;
    for namespace in ["spire-edge", "spire-server", "spire-system"] {
        server.kubectl(&["create", "namespace", namespace])?;
    }
    let folder = TempDir::new()?;
    let releases = Releases { server, helm };
    let (old, new, attestor) = (old_chart(folder.path())?, chart(), value_set("attestor"));
    let with_attestor = ["--values", text(&attestor)?];

    releases.refuse_an_attestor_at_first(&new, &with_attestor)?;
    releases.refuse_a_namespace_that_is_not_there(&new)?;
    releases.install_and_upgrade(&old, &new, &with_attestor)?;
    releases.leave_the_attestor_and_come_back(&new, &with_attestor)?;
    releases.refuse_to_leave_what_is_in_spire(&new, &with_attestor)?;
    releases.withdraw_and_come_back(&new, &with_attestor)?;
    releases.leave_nothing(&new)
}

struct Releases {
    server: ApiServer,
    helm: Helm,
}

impl Releases {
    fn refuse_an_attestor_at_first(&self, chart: &Path, with_attestor: &[&str]) -> Result<()> {
        match self.run("install", chart, with_attestor) {
            Ok(notes) => bail!("it was installed: {notes}"),
            Err(error) => {
                let answer = format!("{error:#}");
                ensure!(answer.contains("this cluster does not know KeylimeAttestor yet"), "{answer}");
            }
        }
        ensure!(self.kubectl(&["get", "crd", CRD]).is_err(), "half a release was made");
        Ok(())
    }

    fn refuse_a_namespace_that_is_not_there(&self, chart: &Path) -> Result<()> {
        let (namespace, names) =
            ("rbac.keylimeSecrets[0].namespace=nowhere", "rbac.keylimeSecrets[0].names={a}");
        for flags in [&["--set", namespace, "--set", names][..], &["--set", "namespaces={nowhere}"]] {
            let answer = self.run("install", chart, flags).err().map(|error| format!("{error:#}"));
            let answer = answer.unwrap_or_default();
            ensure!(answer.contains("the namespace nowhere") && answer.contains("is not there"), "{answer}");
            ensure!(self.kubectl(&["get", "crd", CRD]).is_err(), "half a release was made");
        }
        Ok(())
    }

    /// An upgrade brings the new CRD along, and the resource.
    fn install_and_upgrade(&self, old: &Path, new: &Path, with_attestor: &[&str]) -> Result<()> {
        let notes = self.run("install", old, &[])?;
        ensure!(notes.contains("It may not read any Secret yet"), "{notes}");
        ensure!(notes.contains("apply a KeylimeAttestor with the names of your SPIRE"), "{notes}");
        for line in read(&new.join("files/quickstart.yaml"))?.lines() {
            ensure!(notes.contains(&format!("\n  {line}\n")), "{line:?} is not in {notes}");
        }
        self.kubectl(&["wait", "--for=condition=Established", "crd", CRD])?;
        ensure!(self.crd()?.contains("An old text."), "the old chart has another CRD");

        let notes = self.run("upgrade", new, with_attestor)?;
        ensure!(!notes.contains("It may not read any Secret yet"), "{notes}");
        ensure!(notes.contains("kubectl wait keylimeattestor/spire --namespace spire-system"), "{notes}");
        ensure!(!self.crd()?.contains("An old text."), "the CRD was not upgraded");
        assert_eq!(self.attestor("{.spec.keylime.verifiers[0].port}")?, "9881");

        // Unchanged values change nothing, changed ones do.
        for (age, generation) in [("5m", "1"), ("10m", "2")] {
            let age = format!("attestor.spec.attestation.maxAttestationAge={age}");
            self.run("upgrade", new, &[with_attestor, &["--set", &age]].concat())?;
            assert_eq!(self.attestor("{.metadata.generation}")?, generation, "{age}");
        }
        Ok(())
    }

    /// Nobody would be left to give SPIRE everything back.
    fn leave_the_attestor_and_come_back(&self, chart: &Path, with_attestor: &[&str]) -> Result<()> {
        self.uninstall()?;
        ensure!(self.deployment().is_err(), "the operator is still there");
        assert_eq!(self.attestor("{.metadata.deletionTimestamp}")?, "");
        self.run("install", chart, with_attestor)?;
        self.deployment()?;
        Ok(())
    }

    /// What the operator has taken up, as its finalizer tells.
    fn refuse_to_leave_what_is_in_spire(&self, chart: &Path, with_attestor: &[&str]) -> Result<()> {
        self.take_up()?;
        let (left, told) = hook::play(&self.server, || Ok(()), || self.try_uninstall())?;
        ensure!(left.is_err(), "it was uninstalled");
        for part in [
            "found spire-system/spire",
            "kubectl delete kla spire -n spire-system",
            "helm rollback",
            "--no-hooks",
        ] {
            ensure!(told.contains(part), "{part} is not in {told}");
        }
        self.deployment()?;
        assert_eq!(self.attestor("{.metadata.deletionTimestamp}")?, "");
        // Helm upgrades no release that is being uninstalled, but rolls one back to what it is.
        let history = self.of_release("history", &["--max", "1", "--output", "json"])?;
        let history: Value = serde_json::from_str(&history)?;
        assert_eq!(at(&history, "/0/status"), "uninstalling");
        let revision = history.pointer("/0/revision").and_then(Value::as_u64).context("no revision")?;
        self.of_release("rollback", &[&revision.to_string()])?;
        self.run("upgrade", chart, &[with_attestor, &["--set", "uninstall.attestors=Withdraw"]].concat())?;
        Ok(())
    }

    /// The resource is deleted, and Helm waits until the operator lets it go, which we play.
    fn withdraw_and_come_back(&self, chart: &Path, with_attestor: &[&str]) -> Result<()> {
        let let_go = || {
            let deleted = self.attestor("{.metadata.deletionTimestamp}").unwrap_or_default();
            if !deleted.is_empty() {
                self.deployment()?;
                self.finalizers("[]")?;
            }
            Ok(())
        };
        let (left, told) = hook::play(&self.server, let_go, || self.try_uninstall())?;
        left?;
        ensure!(told.contains("waits until the operator has withdrawn spire-system/spire"), "{told}");
        ensure!(
            self.deployment().is_err() && self.attestor("{.metadata.name}").is_err(),
            "something is left"
        );
        let accounts =
            self.kubectl(&["get", "serviceaccounts,roles", "--all-namespaces", "--output", "name"])?;
        ensure!(!accounts.contains("uninstall"), "{accounts}");
        self.run("install", chart, with_attestor)?;
        Ok(())
    }

    fn take_up(&self) -> Result<()> {
        self.finalizers(r#"["spire.keylime.dev/withdraw"]"#)
    }

    fn finalizers(&self, names: &str) -> Result<()> {
        let patch = format!(r#"{{"metadata":{{"finalizers":{names}}}}}"#);
        let patch =
            ["patch", "kla", "spire", "--namespace", "spire-system", "--type=merge", "--patch", &patch];
        self.kubectl(&patch).map(drop)
    }

    fn leave_nothing(&self, chart: &Path) -> Result<()> {
        self.run("upgrade", chart, &["--set", "crds.keep=false"])?;
        assert_eq!(self.attestor("{.metadata.name}")?, "spire", "it goes by kubectl only");
        self.kubectl(&["delete", "kla", "--all", "--all-namespaces"])?;
        self.uninstall()?;
        wait::until("the end of the CRD", TIMEOUT, || {
            ensure!(self.kubectl(&["get", "crd", CRD, "--ignore-not-found"])?.is_empty(), "it is there");
            Ok(())
        })
    }

    fn run(&self, verb: &str, chart: &Path, args: &[&str]) -> Result<String> {
        let (config, values) = (self.server.kubeconfig(), value_set("default"));
        let command = [verb, RELEASE, text(chart)?, "--namespace", NAMESPACE, "--kubeconfig", text(&config)?];
        let command = [&command[..], &["--values", text(&values)?]].concat();
        let create: &[&str] = if verb == "install" { &["--create-namespace"] } else { &[] };
        helm::helm(self.helm, &[&command, create, args].concat())
    }

    fn uninstall(&self) -> Result<()> {
        hook::play(&self.server, || Ok(()), || self.try_uninstall())?.0
    }

    fn try_uninstall(&self) -> Result<()> {
        self.of_release("uninstall", &[]).map(drop)
    }

    fn of_release(&self, verb: &str, args: &[&str]) -> Result<String> {
        let config = self.server.kubeconfig();
        let command = [verb, RELEASE, "--namespace", NAMESPACE, "--kubeconfig", text(&config)?];
        helm::helm(self.helm, &[&command[..], args].concat())
    }

    fn crd(&self) -> Result<String> {
        self.kubectl(&["get", "crd", CRD, "--output", "yaml"])
    }

    fn attestor(&self, path: &str) -> Result<String> {
        let output = format!("jsonpath={path}");
        self.kubectl(&["get", "kla", "spire", "--namespace", "spire-system", "--output", &output])
    }

    fn deployment(&self) -> Result<String> {
        self.kubectl(&["get", "deployment", "keylime-attestor", "--namespace", NAMESPACE])
    }

    fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.server.kubectl(args)
    }
}

/// The chart as it might have been, with another CRD.
fn old_chart(folder: &Path) -> Result<PathBuf> {
    let old = folder.join("keylime-attestor");
    copy(&chart(), &old)?;
    let crd = old.join("files/spire.keylime.dev_keylimeattestors.yaml");
    let text = read(&crd)?;
    let changed =
        text.replace("description: How the operator changes SPIRE\n", "description: An old text.\n");
    ensure!(changed != text, "the CRD has no such text any more");
    fs::write(crd, changed)?;
    Ok(old)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
