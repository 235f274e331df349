//! A verifier's list of its agents, by which its "not found" is checked.
//!
//! A verifier that cannot read its database answers "not found" for a single agent (measured);
//! asked for the list, it fails.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use evidence::AgentId;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::Malformed;
use crate::http::{Answer, Failure};
use crate::states::MAX_AGENTS;

/// The time for which a list is used, so that a client that names ids of agents that are not
/// enrolled has the list asked for no more often.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// The newest list.
#[derive(Debug, Default)]
pub(crate) struct AgentList(Mutex<Option<Listed>>);

#[derive(Debug)]
struct Listed {
    asked: Instant,
    ids: HashSet<Box<str>>,
}

impl AgentList {
    /// Tells if the verifier's list has the agent. `ask` gets the list; one call at a time does so,
    /// the others wait for its result.
    pub(crate) async fn has<E>(
        &self,
        agent: &AgentId,
        ask: impl Future<Output = Result<HashSet<Box<str>>, E>>,
    ) -> Result<bool, E> {
        let began = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(listed) = last.as_ref() {
            let has = listed.ids.contains(agent.as_str());
            // An agent that was removed since is in a list from before: only a newer one says yes.
            if listed.asked >= began || (listed.asked.elapsed() < GOOD_FOR && !has) {
                return Ok(has);
            }
        }
        let asked = Instant::now();
        let ids = ask.await?;
        let has = ids.contains(agent.as_str());
        *last = Some(Listed { asked, ids });
        Ok(has)
    }
}

/// The ids in an answer to `/agents/`.
pub(crate) fn read(answer: &Answer) -> Result<HashSet<Box<str>>, Failure> {
    #[derive(Deserialize)]
    struct List {
        uuids: Vec<[Box<str>; 1]>,
    }
    let List { uuids } = answer.results("the verifier's list of agents", false)?;
    if uuids.len() > MAX_AGENTS {
        return Err(Malformed::TooManyAgents { limit: MAX_AGENTS }.into());
    }
    Ok(uuids.into_iter().map(|[id]| id).collect())
}

#[cfg(test)]
mod tests;
