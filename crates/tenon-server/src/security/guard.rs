//! Lets a request into a channel, or refuses it.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::callers::{CallerId, Callers, Entry, Proof};
use super::gate::Visitor;
use super::jwt::{Denied, JwtVerifier, Token};
use super::mutual_tls::Certificate;
use super::{api_key, basic_auth};
use crate::call::CallerIdentity;
use crate::rate_limits::Limiter;

/// The limits that hold for somebody who was let in.
pub(super) type CallerLimits = Arc<[Arc<Limiter>]>;

/// Whom a channel lets in. A clone is the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard(Option<Arc<Doors>>);

/// The ways into a channel that is not open.
#[derive(Debug, Default)]
struct Doors {
    callers: Arc<Callers>,
    allowed: HashMap<CallerId, CallerLimits>,
    takes_passwords: bool,
    headers: Vec<HeaderName>,
    parameters: Vec<String>,
    /// Definitions of tokens by issuer; under none those that take any.
    tokens: HashMap<Option<String>, Vec<CallerId>>,
    takes_certificates: bool,
    challenges: Vec<HeaderValue>,
}

/// Whoever was let in.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) caller: Arc<CallerIdentity>,
    pub(super) limits: CallerLimits,
}

/// Why nobody was let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nothing that was sent is known; these are the challenges.
    Unknown(Vec<HeaderValue>),
    /// It is known who it is, but that is not enough for this channel.
    NotAllowed(Option<HeaderValue>),
    /// It can't be found out now, because an issuer's keys can't be had.
    NoKeys,
}

/// What the ways that were tried came to.
#[derive(Debug, Default)]
struct Findings {
    /// Somebody that another channel may let in.
    is_known: bool,
    no_keys: bool,
    /// Why a token was not accepted.
    token: Option<&'static str>,
    /// A token that is valid and not enough.
    is_weak_token: bool,
}

impl Guard {
    /// Lets in everybody.
    pub(crate) fn open() -> Self {
        Self(None)
    }

    /// Whether it lets in everybody.
    pub(super) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Lets in whoever is allowed; nobody if there are none.
    pub(super) fn new(callers: &Arc<Callers>, allowed: HashMap<CallerId, CallerLimits>) -> Self {
        let mut doors = Doors {
            callers: Arc::clone(callers),
            ..Doors::default()
        };
        let mut ids: Vec<CallerId> = allowed.keys().copied().collect();
        ids.sort_unstable();
        for (id, entry) in ids.iter().filter_map(|id| Some((*id, callers.get(*id)?))) {
            doors.add(id, entry);
        }
        doors.allowed = allowed;
        Self(Some(Arc::new(doors)))
    }

    /// Checks who sent a request; none if the channel is open.
    pub(super) async fn check(&self, visitor: &Visitor<'_>) -> Result<Option<Entrance>, Stop> {
        match &self.0 {
            None => Ok(None),
            Some(doors) => doors.check(visitor).await.map(Some),
        }
    }
}

impl Doors {
    fn add(&mut self, id: CallerId, entry: &Entry) {
        let challenge = match &entry.proof {
            Proof::Password { realm, .. } => {
                self.takes_passwords = true;
                format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")
            }
            Proof::Key { header, parameter, .. } => {
                if !self.headers.contains(header) {
                    self.headers.push(header.clone());
                }
                if let Some(parameter) = parameter
                    && !self.parameters.contains(parameter)
                {
                    self.parameters.push(parameter.clone());
                }
                format!("ApiKey realm=\"Tenon\", header=\"{header}\"")
            }
            Proof::Token(verifier) => {
                let issuer = verifier.issuer().map(str::to_owned);
                self.tokens.entry(issuer).or_default().push(id);
                bearer(verifier, "")
            }
            Proof::Certificate(_) => {
                self.takes_certificates = true;
                "ClientCertificate realm=\"Tenon\"".to_owned()
            }
        };
        // A realm and the name of a header have only characters that a header may have.
        if let Ok(challenge) = HeaderValue::from_str(&challenge)
            && !self.challenges.contains(&challenge)
        {
            self.challenges.push(challenge);
        }
    }

    async fn check(&self, visitor: &Visitor<'_>) -> Result<Entrance, Stop> {
        let mut findings = Findings::default();
        if let Some(entrance) = self.by_secret(visitor, &mut findings) {
            return Ok(entrance);
        }
        if visitor.is_trusted
            && self.takes_certificates
            && let Some(entrance) = self.by_certificate(visitor.headers, &mut findings)
        {
            return Ok(entrance);
        }
        if !self.tokens.is_empty()
            && let Some(text) = bearer_token(visitor.headers)
            && let Some(entrance) = self.by_token(text, &mut findings).await
        {
            return Ok(entrance);
        }
        Err(self.stop(&findings))
    }

    /// Looks for a password or key.
    fn by_secret(&self, visitor: &Visitor<'_>, findings: &mut Findings) -> Option<Entrance> {
        let callers = &self.callers;
        for header in &self.headers {
            if let Some(key) = visitor.headers.get(header) {
                let found = self.choose(callers.with_key_in_header(header, key.as_bytes()), findings);
                if found.is_some() {
                    return found;
                }
            }
        }
        if self.takes_passwords
            && let Some(sent) = basic_auth::sent_by(visitor.headers)
        {
            let found = self.choose(callers.with_password(&sent), findings);
            if found.is_some() {
                return found;
            }
        }
        let query = visitor.query.filter(|_| !self.parameters.is_empty())?;
        self.parameters.iter().find_map(|parameter| {
            let key = api_key::parameter(query, parameter)?;
            self.choose(callers.with_key_in_query(parameter, key.as_bytes()), findings)
        })
    }

    fn choose(&self, known: impl Iterator<Item = CallerId>, findings: &mut Findings) -> Option<Entrance> {
        for id in known {
            findings.is_known = true;
            if let (Some(limits), Some(entry)) = (self.allowed.get(&id), self.callers.get(id)) {
                return Some(Entrance {
                    caller: Arc::clone(&entry.identity),
                    limits: Arc::clone(limits),
                });
            }
        }
        None
    }

    fn by_certificate(&self, headers: &HeaderMap, findings: &mut Findings) -> Option<Entrance> {
        let certificate = Certificate::told_by(headers)?;
        // Somebody that a certificate authority vouches for is known, whoever it is.
        findings.is_known = true;
        let known = self.callers.with_certificate(&certificate);
        let entrance = self.choose(known.into_iter(), findings)?;
        let claims = [
            ("fingerprint", certificate.fingerprint_text()),
            ("subject", certificate.subject.clone()),
        ];
        let claims = claims.map(|(name, text)| (name.to_owned(), Value::String(text)));
        let subject = certificate.subject;
        Some(entrance.of(subject, claims.into_iter().collect()))
    }

    async fn by_token(&self, text: &str, findings: &mut Findings) -> Option<Entrance> {
        findings.token = Some("the token can't be read, or is signed in a way that is not accepted");
        let token = Token::read(text)?;
        let issuer = token.claimed_issuer().map(str::to_owned);
        let mut candidates = self.tokens.get(&None).cloned().unwrap_or_default();
        if issuer.is_some() {
            candidates.extend(self.tokens.get(&issuer).into_iter().flatten());
        }
        if candidates.is_empty() {
            findings.token = Some("the token is from another issuer");
        }
        for id in candidates {
            let Some(Proof::Token(verifier)) = self.callers.get(id).map(|entry| &entry.proof) else {
                continue;
            };
            match verifier.verify(&token).await {
                Ok(username) => {
                    let entrance = self.choose([id].into_iter(), findings)?;
                    return Some(entrance.of(username, token.claims));
                }
                Err(Denied::Invalid(reason)) => findings.token = Some(reason),
                Err(Denied::NotAllowed) => findings.is_weak_token = true,
                Err(Denied::NoKeys) => findings.no_keys = true,
            }
        }
        None
    }

    fn stop(&self, findings: &Findings) -> Stop {
        let told = |error: String| {
            let first = self.tokens.values().flatten().min()?;
            match &self.callers.get(*first)?.proof {
                Proof::Token(verifier) => HeaderValue::from_str(&bearer(verifier, &error)).ok(),
                _ => None,
            }
        };
        if findings.is_weak_token {
            return Stop::NotAllowed(told(", error=\"insufficient_scope\"".to_owned()));
        }
        if findings.is_known {
            return Stop::NotAllowed(None);
        }
        if findings.no_keys {
            return Stop::NoKeys;
        }
        let mut challenges = self.challenges.clone();
        if let Some(reason) = findings.token {
            let error = format!(", error=\"invalid_token\", error_description=\"{reason}\"");
            challenges.retain(|challenge| !challenge.as_bytes().starts_with(b"Bearer "));
            challenges.extend(told(error));
        }
        Stop::Unknown(challenges)
    }
}

impl Entrance {
    /// The same definition, and who exactly it was.
    fn of(self, username: String, claims: Map<String, Value>) -> Self {
        Self {
            caller: Arc::new(CallerIdentity {
                name: self.caller.name.clone(),
                kind: self.caller.kind.clone(),
                username,
                claims,
            }),
            limits: self.limits,
        }
    }
}

/// A challenge for a token (RFC 6750).
fn bearer(verifier: &JwtVerifier, error: &str) -> String {
    let scopes = verifier.scopes().join(" ");
    let scope = if scopes.is_empty() {
        String::new()
    } else {
        format!(", scope=\"{scopes}\"")
    };
    format!("Bearer realm=\"{}\"{scope}{error}", verifier.realm())
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
