//! Paths that every server answers itself: liveness, readiness, ping, and what describes the channels.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tenon_connectors::ErrorFormat;
use tenon_model::CorrelationId;

use super::openapi::OwnPath;
use super::origin::Origin;
use super::plane::DataPlane;
use super::reply::{self, Reply};
use super::router::Found;
use crate::security::Visitor;

/// What comes behind `/tenon/` in a path. What Zato calls `/zato/ping` asks whether the server takes requests.
pub(super) fn name_of(path: &str) -> Option<&str> {
    match path {
        "/zato/ping" => Some("ready"),
        path => path.strip_prefix("/tenon/"),
    }
}

/// The answer on a path below `/tenon/`, if it is one of these.
pub(super) fn answer(plane: &DataPlane, path: &str, method: &Method, cid: &CorrelationId) -> Option<Reply> {
    let ready = match path {
        "live" | "ping" => true,
        "ready" => (plane.ready)(),
        _ => return None,
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        let reply = reply::wrong_method(&[Method::GET, Method::HEAD]);
        return Some(reply::finish(reply, cid, ErrorFormat::Problem));
    }
    let body = format!("{{\"is_ok\":{ready},\"cid\":\"{cid}\"}}\n");
    let mut response = Response::new(body.into());
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Some(reply::finish(response, cid, ErrorFormat::Problem))
}

/// The document of all channels, or the page that shows it, where no channel has these paths.
pub(super) async fn openapi(
    plane: &DataPlane,
    request: &Request<Incoming>,
    found: &Found,
    origin: &Origin,
) -> Option<Reply> {
    let path = OwnPath::of(request.uri().path()).filter(|_| matches!(found, Found::Nothing) && (plane.loaded)())?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(reply::wrong_method(&[Method::GET, Method::HEAD]));
    }
    let remote = origin.client(request.headers());
    let visitor = Visitor {
        headers: request.headers(),
        query: request.uri().query(),
        remote: &remote,
        is_trusted: origin.is_trusted(),
    };
    Some(match plane.openapi.answer(path, &visitor).await? {
        Ok(response) => response.map(Into::into),
        Err(refusal) => reply::refused(*refusal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zatos_ping_asks_for_readiness() {
        for (path, name) in [
            ("/tenon/live", Some("live")),
            ("/zato/ping", Some("ready")),
            ("/zato/ping/x", None),
            ("/a", None),
        ] {
            assert_eq!(name_of(path), name, "{path}");
        }
    }
}
