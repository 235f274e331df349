//! From the start of the process to its end.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use keylime_attestor_proto::agent::node_attestor::node_attestor_server as agent_service;
use keylime_attestor_proto::config::config_server::ConfigServer;
use keylime_attestor_proto::go_plugin::grpc_broker_server::GrpcBrokerServer;
use keylime_attestor_proto::go_plugin::grpc_controller_server::GrpcControllerServer;
use keylime_attestor_proto::go_plugin::grpc_stdio_server::GrpcStdioServer;
use keylime_attestor_proto::init::init_server::InitServer;
use keylime_attestor_proto::server::node_attestor::node_attestor_server as server_service;
use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;
use tower::util::MapResponseLayer;

use crate::attestation::{agent, server};
use crate::configured::{self, Configured};
use crate::go_plugin::{Broker, Controller, Stdio};
use crate::handshake::{self, Handshake};
use crate::socket::{self, NoSocket, Socket};
use crate::stop::Stop;
use crate::{About, AgentNodeAttestor, Configure, Host, ServerNodeAttestor, hclog, init, panic, unknown};

/// Largest message that is read from SPIRE, in bytes. Configurations and what nodes send to be
/// attested are far smaller; a larger one is refused before it is in memory.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Calls that may be open at once. All of SPIRE's calls share one connection, its health checks and
/// Configure too: a low number would make these wait for attestations. What an attestation may cost
/// is for the plugin to limit.
const MAX_CALLS: u32 = 10_000;

/// The time for open calls after the end was asked for. SPIRE kills the process 2 seconds after its
/// request.
const GRACE: Duration = Duration::from_millis(1500);

/// The name under which go-plugin asks whether the process is healthy.
const HEALTH: &str = "plugin";

/// Serves a node attestor of SPIRE's server until SPIRE shuts it down: all that `main` has to do.
/// Installs the log and a panic hook for the whole process. The exit code tells whether all went
/// well; what went wrong has been logged.
#[must_use]
pub fn serve_server_node_attestor(about: About, plugin: impl ServerNodeAttestor) -> ExitCode {
    serve(about, plugin, server_service::SERVICE_NAME, |plugin, host| {
        let service = server_service::NodeAttestorServer::new(server::Service { plugin, host });
        Routes::new(service.max_decoding_message_size(MAX_MESSAGE_BYTES))
    })
}

/// Serves a node attestor of SPIRE's agent until SPIRE shuts it down, like
/// [`serve_server_node_attestor`].
#[must_use]
pub fn serve_agent_node_attestor(about: About, plugin: impl AgentNodeAttestor) -> ExitCode {
    serve(about, plugin, agent_service::SERVICE_NAME, |plugin, host| {
        let service = agent_service::NodeAttestorServer::new(agent::Service { plugin, host });
        Routes::new(service.max_decoding_message_size(MAX_MESSAGE_BYTES))
    })
}

/// The reason why a plugin cannot start, or ends in another way than by SPIRE's request.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Handshake(#[from] handshake::Error),
    #[error(transparent)]
    Socket(#[from] NoSocket),
    #[error("failed to start the runtime: {0}")]
    Runtime(#[source] io::Error),
    #[error("failed to take charge of signals: {0}")]
    Signals(#[source] io::Error),
    #[error("failed to serve SPIRE: {0}")]
    Serve(#[from] tonic::transport::Error),
}

fn serve<P: Configure>(
    about: About,
    plugin: P,
    attestor: &'static str,
    attestor_routes: impl FnOnce(Arc<Configured<P>>, Host) -> Routes,
) -> ExitCode {
    let handshake = Handshake::from_env(env);
    if let Err(handshake::Error::NoCookie) = handshake {
        // Somebody started it by hand. Nothing can be done when he cannot be told.
        let _ = writeln!(io::stderr(), "{}", about.for_people());
        return ExitCode::FAILURE;
    }
    hclog::install(about.name);
    panic::log_panics();
    let served = handshake
        .map_err(Error::from)
        .and_then(|handshake| run(about, &handshake, plugin, attestor, attestor_routes));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn run<P: Configure>(
    about: About,
    handshake: &Handshake,
    plugin: P,
    attestor: &'static str,
    attestor_routes: impl FnOnce(Arc<Configured<P>>, Host) -> Routes,
) -> Result<(), Error> {
    // Waiting is all that a plugin does most of the time. Several threads would mostly wake each
    // other: an attestation took a tenth more CPU time with two.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let stop = Stop::new();
    let ended = runtime.block_on(async {
        watch_signals(stop.clone())?;
        let (socket, listener) = Socket::listen(&socket::directories(env))?;
        let host = Host::new();
        let plugin = Arc::new(Configured::new(plugin));
        let routes = attestor_routes(Arc::clone(&plugin), host.clone())
            .add_service(
                ConfigServer::new(configured::Service { plugin, host: host.clone() })
                    .max_decoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(InitServer::new(init::Service { attestor, host: host.clone() }))
            .add_service(GrpcBrokerServer::new(Broker { host, stop: stop.clone() }))
            .add_service(GrpcStdioServer::new(Stdio(stop.clone())))
            .add_service(GrpcControllerServer::new(Controller(stop.clone())));
        handshake.tell(socket.path())?;
        tracing::debug!(version = about.version, "started");
        serve_until(stop, listener, routes).await
    });
    // Without waiting for what the plugin may still have running.
    runtime.shutdown_background();
    ended
}

/// SIGINT goes to SPIRE's whole process group when somebody stops it by hand; SPIRE then shuts its
/// plugins down itself. SIGTERM asks this process.
fn watch_signals(stop: Stop) -> Result<(), Error> {
    // Once asked for, a signal never again has its default action.
    drop(signal(SignalKind::interrupt()).map_err(Error::Signals)?);
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    tokio::spawn(async move {
        terminate.recv().await;
        stop.request();
    });
    Ok(())
}

async fn serve_until(stop: Stop, listener: UnixListener, routes: Routes) -> Result<(), Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status(HEALTH, tonic_health::ServingStatus::Serving).await;
    let serving = Server::builder()
        .max_concurrent_streams(MAX_CALLS)
        .layer(MapResponseLayer::new(unknown::explain))
        .add_routes(routes)
        .add_service(health_service)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop.clone().requested());
    tokio::select! {
        ended = serving => Ok(ended?),
        () = grace_is_over(stop, health) => {
            tracing::warn!("ended with calls still open");
            Ok(())
        }
    }
}

/// Ends the calls that only wait for the end; the others have some time.
async fn grace_is_over(stop: Stop, mut health: HealthReporter) {
    stop.requested().await;
    for service in [HEALTH, ""] {
        health.clear_service_status(service).await;
    }
    tokio::time::sleep(GRACE).await;
}
