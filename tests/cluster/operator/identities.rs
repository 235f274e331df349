//! Whether workloads get SVIDs, all the while that something happens to SPIRE: asked again and
//! again, and for how long the answer was no.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use lab::cluster::{Cluster, Node};
use lab::wait;

use super::resource::{TIMEOUT, say};

/// How long a workload may wait for its SVID when its node's SPIRE agent is ready: the operator
/// polls the node within seconds, spire-controller-manager makes the entries within ten, and the
/// agent learns of new ones each five seconds; the rest is for a busy machine. With node aliases 4 s
/// were measured at the switch, and 11 to 12 s on deletion: SPIRE's server
/// learns of a new agent's selectors within five seconds, and the agent of its entries within five.
/// Without aliases it was 10 to 22 s and 17 to 32 s.
const WITH_READY_AGENT: Duration = Duration::from_secs(40);

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

/// While something happens, workloads get their SVIDs but for the time that it takes to start an
/// agent anew. One that starts later gets its SVID, too.
pub(crate) fn meanwhile(
    (cluster, clock): (&Cluster, Instant),
    workloads: &[(&str, Node)],
    what: &str,
    happens: impl FnOnce() -> Result<()>,
) -> Result<()> {
    // What happened before may have moved the agents: a gap that it left open is not this one's.
    expect_identities(cluster, workloads)?;
    let end = AtomicBool::new(false);
    let gaps = thread::scope(|scope| {
        let follow = |&(name, node): &_| (name, follow(scope, cluster, (name, node), &end));
        let followed: Vec<_> = workloads.iter().map(follow).collect();
        let happened = happens().and_then(|()| expect_identities(cluster, workloads));
        end.store(true, Ordering::Release);
        let gaps = followed.into_iter().map(|(name, followed)| followed.gaps(&id(name)));
        let gaps = gaps.collect::<Vec<_>>();
        happened?;
        gaps.into_iter().collect::<Result<Vec<_>>>()
    })?;
    for Gaps { node, longest, with_ready_agent, count, .. } in gaps {
        let (longest, ready) = (longest.as_secs_f32(), with_ready_agent.as_secs_f32());
        say(
            clock,
            &format!(
                "{what}, {node}: {count} gaps, {longest:.1} s at most, {ready:.1} s of it with a ready agent"
            ),
        );
        ensure!(with_ready_agent <= WITH_READY_AGENT, "workloads of {node} waited for {ready:.1} s");
    }
    Ok(())
}

/// Waits until the workloads have their SVIDs.
pub(crate) fn expect_identities(cluster: &Cluster, workloads: &[(&str, Node)]) -> Result<()> {
    workloads.iter().try_for_each(|(name, _)| expect_identity(cluster, name))
}

/// Waits until a workload has its SVID.
pub(crate) fn expect_identity(cluster: &Cluster, name: &str) -> Result<()> {
    wait::until(&format!("an SVID for {name}"), TIMEOUT, || {
        let got = cluster.workload_id(name)?;
        ensure!(got == id(name), "it is {got}");
        Ok(())
    })
}

fn id(name: &str) -> String {
    format!("spiffe://example.org/{name}")
}
