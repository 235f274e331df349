//! `check`: whether a cluster is ready for a resource, from an administrator's kubeconfig, before
//! and after the operator is installed. Writes nothing.
//!
//! Nothing of SPIRE is decided anew here: the operator's own rooms read ([`gather`]), validate,
//! plan and phrase conditions, over what the administrator may read. Added is what the operator
//! cannot see from where it is: the apiserver's own set-up, the operator's pods, certificates'
//! ends, the apiserver's answer to each change. A subject each file; [`finding`] is what all say.

mod apiserver;
mod bundle;
mod changes;
mod conditions;
mod finding;
mod input;
mod namespaces;
mod network;
mod nodes;
mod operator;
mod pods;
mod secrets;
mod spire;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::KeylimeAttestor;
use kube::ResourceExt as _;

use crate::cluster::Cluster;
use crate::gather::{Gathered, gather};
use crate::model::problem::Problem;
use crate::model::target::Desired;
use crate::nodes::aliases;
use crate::plugins::Checksums;
use crate::process::cli::{Args, CheckArgs, Output};
use crate::process::own_plugins::plugins_dir;
use crate::reconcile::elsewhere;
use crate::rollout::plan::all_steps;
use crate::validate::validate;
use finding::{Finding, Report, Subject};
use operator::Installed;

/// The program's end where something fails, and where nothing can be told.
const FAILURES: u8 = 1;
const NOT_CHECKED: u8 = 2;

/// Checks, and tells of it on standard output.
///
/// # Errors
/// Where standard output takes nothing.
pub(crate) async fn check(args: &Args, asked: &CheckArgs) -> Result<ExitCode> {
    let Checked { report, source } = match checked(args, asked).await {
        Ok(checked) => checked,
        Err(error) => {
            writeln!(io::stderr(), "could not check: {error:#}")?;
            return Ok(NOT_CHECKED.into());
        }
    };
    let text = match asked.output {
        Output::Text => report.text(),
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
    };
    io::stdout().write_all(text.as_bytes()).context("failed to write the report")?;
    if let Some(file) = &asked.bundle {
        let told = match bundle::make(file, &report, &source).await {
            Ok(told) => told,
            Err(error) => {
                writeln!(io::stderr(), "could not make the bundle: {error:#}")?;
                return Ok(NOT_CHECKED.into());
            }
        };
        writeln!(io::stderr(), "{told}")?;
    }
    Ok(if report.fails() { FAILURES.into() } else { ExitCode::SUCCESS })
}

/// A check that is done, with what a bundle is made from.
struct Checked {
    report: Report,
    source: bundle::Source,
}

async fn checked(args: &Args, asked: &CheckArgs) -> Result<Checked> {
    let client = input::client(asked).await?;
    let now = Timestamp::now();
    let mut findings = apiserver::findings(&client).await?;
    let resource = input::resource(&client, asked).await?;
    let installed = operator::installed(&client).await;
    findings.push(operator::finding(&installed));
    let installed = installed.ok().flatten();
    let cluster = Cluster {
        namespaces: input::namespaces(&resource),
        report_secret: installed.as_ref().and_then(Installed::report_secret),
        client,
        dry_run: true,
    };
    findings.extend(input::findings(&cluster, &resource).await);
    findings.extend(elsewhere(&cluster, installed.as_ref(), &resource));
    findings.extend(namespaces::findings(&cluster).await);
    let (checksums, image, assumed) = plugins(args, installed.as_ref());
    findings.extend(assumed);
    let others = input::others(&cluster, &resource).await;
    let (gathered, aliasing) =
        tokio::join!(gather(&cluster, &resource, &others, Some(image)), aliases::ask(&cluster));
    let gathered = Gathered { aliasing, ..gathered? };
    findings.extend(spire::findings(&gathered));
    findings.extend(secrets::findings(&cluster, &resource, now).await);
    findings.extend(nodes::findings(&cluster, &resource, &gathered).await);
    findings.extend(network::findings(&cluster, &resource, &gathered, installed.as_ref()).await);
    let mut all_tried = Vec::new();
    match validate(&resource, &gathered, &checksums) {
        Ok(desired) => {
            findings.push(Finding::ok(Subject::Configuration, edits(&desired)));
            findings.extend(aliased(&desired));
            findings.extend(nodes::unsupported(&cluster, &desired).await);
            let previous = resource.status.clone().unwrap_or_default();
            let rollout = resource.spec.rollout.clone().unwrap_or_default();
            let steps = all_steps(&desired, &gathered, &previous, &rollout, now);
            let tried = changes::tried(&cluster, steps).await?;
            findings.extend(tried.iter().filter_map(changes::Tried::finding));
            findings.extend(pods::findings(&cluster, &desired, &tried).await);
            all_tried = tried;
            findings.extend(conditions::findings(&resource, gathered, desired, now));
        }
        Err(problems) => {
            findings.extend(problems.iter().map(|problem| Finding::problem(Subject::Configuration, problem)));
            findings.extend(conditions::reported(&resource));
        }
    }
    findings.sort_by_key(|finding| finding.subject);
    let name = format!("{}/{}", resource.namespace().unwrap_or_default(), resource.name_any());
    let changes = all_tried.iter().filter_map(|tried| tried.change(Clone::clone)).collect();
    let report = Report::new(name, findings, changes);
    Ok(Checked { report, source: bundle::Source { cluster, resource, installed, tried: all_tried } })
}

/// The checksums and the image of the plugins, and what had to be assumed of them.
fn plugins(args: &Args, installed: Option<&Installed>) -> (Checksums, String, Option<Finding>) {
    let checksums = plugins_dir(args).ok().and_then(|folder| Checksums::read(&folder).ok());
    let image = args.plugin_image.clone().or_else(|| installed.and_then(|installed| installed.image.clone()));
    let mut unknown = Vec::new();
    if image.is_none() {
        unknown.push("the image that SPIRE's pods install the plugins from (--plugin-image)");
    }
    if checksums.is_none() {
        unknown.push("the plugins' checksums (--plugins-dir)");
    }
    let assumed = (!unknown.is_empty()).then(|| {
        let message = format!("not known here, and shown with a value of no meaning: {}", unknown.join("; "));
        Finding::ok(Subject::Changes, message)
    });
    let image = image.unwrap_or_else(|| format!("keylime-attestor:{}", env!("CARGO_PKG_VERSION")));
    (checksums.unwrap_or_else(Checksums::unknown), image, assumed)
}

/// The operator's own words on namespaces in which it does not act.
fn elsewhere(
    cluster: &Cluster,
    installed: Option<&Installed>,
    resource: &KeylimeAttestor,
) -> Option<Finding> {
    let namespaces = installed?.namespaces.clone();
    let acting = Cluster { namespaces, ..cluster.clone() };
    let outside =
        (!acting.manages(&resource.namespace().unwrap_or_default())).then(|| elsewhere::own(&acting));
    let problem: Problem = elsewhere::problem(&acting, resource).or(outside)?;
    Some(Finding::problem(Subject::Operator, &problem))
}

/// What is made beside the changes that are shown.
fn aliased(desired: &Desired) -> Option<Finding> {
    desired.server.manager.as_ref()?.aliases.as_ref().ok()?;
    let message = "each Node of the cluster has ClusterStaticEntries keylime-attestor-*, its alias as the parent of workloads; they are not shown one by one";
    Some(Finding::ok(Subject::Changes, message))
}

fn edits(desired: &Desired) -> String {
    let edited = desired.targets().map(|target| {
        format!(
            "{} in the ConfigMap {}/{}",
            target.source.key, target.key.namespace, target.source.config_map
        )
    });
    format!("SPIRE's configurations can be edited: {}", edited.collect::<Vec<_>>().join(", "))
}
