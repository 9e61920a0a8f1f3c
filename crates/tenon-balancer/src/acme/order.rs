//! One order: from the account to a certificate that can be used.

use std::sync::Arc;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error as Acme, Identifier, NewAccount, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::Wanted;
use super::challenges::Outstanding;
use super::client::{Client, ClientError};
use super::folder::{FILE_MODE, Folder};
use crate::error::BalancerError;
use crate::follower::{keep, load};
use crate::proxy::Shared;
use crate::tls::{CertificateError, check_pair};

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The authority said no, or could not be asked.
    #[error("{}", said(.0))]
    Acme(#[from] Acme),
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It asks for other proofs than we can give.
    #[error("the authority offers no challenge http-01 for {host}")]
    NoChallenge { host: String },
    /// It did not see our proof.
    #[error("the authority could not verify {host}: {why}")]
    Unverified { host: String, why: String },
    /// It ended the order without a word.
    #[error("the authority refused the order")]
    Refused,
    #[error("no certificate in the time that an order may take")]
    Timeout,
    #[error("a key can't be made: {0}")]
    Key(#[from] rcgen::Error),
    #[error("what the authority issued can't be used: {0}")]
    Unusable(#[from] CertificateError),
    #[error("{}", with_source(.0))]
    Keep(#[from] BalancerError),
    #[error("{folder} can't be made: {source}")]
    Folder {
        folder: String,
        #[source]
        source: std::io::Error,
    },
}

/// What an authority said, without what only its programmers need.
fn said(error: &Acme) -> String {
    match error {
        Acme::Api(problem) => {
            let detail = problem.detail.as_deref().or(problem.r#type.as_deref());
            let of_hosts = problem.subproblems.iter().filter_map(|part| part.detail.as_deref());
            let all: Vec<&str> = detail.into_iter().chain(of_hosts).collect();
            format!("the authority refused: {}", all.join("; "))
        }
        other => other.to_string(),
    }
}

fn with_source(error: &BalancerError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

/// Orders a certificate; gives its key and the chain as one PEM text.
pub(super) async fn order(
    shared: &Arc<Shared>,
    folder: &Folder,
    wanted: &Wanted,
    client: &Client,
) -> Result<String, OrderError> {
    let retries = RetryPolicy::new().timeout(shared.settings.acme_order_timeout.0);
    let mut order = begin(folder, wanted, client).await?;
    let outstanding = prove(shared, &mut order).await?;
    let ready = order.poll_ready(&retries).await;
    if !matches!(ready, Ok(OrderStatus::Ready)) {
        return Err(why_refused(&mut order, ready.err()).await);
    }
    drop(outstanding);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(wanted.hosts.clone())?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&retries).await?;
    let key = key.serialize_pem();
    check_pair(&chain, &key)?;
    Ok(format!("{key}{chain}"))
}

/// A new order with the account that is kept, or with a new one if the authority has forgotten that.
async fn begin(folder: &Folder, wanted: &Wanted, client: &Client) -> Result<Order, OrderError> {
    let identifiers: Vec<_> = wanted.hosts.iter().cloned().map(Identifier::Dns).collect();
    let order = NewOrder::new(&identifiers);
    let path = folder.account(&wanted.config);
    if let Some(kept) = load::<AccountCredentials>(&path) {
        let account = builder(client).from_credentials(kept).await?;
        match account.new_order(&order).await {
            Err(Acme::Api(problem)) if is_of(problem.r#type.as_deref(), "accountDoesNotExist") => {}
            begun => return Ok(begun?),
        }
    }
    let contact: Vec<&str> = wanted.config.contact.iter().map(String::as_str).collect();
    let account = NewAccount {
        contact: &contact,
        terms_of_service_agreed: wanted.config.terms_agreed,
        only_return_existing: false,
    };
    let directory = wanted.config.directory.clone();
    let (account, credentials) = builder(client).create(&account, directory, None).await?;
    keep(&path, &credentials, FILE_MODE)?;
    Ok(account.new_order(&order).await?)
}

fn builder(client: &Client) -> instant_acme::AccountBuilder {
    Account::builder_with_http(Box::new(client.clone()))
}

fn is_of(kind: Option<&str>, wanted: &str) -> bool {
    kind.and_then(|kind| kind.rsplit(':').next()) == Some(wanted)
}

/// Has the authority verify each host that it has not verified lately.
async fn prove(shared: &Arc<Shared>, order: &mut Order) -> Result<Vec<Outstanding>, OrderError> {
    let mut outstanding = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let host = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(ChallengeType::Http01) else {
            return Err(OrderError::NoChallenge { host });
        };
        let proof = challenge.key_authorization();
        outstanding.push(Outstanding::new(shared, &challenge.token, proof.as_str()));
        challenge.set_ready().await?;
    }
    Ok(outstanding)
}

/// What the authority says of the host that it could not verify, or else of the order.
async fn why_refused(order: &mut Order, error: Option<Acme>) -> OrderError {
    if matches!(error, None | Some(Acme::Api(_))) {
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let host = authorization.identifier().to_string();
            let Ok(state) = authorization.refresh().await else {
                break;
            };
            let problem = state.challenges.iter().find_map(|challenge| challenge.error.clone());
            if let Some(why) = problem.and_then(|problem| problem.detail) {
                return OrderError::Unverified { host, why };
            }
        }
    }
    error.map_or(OrderError::Refused, OrderError::Acme)
}
