//! The web interface, embedded in the binary.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use rust_embed::{EmbeddedFile, RustEmbed};
use tenon_model::Problem;

use crate::gateway;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/ui"]
struct Interface;

const PAGE: &str = "index.html";
/// Where files lie whose names change with their content.
const HASHED: &str = "assets/";

/// `GET` of anything that is no API: the file of that name, otherwise the page, which knows what to show at each path.
pub(crate) async fn serve(request: Request<Body>) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let problem = Problem::new(405, "method-not-allowed", "here is only GET; the API is at /api/v1/");
        let mut response = gateway::answer(&problem);
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
        return response;
    }
    let path = request.uri().path().trim_start_matches('/');
    let asked = request.headers();
    match Interface::get(path) {
        Some(file) => answer(path, file, asked),
        // A file that an older page asks for is gone; the page in its place would be run as a script.
        None if path.starts_with(HASHED) => {
            let detail = "this file is of another version; load the page again";
            gateway::answer(&Problem::new(404, "not-found", detail))
        }
        None => Interface::get(PAGE).map_or_else(
            || StatusCode::NOT_FOUND.into_response(),
            |page| answer(PAGE, page, asked),
        ),
    }
}

fn answer(path: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let cache = if path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let hash = file.metadata.sha256_hash();
    let (start, _) = hash.split_at(16);
    let tag = start.try_into().map_or(0, u128::from_be_bytes);
    let tag = format!("\"{tag:032x}\"");
    let unchanged = asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let content_type = match file.metadata.mimetype() {
        kind if kind.starts_with("text/") => format!("{kind}; charset=utf-8"),
        kind => kind.to_owned(),
    };
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::ETAG, tag),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    if unchanged {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let compressed = takes_gzip(asked)
        .then(|| Interface::get(&format!("{path}.gz")))
        .flatten();
    match compressed {
        Some(compressed) => {
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            (headers, encoding, compressed.data).into_response()
        }
        None => (headers, file.data).into_response(),
    }
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let encodings = asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    encodings
        .unwrap_or_default()
        .split(',')
        .any(|encoding| encoding.trim().eq_ignore_ascii_case("gzip"))
}
