//! The configurations in the plugins' documents: read by the plugins, which miss nothing but the
//! files that they name.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use lab::documents::blocks;
use lab::fake_apiserver::FakeApiserver;
use lab::host::Host;
use lab::programs;
use lab::site::{Site, TRUST_DOMAIN};

#[tokio::test]
async fn the_agents_configuration_is_valid() -> Result<()> {
    misses_only_files("plugins/agent/README.md", "keylime-attestor-agent").await
}

#[tokio::test]
async fn the_servers_configuration_is_valid() -> Result<()> {
    misses_only_files("plugins/server/README.md", "keylime-attestor-server").await
}

#[tokio::test]
async fn the_blocks_in_the_servers_configuration_are_valid() -> Result<()> {
    let site = Site::start().await?;
    let apiserver = FakeApiserver::start().await?;
    for (block, files) in [("enforcement {", String::new()), ("kubernetes {", apiserver.files())] {
        let shown = blocks("plugins/server/README.md", "hcl")?;
        let data = shown.iter().map(|shown| plugin_data(shown)).collect::<Result<Vec<_>>>()?;
        let data = data.into_iter().find(|data| data.contains(block)).context("no block has it")?;
        let text = site.configuration(&data.replace(block, &format!("{block}\n{files}")));
        let validated = site.host.plugin().validate(TRUST_DOMAIN, &text).await?;
        ensure!(validated.valid, "{:?}", validated.notes);
    }
    Ok(())
}

async fn misses_only_files(document: &str, program: &str) -> Result<()> {
    let blocks = blocks(document, "hcl")?;
    let whole = blocks.first().context("no block")?;
    ensure!(whole.contains(&format!("/{program}\"")), "{whole}");
    let program: PathBuf = programs::built(program)?;
    let host = Host::start(program).start().await?;
    let validated = host.plugin().validate(TRUST_DOMAIN, &plugin_data(whole)?).await?;
    ensure!(!validated.notes.is_empty(), "the files are there");
    for note in &validated.notes {
        ensure!(note.contains(" /run/") && note.contains("No such file"), "{note}");
    }
    Ok(())
}

/// The content of `plugin_data`, up to the brace with its indentation.
fn plugin_data(block: &str) -> Result<String> {
    let start = block.lines().position(|line| line.trim() == "plugin_data {").context("no plugin_data")?;
    let indent = block.lines().nth(start).map_or(0, |line| line.len() - line.trim_start().len());
    let end = format!("{}}}", " ".repeat(indent));
    let content = block.lines().skip(start + 1).take_while(|line| *line != end);
    Ok(content.map(|line| format!("{line}\n")).collect())
}
