//! The command line, for a person or an init container.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{About, AgentNodeAttestor, ServerNodeAttestor, install, own_configuration};
use crate::{serve_agent_node_attestor, serve_server_node_attestor};

/// One key of a plugin's configuration, for people to read.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Its name in `plugin_data`.
    pub name: &'static str,
    /// The default.
    pub default: &'static str,
    /// A short description.
    pub about: &'static str,
}

/// The body of `main` for a node attestor of SPIRE's server: [`serve_server_node_attestor`] when
/// there are no arguments, as SPIRE starts it; else `--help`, `--version`, `configuration` or
/// `install`.
#[must_use]
pub fn run_server_node_attestor(
    about: About,
    keys: &[ConfigKey],
    plugin: impl ServerNodeAttestor,
) -> ExitCode {
    run(about, keys, || serve_server_node_attestor(about, plugin))
}

/// The body of `main` for a node attestor of SPIRE's agent, like [`run_server_node_attestor`].
#[must_use]
pub fn run_agent_node_attestor(about: About, keys: &[ConfigKey], plugin: impl AgentNodeAttestor) -> ExitCode {
    run(about, keys, || serve_agent_node_attestor(about, plugin))
}

/// Started by SPIRE as `plugin_cmd`, without arguments, it serves.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the keys of plugin_data as a Markdown table
    Configuration,
    /// Copy this program into a directory, for an init container of SPIRE's pod, and print its
    /// SHA-256 and path
    Install {
        /// The directory; it must exist
        #[arg(long, value_name = "DIR")]
        to: PathBuf,

        /// A directory with SPIRE's configuration for each architecture, in one of its name: link to
        /// the one for this program, in --to under the name configuration
        #[arg(long, value_name = "DIR")]
        configurations: Option<PathBuf>,
    },
}

fn run(about: About, keys: &[ConfigKey], serve: impl FnOnce() -> ExitCode) -> ExitCode {
    let command = Arguments::command()
        .name(about.name)
        .version(about.version)
        .about(format!(
            "{}: a SPIRE plugin, to be named as plugin_cmd in SPIRE's configuration",
            about.description
        ))
        .after_help(format!("Keys of plugin_data, with their defaults:\n{}", list(keys)));
    let arguments = command.try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match arguments.command {
        None => serve(),
        Some(Command::Configuration) => say(&table(keys)),
        Some(Command::Install { to, configurations }) => {
            installed(about.name, &to, configurations.as_deref())
                .map_or_else(|error| fail(&*error), |text| say(&text))
        }
    }
}

/// Installs the program, and links to its configuration where there is one for each architecture.
fn installed(
    name: &str,
    to: &Path,
    configurations: Option<&Path>,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = format!("{}\n", install::install(name, to)?);
    if let Some(configurations) = configurations {
        text += &format!("{}\n", own_configuration::link(configurations, to)?);
    }
    Ok(text)
}

fn list(keys: &[ConfigKey]) -> String {
    keys.iter().map(|key| format!("  {} ({})\n      {}\n", key.name, key.default, key.about)).collect()
}

fn table(keys: &[ConfigKey]) -> String {
    let rows = keys.iter().map(|key| format!("| `{}` | {} | {} |\n", key.name, key.default, key.about));
    format!("| key | default | |\n| --- | --- | --- |\n{}", rows.collect::<String>())
}

fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints an error. Where nobody reads it, the exit code still says it.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "{error}");
    ExitCode::FAILURE
}
