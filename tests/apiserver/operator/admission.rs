//! The lab's own means to keep pods out of a namespace do so: tests of rollouts that cannot go on
//! rest on them.

use anyhow::{Result, ensure};
use lab::admission::{admit_pods, deny_pods, exhaust_quota};

use super::pods;
use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_and_a_policy_keep_pods_out_until_they_are_taken_away() -> Result<()> {
    let site = Site::start("no-pods").await?;
    let kubectl = |args: &[&str]| site.server.kubectl(args);
    pods::start_agent(&site, "before", "node", None)?;

    exhaust_quota(kubectl, "no-pods")?;
    let refused = pods::start_agent(&site, "quota", "node", None).map_err(|error| format!("{error:#}"));
    ensure!(refused.as_ref().is_err_and(|text| text.contains("exceeded quota: lab-no-pods")), "{refused:?}");
    admit_pods(kubectl, "no-pods")?;
    site.wait("an admitted pod", |site| Ok(pods::start_agent(site, "quota", "node", None).is_ok()))?;

    deny_pods(kubectl, "no-pods", "object.metadata.name == 'policy'", "not in this house")?;
    let refused = pods::start_agent(&site, "policy", "node", None).map_err(|error| format!("{error:#}"));
    ensure!(refused.as_ref().is_err_and(|text| text.contains("not in this house")), "{refused:?}");
    pods::start_agent(&site, "another", "node", None)?;
    admit_pods(kubectl, "no-pods")?;
    site.wait("an admitted pod", |site| Ok(pods::start_agent(site, "policy", "node", None).is_ok()))?;
    ensure!(site.exists("pod/before")?);
    Ok(())
}
