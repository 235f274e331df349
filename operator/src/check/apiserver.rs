//! The apiserver itself: its version, its clock, and whether it restricts what kubelets write.

use anyhow::{Context as _, Result};
use k8s_openapi::jiff::fmt::rfc2822;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::GetParams;
use kube::client::Body;
use kube::core::Request;
use kube::{Client, Error};

use super::finding::{Finding, Subject};
use crate::cluster::restricts_nodes;

/// The oldest minor version, whose ValidatingAdmissionPolicies the chart uses, and the one that the
/// operator is tested with.
const OLDEST: u32 = 30;
const TESTED: u32 = 34;

/// Clocks further apart than this make tokens, certificates and ages of attestations doubtful.
const MOST_SKEW: SignedDuration = SignedDuration::from_secs(10);

/// # Errors
/// An apiserver that gives no answer: nothing can be checked.
pub(super) async fn findings(client: &Client) -> Result<Vec<Finding>> {
    let info = client.apiserver_version().await.context("failed to ask the apiserver for its version")?;
    let restricts = restricts_nodes(client).await;
    let (asked, date) = date(client).await.context("failed to ask the apiserver for its time")?;
    Ok(vec![version(&info.git_version, &info.minor), clock(asked, date.as_deref()), restriction(restricts)])
}

fn version(version: &str, minor: &str) -> Finding {
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<u32>() {
        Ok(minor) if minor < OLDEST => Finding::failure(
            Subject::Apiserver,
            format!("expected Kubernetes 1.{OLDEST} or later, found {version}"),
            "Upgrade the cluster: the chart's admission policies need it.",
        ),
        Ok(_) => Finding::ok(Subject::Apiserver, format!("Kubernetes {version} (tested with 1.{TESTED})")),
        Err(_) => Finding::warning(
            Subject::Apiserver,
            format!("the apiserver calls its version {version}, of which the number is not known"),
            format!("See to it that it is 1.{OLDEST} or later."),
        ),
    }
}

/// The time here when the apiserver was asked, in the middle of request and answer, and the
/// answer's date.
async fn date(client: &Client) -> Result<(Timestamp, Option<String>), Error> {
    let request = Request::new("").get("version", &GetParams::default()).map_err(Error::BuildRequest)?;
    let before = Timestamp::now();
    let answer = client.send(request.map(Body::from)).await?;
    let half = Timestamp::now().duration_since(before) / 2;
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
    Ok((before.saturating_add(half).unwrap_or(before), date))
}

fn clock(here: Timestamp, date: Option<&str>) -> Finding {
    let there = date.and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp());
    let Some(there) = there else {
        return Finding::warning(
            Subject::Apiserver,
            "the apiserver does not tell its time",
            "See to it that the clocks of nodes, Keylime and SPIRE agree.",
        );
    };
    // The header has whole seconds, cut off.
    let apart = here.duration_since(there).abs();
    if apart <= MOST_SKEW {
        return Finding::ok(Subject::Apiserver, "its clock and the one here agree");
    }
    Finding::warning(
        Subject::Apiserver,
        format!("its clock and the one here are {} s apart: {there} there, {here} here", apart.as_secs()),
        "Set the wrong one right. Tokens, certificates and the ages of attestations go by clocks.",
    )
}

fn restriction(answer: Result<Option<bool>, Error>) -> Finding {
    const TURN_ON: &str = "--enable-admission-plugins=NodeRestriction";
    match answer {
        Ok(Some(true)) => Finding::ok(Subject::Apiserver, "runs with the admission plugin NodeRestriction"),
        Ok(Some(false)) => Finding::warning(
            Subject::Apiserver,
            "runs without the admission plugin NodeRestriction: a node's kubelet can write the label that its workloads' parents hang on",
            format!("Turn it on: {TURN_ON}."),
        ),
        Ok(None) => Finding::warning(
            Subject::Apiserver,
            "its metrics do not tell whether it runs with the admission plugin NodeRestriction",
            format!("See to it that it does: {TURN_ON}."),
        ),
        Err(error) => Finding::warning(
            Subject::Apiserver,
            format!(
                "whether it runs with the admission plugin NodeRestriction is not known: its metrics were not read: {error}"
            ),
            format!("See to it that it does ({TURN_ON}), or check with the right to get /metrics."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn an_apiserver_that_is_too_old_fails() {
        for (name, minor, level) in [
            ("v1.29.9", "29", Level::Failure),
            ("v1.30.0", "30", Level::Ok),
            ("v1.34.1-eks-1", "34+", Level::Ok),
            ("devel", "", Level::Warning),
        ] {
            assert_eq!(version(name, minor).level, level, "{name}");
        }
    }

    #[test]
    fn clocks_that_are_apart_are_told() {
        let here: Timestamp = "2026-11-29T09:00:00Z".parse().unwrap();
        for (date, level, told) in [
            (Some("Sun, 29 Nov 2026 09:00:10 GMT"), Level::Ok, "agree"),
            (Some("Sun, 29 Nov 2026 08:59:50 GMT"), Level::Ok, "agree"),
            (Some("Sun, 29 Nov 2026 09:05:00 GMT"), Level::Warning, "300 s apart"),
            (Some("Sun, 29 Nov 2026 08:58:00 GMT"), Level::Warning, "120 s apart"),
            (Some("today"), Level::Warning, "does not tell"),
            (None, Level::Warning, "does not tell"),
        ] {
            let finding = clock(here, date);
            assert_eq!(finding.level, level, "{date:?}");
            assert!(finding.message.contains(told), "{}", finding.message);
        }
    }
}
