//! Plays the Job that `helm uninstall` waits for: runs the program with the Job's arguments, as the
//! Job's account with nothing but the chart's rights, and says how it ended, as the Job's
//! controller does.

#![expect(clippy::indexing_slicing, reason = "what the tests share is test code too")]

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use lab::apiserver::ApiServer;
use lab::programs::built;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::helm::{NAMESPACE, at};

const JOB: &str = "keylime-attestor-uninstall";

/// Runs something while the Job is played, and `meanwhile` again and again. What the last Job's
/// program has said.
pub(crate) fn play<T>(
    server: &ApiServer,
    meanwhile: impl Fn() -> Result<()> + Sync,
    run: impl FnOnce() -> T,
) -> Result<(T, String)> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let player = scope.spawn(|| {
            let mut player = Player { server, folder: TempDir::new()?, run: None, told: String::new() };
            while !done.load(Ordering::Relaxed) {
                player.turn()?;
                meanwhile()?;
                thread::sleep(Duration::from_millis(200));
            }
            Ok::<_, anyhow::Error>(player.told)
        });
        let result = run();
        done.store(true, Ordering::Relaxed);
        let told = player.join().map_err(|_| anyhow!("the player ended badly"))??;
        Ok((result, told))
    })
}

struct Player<'s> {
    server: &'s ApiServer,
    folder: TempDir,
    /// The uid of the Job, and its program until that has ended.
    run: Option<(String, Option<Child>)>,
    told: String,
}

impl Player<'_> {
    fn turn(&mut self) -> Result<()> {
        let job = self.server.kubectl(&[
            "get",
            "job",
            JOB,
            "--namespace",
            NAMESPACE,
            "--ignore-not-found",
            "--output",
            "json",
        ])?;
        if job.is_empty() {
            return Ok(());
        }
        let job: Value = serde_json::from_str(&job)?;
        let uid = at(&job, "/metadata/uid").to_owned();
        if self.run.as_ref().is_none_or(|(running, _)| *running != uid) {
            self.run = Some((uid, Some(self.start(&job)?)));
        }
        let Some((_, Some(child))) = &mut self.run else { return Ok(()) };
        let Some(ended) = child.try_wait()? else { return Ok(()) };
        self.told.clear();
        child.stderr.take().context("no output")?.read_to_string(&mut self.told)?;
        if let Some((_, child)) = &mut self.run {
            *child = None;
        }
        self.end(ended.success())
    }

    fn start(&self, job: &Value) -> Result<Child> {
        let pod = job.pointer("/spec/template/spec").context("no pod")?;
        let account = at(pod, "/serviceAccountName");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(self.server.kubeconfig())?)?;
        config["users"][0]["user"]["as"] = json!(format!("system:serviceaccount:{NAMESPACE}:{account}"));
        let file = self.folder.path().join("kubeconfig");
        fs::write(&file, config.to_string())?;
        let args = pod.pointer("/containers/0/args").and_then(Value::as_array).context("no arguments")?;
        let mut program = Command::new(built("keylime-attestor-operator")?);
        program.args(args.iter().filter_map(Value::as_str)).env("KUBECONFIG", file);
        program.stderr(Stdio::piped()).spawn().context("failed to start the program")
    }

    fn end(&self, well: bool) -> Result<()> {
        let at = "2026-11-29T09:00:00Z";
        let (before, last) =
            if well { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") };
        let condition = |type_| {
            json!({"type": type_, "status": "True", "reason": "Played", "message": "",
            "lastProbeTime": at, "lastTransitionTime": at})
        };
        let mut status = json!({"startTime": at, "conditions": [condition(before), condition(last)],
            "uncountedTerminatedPods": {}, "ready": 0, "terminating": 0});
        if well {
            status["completionTime"] = json!(at);
            status["succeeded"] = json!(1);
        } else {
            status["failed"] = json!(1);
        }
        let patch = json!({"status": status}).to_string();
        self.server.kubectl(&[
            "patch",
            "job",
            JOB,
            "--namespace",
            NAMESPACE,
            "--subresource=status",
            "--type=merge",
            "--patch",
            &patch,
        ])?;
        Ok(())
    }
}
