//! Everybody that the cluster's security definitions know, found by what they send.
//!
//! Keys and passwords are found by a keyed hash and then compared in constant time, so that a request costs the same with ten
//! definitions as with ten thousand. One index serves all channels: a channel only adds whom it lets in.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use http::header::HeaderName;
use subtle::ConstantTimeEq;
use tenon_model::Clock;

use super::definitions::Definition;
use super::jwt::{JwtVerifier, KeySets};
use super::mutual_tls::{Certificate, Fingerprint, MutualTlsConfig, read_fingerprint, read_subject};
use crate::call::CallerIdentity;

/// The number of a definition in the index.
pub(super) type CallerId = usize;

/// The index. Groups are not in it: they are members under one name.
#[derive(Debug, Default)]
pub(super) struct Callers {
    entries: Vec<Entry>,
    by_name: HashMap<String, CallerId>,
    basic: Secrets,
    headers: HashMap<HeaderName, Secrets>,
    parameters: HashMap<String, Secrets>,
    fingerprints: HashMap<Fingerprint, Vec<CallerId>>,
    subjects: HashMap<Vec<(String, String)>, Vec<CallerId>>,
}

/// A definition, ready to be compared with.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who a service is told that calls. Tokens and certificates add who exactly.
    pub(super) identity: Arc<CallerIdentity>,
    pub(super) proof: Proof,
}

/// What a caller must show.
pub(super) enum Proof {
    /// `user:password`.
    Password { credentials: Vec<u8>, realm: String },
    /// The key, where it may be.
    Key {
        key: Vec<u8>,
        header: HeaderName,
        parameter: Option<String>,
    },
    /// A token.
    Token(Box<JwtVerifier>),
    /// A certificate.
    Certificate(MutualTlsConfig),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof")
    }
}

/// Secrets by their keyed hash.
#[derive(Debug, Default)]
struct Secrets {
    hasher: RandomState,
    known: HashMap<u64, Vec<CallerId>>,
}

impl Secrets {
    fn add(&mut self, secret: &[u8], id: CallerId) {
        self.known.entry(self.hasher.hash_one(secret)).or_default().push(id);
    }

    fn candidates(&self, secret: &[u8]) -> &[CallerId] {
        self.known.get(&self.hasher.hash_one(secret)).map_or(&[], Vec::as_slice)
    }
}

impl Callers {
    /// Adds a definition; the error is a sentence on why it can't be used.
    pub(super) fn add(
        &mut self,
        name: &str,
        definition: &Definition,
        key_sets: &mut KeySets,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), String> {
        let id = self.entries.len();
        let mut username = String::new();
        let proof = match definition {
            Definition::BasicAuth(config) => {
                username.clone_from(&config.username);
                let credentials = format!("{}:{}", config.username, config.password.reveal()).into_bytes();
                self.basic.add(&credentials, id);
                Proof::Password {
                    credentials,
                    realm: config.realm.clone(),
                }
            }
            Definition::ApiKey(config) => {
                let header = HeaderName::try_from(config.header.as_str()).map_err(|error| error.to_string())?;
                let key = config.key.reveal().as_bytes().to_vec();
                self.headers.entry(header.clone()).or_default().add(&key, id);
                if let Some(parameter) = &config.query_parameter {
                    self.parameters.entry(parameter.clone()).or_default().add(&key, id);
                }
                Proof::Key {
                    key,
                    header,
                    parameter: config.query_parameter.clone(),
                }
            }
            Definition::Jwt(config) => {
                let verifier = JwtVerifier::new((**config).clone(), key_sets, Arc::clone(clock))?;
                Proof::Token(Box::new(verifier))
            }
            Definition::MutualTls(config) => {
                for fingerprint in config.fingerprints.iter().filter_map(|text| read_fingerprint(text)) {
                    self.fingerprints.entry(fingerprint).or_default().push(id);
                }
                for subject in &config.subjects {
                    self.subjects.entry(read_subject(subject)).or_default().push(id);
                }
                Proof::Certificate(config.clone())
            }
            Definition::Group(_) => return Ok(()),
        };
        self.entries.push(Entry {
            identity: Arc::new(CallerIdentity {
                name: name.to_owned(),
                kind: definition.kind().to_owned(),
                username,
                claims: serde_json::Map::new(),
            }),
            proof,
        });
        self.by_name.insert(name.to_owned(), id);
        Ok(())
    }

    /// The number of a definition.
    pub(super) fn id_of(&self, name: &str) -> Option<CallerId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, id: CallerId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// Whoever has this user name and password (`user:password`).
    pub(super) fn with_password<'a>(&'a self, sent: &'a [u8]) -> impl Iterator<Item = CallerId> {
        self.matching(Some(&self.basic), sent)
    }

    /// Whoever has this key in this header.
    pub(super) fn with_key_in_header<'a>(
        &'a self,
        header: &HeaderName,
        sent: &'a [u8],
    ) -> impl Iterator<Item = CallerId> {
        self.matching(self.headers.get(header), sent)
    }

    /// Whoever has this key in this parameter of the query string.
    pub(super) fn with_key_in_query<'a>(&'a self, parameter: &str, sent: &'a [u8]) -> impl Iterator<Item = CallerId> {
        self.matching(self.parameters.get(parameter), sent)
    }

    /// Whoever has this certificate.
    pub(super) fn with_certificate(&self, certificate: &Certificate) -> Vec<CallerId> {
        let by_fingerprint = certificate.fingerprint.and_then(|print| self.fingerprints.get(&print));
        let by_subject = self.subjects.get(&read_subject(&certificate.subject));
        let candidates = by_fingerprint.into_iter().chain(by_subject).flatten().copied();
        candidates
            .filter(|id| match self.get(*id).map(|entry| &entry.proof) {
                Some(Proof::Certificate(config)) => config.accepts(certificate),
                _ => false,
            })
            .collect()
    }

    fn matching<'a>(&'a self, secrets: Option<&'a Secrets>, sent: &'a [u8]) -> impl Iterator<Item = CallerId> {
        let candidates = secrets.map_or(&[][..], |secrets| secrets.candidates(sent));
        candidates.iter().copied().filter(move |id| {
            let known = match self.get(*id).map(|entry| &entry.proof) {
                Some(Proof::Password { credentials, .. }) => credentials,
                Some(Proof::Key { key, .. }) => key,
                _ => return false,
            };
            known.as_slice().ct_eq(sent).into()
        })
    }
}
