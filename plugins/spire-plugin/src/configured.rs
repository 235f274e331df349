//! A plugin and the configuration that is in force.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use keylime_attestor_proto::config::{
    ConfigureRequest, ConfigureResponse, CoreConfiguration, ValidateRequest, ValidateResponse,
    config_server::Config,
};
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use crate::panic::catch;
use crate::{Configure, Host, TrustDomain};

/// A plugin and its configuration, which is replaced as a whole and never changed.
pub(crate) struct Configured<P: Configure> {
    plugin: P,
    config: ArcSwapOption<P::Config>,
    /// Held during Configure, so that the one that came last wins however long each takes.
    order: Mutex<()>,
}

impl<P: Configure> Configured<P> {
    pub(crate) fn new(plugin: P) -> Self {
        Self { plugin, config: ArcSwapOption::empty(), order: Mutex::new(()) }
    }

    pub(crate) fn get(&self) -> &P {
        &self.plugin
    }

    /// The configuration in force now.
    pub(crate) fn snapshot(&self) -> Result<Arc<P::Config>, Status> {
        self.config.load_full().ok_or_else(|| Status::failed_precondition("the plugin is not configured"))
    }

    /// The configuration that a text means, or every problem it has.
    async fn read(
        &self,
        core: Option<CoreConfiguration>,
        text: &str,
    ) -> Result<Result<P::Config, Vec<String>>, Status> {
        let core = core.ok_or_else(|| {
            "core configuration is missing: expected SPIRE to tell the trust domain".to_owned()
        });
        match core
            .and_then(|core| TrustDomain::parse(&core.trust_domain).map_err(|problem| problem.to_string()))
        {
            Ok(trust_domain) => catch(async { Ok(self.plugin.configure(&trust_domain, text).await) }).await,
            Err(problem) => Ok(Err(vec![problem])),
        }
    }
}

/// The gRPC service.
pub(crate) struct Service<P: Configure> {
    pub(crate) plugin: Arc<Configured<P>>,
    pub(crate) host: Host,
}

#[tonic::async_trait]
impl<P: Configure> Config for Service<P> {
    async fn configure(
        &self,
        request: Request<ConfigureRequest>,
    ) -> Result<Response<ConfigureResponse>, Status> {
        let ConfigureRequest { core_configuration, hcl_configuration } = request.into_inner();
        let _in_order = self.plugin.order.lock().await;
        match self.plugin.read(core_configuration, &hcl_configuration).await? {
            Ok(config) => {
                let config = Arc::new(config);
                self.plugin.config.store(Some(Arc::clone(&config)));
                let told = async {
                    self.plugin.get().in_force(&config, &self.host);
                    Ok(())
                };
                catch(told).await?;
            }
            Err(problems) => {
                let problems = problems.join("; ");
                return Err(Status::invalid_argument(format!("configuration is not valid: {problems}")));
            }
        }
        tracing::debug!("configured");
        Ok(Response::new(ConfigureResponse {}))
    }

    async fn validate(
        &self,
        request: Request<ValidateRequest>,
    ) -> Result<Response<ValidateResponse>, Status> {
        let ValidateRequest { core_configuration, hcl_configuration } = request.into_inner();
        let answer = match self.plugin.read(core_configuration, &hcl_configuration).await? {
            Ok(_) => ValidateResponse { valid: true, notes: Vec::new() },
            Err(notes) => ValidateResponse { valid: false, notes },
        };
        Ok(Response::new(answer))
    }
}
