//! More requests at once than the TPM can answer.

use std::thread;

use anyhow::{Result, ensure};
use evidence::HashAlg;
use lab::agent_data::KeyKind;
use lab::process::memory_kib;

use super::Lab;

#[test]
fn of_200_requests_at_once_each_gets_its_own_quote_or_is_told_to_come_again() -> Result<()> {
    let mut lab = Lab::start(KeyKind::P256)?;
    lab.quoter.quote("NONCE")?;
    let lab_ref = &lab;
    let outcomes: Vec<Result<bool>> = thread::scope(|scope| {
        let asking: Vec<_> = (0..200)
            .map(|number| {
                scope.spawn(move || {
                    let nonce = format!("NONCE{number}");
                    let answer = lab_ref.quoter.get(&format!("/v2.6/quotes/identity?nonce={nonce}"))?;
                    if answer.status == 503 {
                        let text = answer.text()?;
                        ensure!(text.contains("wait for the TPM already; ask again"), "{text}");
                        return Ok(false);
                    }
                    lab_ref.verify(&answer.quote()?, &nonce, HashAlg::Sha256)?;
                    Ok(true)
                })
            })
            .collect();
        asking.into_iter().filter_map(|asked| asked.join().ok()).collect()
    });
    ensure!(outcomes.len() == 200, "only {} were answered", outcomes.len());
    let quoted =
        outcomes.into_iter().collect::<Result<Vec<bool>>>()?.into_iter().filter(|quoted| *quoted).count();
    // As many as wait, and those that were done meanwhile.
    ensure!(quoted >= 32, "only {quoted} were quoted");
    lab.quoter.quote("AFTER")?;
    let peak = memory_kib(lab.quoter.process()?.id(), "VmHWM")?;
    ensure!(peak < 64 * 1024, "{peak} KiB");
    Ok(())
}
