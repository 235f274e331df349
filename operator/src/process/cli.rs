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

    /// Folder with the plugins of that image, whose checksums SPIRE is given, and the checksums of
    /// its other architectures in checksums.json. Left out: the folder of this program
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

    /// Make the client certificates for Keylime, or renew those that end soon, and the two Secrets
    /// with them
    Credentials(CredentialsArgs),

    /// Say whether the operator can be uninstalled, as `helm uninstall` asks before it does
    Uninstall {
        /// What is done while a KeylimeAttestor of --namespaces is still in SPIRE
        #[arg(long, value_enum)]
        attestors: Attestors,
    },
}

/// What an uninstallation does with KeylimeAttestors that are still in SPIRE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attestors {
    /// It is refused.
    Refuse,
    /// They are deleted, and it waits until the operator has withdrawn them.
    Withdraw,
}

/// Which certificates are made, of which CAs, and where they go.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CredentialsArgs {
    /// Folder in which they are kept between runs, made where it is not there
    #[arg(long, value_name = "FOLDER", default_value = "keylime-attestor-credentials")]
    pub(crate) folder: PathBuf,

    /// The folder cv_ca of Keylime's verifier: its CA issues the certificate of SPIRE's server
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["admin_certificate", "admin_key", "keylime_ca_certificate"])]
    pub(crate) keylime_ca: Option<PathBuf>,

    /// File with the password of that CA (`password` in Keylime's ca.conf). Left out: Keylime's
    /// default
    #[arg(long, value_name = "FILE", requires = "keylime_ca")]
    pub(crate) keylime_ca_password_file: Option<PathBuf>,

    /// Instead of --keylime-ca: a client certificate that Keylime's servers take
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_certificate: Option<PathBuf>,

    /// Its key
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_key: Option<PathBuf>,

    /// The CA of the certificates of Keylime's servers
    #[arg(long, value_name = "FILE")]
    pub(crate) keylime_ca_certificate: Option<PathBuf>,

    /// Namespace of SPIRE's server
    #[arg(long, value_name = "NAMESPACE", default_value = "spire-server")]
    pub(crate) server_namespace: String,

    /// Namespace of SPIRE's agents
    #[arg(long, value_name = "NAMESPACE", default_value = "spire-system")]
    pub(crate) agent_namespace: String,

    /// Secret beside SPIRE's server: spec.keylime.tls.secretName
    #[arg(long, value_name = "NAME", default_value = "keylime-admin-client")]
    pub(crate) admin_secret: String,

    /// Secret beside SPIRE's agents: spec.keylime.agent.tls.secretName
    #[arg(long, value_name = "NAME", default_value = "keylime-node-client")]
    pub(crate) node_secret: String,

    /// Days for which a client certificate counts
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,

    /// Days before its end from which on it is issued anew
    #[arg(long, value_name = "DAYS", default_value_t = 60)]
    pub(crate) renew_before: u32,

    /// `-` for the Secrets on standard output, keys too. Left out: in a file of the folder
    #[arg(long, short, value_name = "-", value_parser = ["-"])]
    pub(crate) output: Option<String>,

    /// Print resources for cert-manager that make the same, instead. They hold no key
    #[arg(long)]
    pub(crate) cert_manager: bool,
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

    /// Also make a support bundle, a tar.gz that is not there yet: objects, Events and logs of the
    /// operator and of SPIRE's pods, and what is said here. No Secret is in it, no key, token or
    /// quote
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,

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
