//! The command line. Each flag can also be given as the environment variable that its help names.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, Subcommand, ValueEnum};

/// Makes SPIRE attest nodes through Keylime, as KeylimeAttestor resources ask for.
#[derive(Debug, Clone, Parser)]
#[command(version, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Namespaces in which the operator acts, separated by commas: those of the KeylimeAttestor
    /// resources, of SPIRE's server and of its agents. Whoever may write a KeylimeAttestor there
    /// administers SPIRE
    #[arg(
        long,
        env = "KEYLIME_ATTESTOR_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE,…",
        required = true,
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub(crate) namespaces: Vec<String>,

    /// Where /metrics is served, for Prometheus
    #[arg(
        long,
        env = "KEYLIME_ATTESTOR_METRICS_ADDRESS",
        default_value = "0.0.0.0:8080",
        value_name = "IP:PORT"
    )]
    pub(crate) metrics_address: SocketAddr,

    /// Where /healthz and /readyz are served
    #[arg(
        long,
        env = "KEYLIME_ATTESTOR_HEALTH_ADDRESS",
        default_value = "0.0.0.0:8081",
        value_name = "IP:PORT"
    )]
    pub(crate) health_address: SocketAddr,

    /// Act only while holding the Lease keylime-attestor-operator. Needed with more than one
    /// replica
    #[arg(long, env = "KEYLIME_ATTESTOR_LEADER_ELECT")]
    pub(crate) leader_elect: bool,

    /// Namespace of the Lease. Left out: that of the operator's pod
    #[arg(long, env = "KEYLIME_ATTESTOR_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,

    /// Secret in the namespace of the operator's pod, in which it keeps the certificate by which
    /// SPIRE's server plugins know it
    #[arg(
        long,
        env = "KEYLIME_ATTESTOR_REPORT_SECRET",
        default_value = "keylime-attestor-report",
        value_name = "NAME"
    )]
    pub(crate) report_secret: String,

    /// How the log is written
    #[arg(long, env = "KEYLIME_ATTESTOR_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,

    /// Least important events that are logged, such as info, or debug,kube=info
    #[arg(long, env = "KEYLIME_ATTESTOR_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub(crate) log_level: String,

    /// Image that SPIRE's pods install the plugins from. Left out: the image of the operator's pod
    #[arg(long, env = "KEYLIME_ATTESTOR_PLUGIN_IMAGE", value_name = "IMAGE")]
    pub(crate) plugin_image: Option<String>,

    /// Folder with the plugins of that image, whose checksums SPIRE is given. Left out: the folder
    /// of this program
    #[arg(long, env = "KEYLIME_ATTESTOR_PLUGINS_DIR", value_name = "FOLDER")]
    pub(crate) plugins_dir: Option<PathBuf>,

    /// Name of the operator's pod
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub(crate) pod_name: Option<String>,

    /// Namespace of the operator's pod
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub(crate) pod_namespace: Option<String>,
}

/// What else the program does.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Ask a running operator whether it is ready, for up to a minute
    Probe {
        /// Where, such as http://NAME.NAMESPACE.svc:8081/readyz
        #[arg(long)]
        url: String,
    },

    /// Say whether a cluster is ready for a KeylimeAttestor, and what applying it would change.
    /// Writes nothing
    Check(CheckArgs),
}

/// What is checked, and how it is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CheckArgs {
    /// The KeylimeAttestor, where it is in the cluster. Left out, and without a file: the only one
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "file")]
    pub(crate) resource: Option<String>,

    /// File with the KeylimeAttestor, before it is in the cluster or to see what a change of it does
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Context of the kubeconfig (KUBECONFIG, otherwise ~/.kube/config). Left out: its current one
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// How it is told
    #[arg(long, short, value_enum, default_value = "text")]
    pub(crate) output: Output,
}

/// How a check is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
