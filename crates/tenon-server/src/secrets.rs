//! What stands behind `${VAR}`, `secret:NAME` and `sealed:…` in objects: the process's environment, the cluster's secrets and
//! its key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use tenon_manifest::{Lookup, SecretSealer, resolve_object};
use tenon_model::{FieldProblem, Kind, Random};
use tenon_store::{Store, StoreError};

use crate::security::ClusterKey;

/// What is needed to resolve objects, apart from the cluster's secrets.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    /// The environment variables that objects may name.
    pub(crate) environment: Arc<HashMap<String, String>>,
    /// The cluster's key.
    pub(crate) key: Arc<ClusterKey>,
    /// Nonces of what is sealed.
    pub(crate) random: Arc<dyn Random>,
}

/// Resolves the bodies of objects with the cluster's secrets of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    secrets: Secrets,
    sealed: Arc<BTreeMap<String, String>>,
}

impl Secrets {
    /// A resolver with the cluster's secrets as they are now.
    pub(crate) async fn resolver(&self, store: &Store) -> Result<Resolver, StoreError> {
        let sealed = store.secrets().await?;
        let sealed = sealed
            .into_iter()
            .map(|secret| (secret.name.as_str().to_owned(), secret.sealed))
            .collect();
        Ok(Resolver {
            secrets: self.clone(),
            sealed: Arc::new(sealed),
        })
    }
}

impl Resolver {
    /// The body of an object as it is used: references replaced, sealed secrets opened.
    pub(crate) fn resolve(&self, kind: &Kind, body: &Value) -> Result<Value, Vec<FieldProblem>> {
        resolve_object(kind, body, self, self)
    }
}

impl Lookup for Resolver {
    fn variable(&self, name: &str) -> Option<String> {
        self.secrets.environment.get(name).cloned()
    }

    fn secret(&self, name: &str) -> Option<String> {
        let sealed = self.sealed.get(name)?;
        match self.secrets.key.unseal(sealed) {
            Ok(plain) => Some(plain),
            Err(error) => {
                tracing::error!(name, %error, "the secret '{name}' can't be opened");
                None
            }
        }
    }
}

impl SecretSealer for Resolver {
    fn seal(&self, plain: &str) -> String {
        self.secrets.key.seal(plain, &*self.secrets.random)
    }

    fn unseal(&self, sealed: &str) -> Option<String> {
        self.secrets.key.unseal(sealed).ok()
    }
}
