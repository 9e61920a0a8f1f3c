//! Lets a request into a channel, or refuses it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap};
use subtle::ConstantTimeEq;

use super::definitions::Definition;

/// The security definitions of a channel, any of which lets a request in.
#[derive(Debug, Clone)]
pub struct Guard {
    definitions: Vec<(String, Definition)>,
    open: bool,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The challenge for the header `WWW-Authenticate`, where the definitions have one.
    pub challenge: Option<String>,
}

impl Guard {
    /// Lets in everybody.
    pub fn open() -> Self {
        Self {
            definitions: Vec::new(),
            open: true,
        }
    }

    /// Lets in whoever one of these definitions knows; nobody if there are none.
    pub fn new(definitions: Vec<(String, Definition)>) -> Self {
        Self {
            definitions,
            open: false,
        }
    }

    /// Checks a request's headers. Gives the name of the definition that let it in; none if the channel is open.
    pub fn check(&self, headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
        if self.open {
            return Ok(None);
        }
        let known = self
            .definitions
            .iter()
            .find(|(_, definition)| definition.knows(headers));
        known.map(|(name, _)| Some(name.as_str())).ok_or_else(|| Refusal {
            challenge: self.challenge(),
        })
    }

    fn challenge(&self) -> Option<String> {
        self.definitions.iter().find_map(|(_, definition)| match definition {
            Definition::BasicAuth(config) => Some(format!("Basic realm=\"{}\", charset=\"UTF-8\"", config.realm)),
            Definition::ApiKey(_) => None,
        })
    }
}

impl Definition {
    fn knows(&self, headers: &HeaderMap) -> bool {
        match self {
            Definition::BasicAuth(config) => basic_credentials(headers).is_some_and(|(username, password)| {
                let same_name = username.as_bytes().ct_eq(config.username.as_bytes());
                let same_password = password.as_bytes().ct_eq(config.password.reveal().as_bytes());
                (same_name & same_password).into()
            }),
            Definition::ApiKey(config) => headers
                .get(config.header.as_str())
                .is_some_and(|key| key.as_bytes().ct_eq(config.key.reveal().as_bytes()).into()),
        }
    }
}

fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn any_of_the_definitions_lets_in_and_others_are_challenged() {
        let basic = Definition::of(
            "basic-auth",
            &json!({"username": "ann", "password": "p:w", "realm": "R"}),
        )
        .unwrap();
        let key = Definition::of("api-key", &json!({"key": "k1", "header": "X-Key"})).unwrap();
        let guard = Guard::new(vec![("people".to_owned(), basic), ("partner".to_owned(), key)]);
        let ann = format!("Basic {}", STANDARD.encode("ann:p:w"));
        assert_eq!(guard.check(&headers("authorization", &ann)), Ok(Some("people")));
        assert_eq!(guard.check(&headers("x-key", "k1")), Ok(Some("partner")));
        let wrong = format!("Basic {}", STANDARD.encode("ann:pw"));
        for refused in [
            headers("authorization", &wrong),
            headers("x-key", "k"),
            HeaderMap::new(),
        ] {
            let refusal = guard.check(&refused).unwrap_err();
            assert_eq!(
                refusal.challenge.as_deref(),
                Some("Basic realm=\"R\", charset=\"UTF-8\"")
            );
        }
        assert_eq!(Guard::open().check(&HeaderMap::new()), Ok(None));
        assert!(Guard::new(Vec::new()).check(&HeaderMap::new()).is_err());
    }
}
