//! The client of the apiserver, in the name of the account of SPIRE's server.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use evidence::ServiceAccountToken;
use evidence::binding::{Node, ObjectName, ObjectRef, Pod, ProvenNode, Review, ServiceAccount, TokenRules};
use keylime::{Endpoint, HttpsError, HttpsRequest, TokenClient, Unreachable};

use crate::answer::{self, Outcome};
use crate::error::{Error, Right};
use crate::token_file::TokenFile;

/// The longest answer that is read, in bytes: etcd holds no larger object.
const MAX_ANSWER: usize = 2 * 1024 * 1024;

/// The apiserver's address, and the files by which it and we are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiserverConfig {
    /// Its host and port.
    pub endpoint: Endpoint,
    /// The CA certificates that are trusted, and no others (PEM). Followed on disk.
    pub ca: PathBuf,
    /// The token of our own account. Read for each attestation.
    pub token: PathBuf,
    /// The longest time for one request.
    pub request_timeout: Duration,
}

/// A client of the apiserver.
#[derive(Debug)]
pub struct Apiserver {
    client: TokenClient,
    endpoint: Endpoint,
    token: TokenFile,
    request_timeout: Duration,
}

/// A problem of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting.
    pub setting: Setting,
    /// The expected and the found content.
    pub text: String,
}

/// A setting, so that a program can name its own key for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The CA certificates.
    CaFile,
    /// Our own token.
    TokenFile,
    /// The longest time for one request.
    RequestTimeout,
}

impl Apiserver {
    /// Reads the files and makes no connection.
    ///
    /// # Errors
    /// Every problem of the settings and files.
    pub fn new(config: ApiserverConfig) -> Result<Self, Vec<Problem>> {
        let token = TokenFile::at(&config.token);
        let own = token.read().map_err(|error| Problem::of(Setting::TokenFile, error));
        match (TokenClient::new(config.ca.clone(), config.request_timeout), own) {
            (Ok(client), Ok(_)) => {
                let ApiserverConfig { endpoint, request_timeout, .. } = config;
                Ok(Self { client, endpoint, token, request_timeout })
            }
            (client, own) => {
                let of_client = client.err().into_iter().flatten().map(|problem| match problem.setting {
                    keylime::Setting::RequestTimeout => Problem::of(Setting::RequestTimeout, problem),
                    _ => Problem::of(Setting::CaFile, problem),
                });
                Err(of_client.chain(own.err()).collect())
            }
        }
    }

    /// The node that a pod's token proves: the token is reviewed, and its pod and node are asked
    /// for side by side, all within the time for one request.
    ///
    /// # Errors
    /// [`Error::Refused`] with the rule that the token breaks; otherwise the failure to learn it.
    pub async fn prove(&self, token: &ServiceAccountToken, rules: &TokenRules) -> Result<ProvenNode, Error> {
        let timeout = self.request_timeout;
        let proof = tokio::time::timeout(timeout, self.prove_in_time(token, rules)).await;
        proof.unwrap_or_else(|_elapsed| {
            let cause = HttpsError::Unreachable(Unreachable::AnswerTimeout(timeout));
            Err(Error::NoAnswer { endpoint: self.endpoint.clone(), cause })
        })
    }

    /// True where a node is still there, and no other of its name.
    ///
    /// # Errors
    /// The failure to learn it.
    pub async fn has_node(&self, node: &ObjectRef) -> Result<bool, Error> {
        let own = self.token.token().await?;
        Ok(self.node(&own, &node.name).await?.is_some_and(|found| found.uid == node.uid))
    }

    async fn prove_in_time(
        &self,
        token: &ServiceAccountToken,
        rules: &TokenRules,
    ) -> Result<ProvenNode, Error> {
        let own = self.token.token().await?;
        let bound = self.review(&own, token, &rules.audience).await?.check(rules)?;
        let (pod, node) =
            tokio::join!(self.pod(&own, &bound.account, &bound.pod.name), self.node(&own, &bound.node.name));
        Ok(bound.check(pod?, node?)?)
    }

    async fn review(
        &self,
        own: &ServiceAccountToken,
        token: &ServiceAccountToken,
        audience: &str,
    ) -> Result<Review, Error> {
        let request = HttpsRequest::Post(answer::review_request(token, audience));
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let right = Right::ReviewTokens;
        let review = self.ask(own, path, request, answer::review, right, "a TokenReview").await?;
        review.ok_or_else(|| self.malformed("a TokenReview", 404))
    }

    async fn pod(
        &self,
        own: &ServiceAccountToken,
        account: &ServiceAccount,
        name: &ObjectName,
    ) -> Result<Option<Pod>, Error> {
        let path = format!("/api/v1/namespaces/{}/pods/{name}", account.namespace);
        let right = Right::GetPods { namespace: account.namespace.clone() };
        self.ask(own, &path, HttpsRequest::Get, |answer| answer::pod(answer, name), right, "a Pod").await
    }

    async fn node(&self, own: &ServiceAccountToken, name: &ObjectName) -> Result<Option<Node>, Error> {
        let path = format!("/api/v1/nodes/{name}");
        let read = |answer: &_| answer::node(answer, name);
        self.ask(own, &path, HttpsRequest::Get, read, Right::GetNodes, "a Node").await
    }

    /// The answer to a request; [`None`] for an object that is not there.
    async fn ask<T>(
        &self,
        own: &ServiceAccountToken,
        path: &str,
        request: HttpsRequest,
        read: impl FnOnce(&keylime::HttpsAnswer) -> Outcome<T>,
        right: Right,
        expected: &'static str,
    ) -> Result<Option<T>, Error> {
        let endpoint = || self.endpoint.clone();
        let answer = self.client.ask(&self.endpoint, path, request, own, MAX_ANSWER).await;
        let answer = answer.map_err(|cause| Error::NoAnswer { endpoint: endpoint(), cause })?;
        match read(&answer) {
            Outcome::Good(good) => Ok(Some(good)),
            Outcome::NotFound => Ok(None),
            Outcome::Unauthorized => Err(Error::Unauthorized { endpoint: endpoint() }),
            Outcome::Forbidden => Err(Error::Forbidden { endpoint: endpoint(), right }),
            Outcome::Malformed => Err(self.malformed(expected, answer.status)),
        }
    }

    fn malformed(&self, expected: &'static str, status: u16) -> Error {
        Error::Malformed { endpoint: self.endpoint.clone(), expected, status }
    }
}

impl Problem {
    fn of(setting: Setting, text: impl fmt::Display) -> Self {
        Self { setting, text: text.to_string() }
    }
}
