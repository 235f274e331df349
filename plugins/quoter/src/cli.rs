//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use evidence::AgentId;
use tpm::Address;

/// Quotes nonces with the TPM for the SPIRE agent beside it, where Keylime's agent opens no port.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Unix socket that is served, in a folder that only root or this user may write
    #[arg(
        long,
        global = true,
        env = "KEYLIME_ATTESTOR_QUOTER_SOCKET",
        default_value = "/run/keylime-attestor/quoter.sock",
        value_name = "FILE"
    )]
    pub(crate) socket: PathBuf,

    /// The TPM, by the device of the kernel's resource manager
    #[arg(
        long,
        env = "KEYLIME_ATTESTOR_QUOTER_TPM",
        default_value = "device:/dev/tpmrm0",
        value_name = "TPM"
    )]
    pub(crate) tpm: Address,

    /// agent_data.json of Keylime's agent
    #[arg(
        long,
        env = "KEYLIME_ATTESTOR_QUOTER_AGENT_DATA",
        default_value = "/var/lib/keylime/agent_data.json",
        value_name = "FILE"
    )]
    pub(crate) agent_data: PathBuf,

    /// The node's id in Keylime. Left out: uuid in Keylime's agent.conf, and hash_ek without one
    #[arg(long, env = "KEYLIME_ATTESTOR_QUOTER_AGENT_ID", value_name = "ID")]
    pub(crate) agent_id: Option<AgentId>,

    /// Configuration of Keylime's agent; the files of the folder FILE.d count as well
    #[arg(
        long,
        env = "KEYLIME_ATTESTOR_QUOTER_AGENT_CONF",
        default_value = "/etc/keylime/agent.conf",
        value_name = "FILE"
    )]
    pub(crate) agent_conf: PathBuf,

    /// User ids, beside root's and this program's own, whose programs are answered: that of the
    /// SPIRE agent
    #[arg(long, env = "KEYLIME_ATTESTOR_QUOTER_ALLOW_UID", value_delimiter = ',', value_name = "UID,…")]
    pub(crate) allow_uid: Vec<u32>,
}

/// What is done beside quoting, each once and by a process of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask the quoter at the socket for the node, and fail with its text where it could not quote:
    /// for a probe
    Check,
    /// Give a folder to the user that the quoter is to run as: for an init container that is root
    OwnFolder {
        /// The folder, which is there
        folder: PathBuf,
        /// Id of the user
        #[arg(long)]
        uid: u32,
        /// Id of the group
        #[arg(long)]
        gid: u32,
    },
}
