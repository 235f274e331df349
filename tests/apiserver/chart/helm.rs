//! Helm 3 and Helm 4 on the chart.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use lab::cluster::Helm;
use lab::process::output;
use lab::programs::installed;
use serde_json::Value;
use tempfile::TempDir;

/// Both: the older merges on the client's side, the newer applies on the server's.
pub(crate) const HELMS: [Helm; 2] = [Helm::V3, Helm::V4];
/// The namespace of the release.
pub(crate) const NAMESPACE: &str = "keylime-attestor";
/// The name of the release.
pub(crate) const RELEASE: &str = "keylime-attestor";

/// Runs Helm to its end, with no files of its own that stay; its standard output.
pub(crate) fn helm(helm: Helm, args: &[impl AsRef<OsStr>]) -> Result<String> {
    let program = match helm {
        Helm::V3 => installed("cluster-programs/helm3")?,
        Helm::V4 => installed("cluster-tools/helm4")?,
    };
    let home = TempDir::new().context("failed to make a folder for Helm")?;
    output(Command::new(program).args(args).env("HOME", home.path()))
}

/// A kind that a cluster serves and that `helm template` has to be told of.
const POLICIES: &str = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy";

/// All objects of the chart as text, for a cluster that has every kind, with what comes after the
/// release's name and the values that have to be given.
pub(crate) fn template(version: Helm, args: &[&str]) -> Result<String> {
    let (chart, values) = (chart(), value_set("default"));
    let command = ["template", RELEASE, text(&chart)?, "--namespace", NAMESPACE, "--values", text(&values)?];
    helm(version, &[&command[..], &["--api-versions", POLICIES], args].concat())
}

/// `helm lint`, where a warning is an error.
pub(crate) fn lint(version: Helm, args: &[&str]) -> Result<String> {
    let chart = chart();
    helm(version, &[&["lint", "--strict", text(&chart)?], args].concat())
}

/// The objects in a text of several YAML documents.
pub(crate) fn objects(text: &str) -> Result<Vec<Value>> {
    let objects: Vec<Value> =
        serde_yaml::from_multiple(text).context("failed to read what Helm has rendered")?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

/// The values that the chart is tried with: a file each.
pub(crate) fn value_sets() -> Result<Vec<PathBuf>> {
    let folder = repository().join("tests/testdata/chart/values");
    let entries = folder.read_dir().with_context(|| format!("failed to read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// One of the values that the chart is tried with.
pub(crate) fn value_set(name: &str) -> PathBuf {
    repository().join("tests/testdata/chart/values").join(name).with_extension("yaml")
}

pub(crate) fn chart() -> PathBuf {
    repository().join("charts/keylime-attestor")
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

/// A member somewhere in an object, as text; "" when it is not there.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
