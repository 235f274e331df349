//! Whether workloads get SVIDs, all the while that something happens to SPIRE: asked again and
//! again, and for how long the answer was no.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use lab::cluster::{Cluster, Node};

/// One pod's SVIDs, from now on until they are no longer followed.
pub(crate) struct Followed<'scope> {
    node: Node,
    thread: ScopedJoinHandle<'scope, Vec<Answer>>,
}

/// A workload's answer, with the time from its request to it.
struct Answer {
    asked: Instant,
    came: Instant,
    id: Result<String>,
    /// Where it got none: true if the SPIRE agent of its node was ready then.
    agent_ready: bool,
}

/// For how long workloads of a node got no SVID, and how often that was.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// The name of the node.
    pub(crate) node: &'static str,
    /// The longest, from the last SVID before it to the first after it. None began or ended within.
    pub(crate) longest: Duration,
    /// The longest while the node's SPIRE agent was ready and all should have been well.
    pub(crate) with_ready_agent: Duration,
    /// How many there were.
    pub(crate) count: usize,
    /// True if the last answer had no SVID.
    open: bool,
}

/// Asks for the SVID of a pod on a node, once now and then again and again until `end`.
pub(crate) fn follow<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    cluster: &'scope Cluster,
    (workload, node): (&'scope str, Node),
    end: &'scope AtomicBool,
) -> Followed<'scope> {
    let ask = move || {
        let asked = Instant::now();
        let id = cluster.workload_id(workload);
        let agent_ready = id.is_err() && is_agent_ready(cluster, node).unwrap_or_default();
        Answer { asked, came: Instant::now(), id, agent_ready }
    };
    // Before anything happens, which begins when this returns.
    let mut answers = vec![ask()];
    let thread = scope.spawn(move || {
        // Once more after the end: whoever ends knows that all is well again.
        let mut last = false;
        while !last {
            last = end.load(Ordering::Acquire);
            answers.push(ask());
        }
        answers
    });
    Followed { node, thread }
}

impl Followed<'_> {
    /// What was seen; every SVID was this one, the first answer and the last were SVIDs.
    pub(crate) fn gaps(self, id: &str) -> Result<Gaps> {
        let node = self.node.name;
        let answers = self.thread.join().map_err(|_| anyhow!("who asked for SVIDs on {node} panicked"))?;
        ensure!(answers.len() > 2, "there were {} answers on {node} only", answers.len());
        let mut gaps = Gaps { node, ..Gaps::default() };
        let (mut last, mut ready) = (None, None);
        for answer in &answers {
            match &answer.id {
                Ok(got) => {
                    ensure!(got == id, "a workload on {node} got {got}");
                    gaps.close(last, ready.take(), answer);
                    last = Some(answer);
                }
                Err(error) => {
                    ensure!(last.is_some(), "on {node} there was no SVID to begin with: {error:#}");
                    // From when it still was so to when it was so again: at most as long as this.
                    gaps.open = true;
                    ready = ready.or(answer.agent_ready.then_some(answer.asked));
                }
            }
        }
        ensure!(
            !gaps.open,
            "on {node} there was no SVID in the end: {:?}",
            answers.last().map(|answer| &answer.id)
        );
        Ok(gaps)
    }
}

impl Gaps {
    /// After an SVID, where there was none since another.
    fn close(&mut self, last: Option<&Answer>, ready: Option<Instant>, answer: &Answer) {
        if let Some(last) = last.filter(|_| mem::take(&mut self.open)) {
            self.count += 1;
            self.longest = self.longest.max(answer.came.duration_since(last.asked));
            let with_ready_agent = ready.map_or(Duration::ZERO, |ready| answer.came.duration_since(ready));
            self.with_ready_agent = self.with_ready_agent.max(with_ready_agent);
        }
    }
}

/// Whether one that is not ending is.
fn is_agent_ready(cluster: &Cluster, node: Node) -> Result<bool> {
    let output = "jsonpath={.metadata.deletionTimestamp}{.status.conditions[?(@.type==\"Ready\")].status}";
    Ok(cluster.at_agents(&["get", &cluster.agent_pod(node)?, "--output", output])? == "True")
}
