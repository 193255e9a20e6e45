//! Who may talk to the server: pages that it served itself, on this machine.

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The names of this machine for itself. A page of somewhere else may lead its own name here, but cannot send these.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
/// Nothing is loaded from elsewhere, and no other page may frame this one.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; form-action 'none'";

/// Refuses what another site's page may have sent, and tells browsers to load nothing from elsewhere.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match refusal(request.headers(), request.uri()) {
        None => next.run(request).await,
        Some(sentence) => (StatusCode::FORBIDDEN, sentence).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Why a request with these headers is not answered, if it is not.
#[must_use]
pub fn refusal(headers: &HeaderMap, uri: &Uri) -> Option<&'static str> {
    let text = |value: Option<&HeaderValue>| value.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let host = text(headers.get(HOST)).or_else(|| uri.authority().map(ToString::to_string));
    let Some(host) = host.filter(|host| is_loopback(host)) else {
        return Some("This server answers on 127.0.0.1 and localhost only: open the address that it printed.");
    };
    let is_own = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        origin.strip_prefix("http://") == Some(&host)
    };
    if !headers.get_all(ORIGIN).iter().all(is_own) {
        return Some("This server answers its own page only: open the address that it printed.");
    }
    match text(headers.get("sec-fetch-site")).as_deref() {
        None | Some("same-origin" | "none") => None,
        // A link from elsewhere may open the page, and nothing else.
        Some(_) if text(headers.get("sec-fetch-mode")).as_deref() == Some("navigate") => None,
        Some(_) => Some("This server answers its own page only: open the address that it printed."),
    }
}

/// Whether `host`, with or without a port, is this machine's name for itself.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    LOOPBACK.contains(&name)
}
