//! The OpenAPI document, collected from the handlers.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};
use utoipa::{Modify, OpenApi as _};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "otc-im", description = "The chat back end of an OTC trading site on NetEase IM (云信).\n\n\
        Errors are RFC 9457 problems; programs decide by `code`. A 503 always carries `Retry-After`."),
    tags(
        (name = "chat", description = "For the site's pages and services"),
        (name = "netease", description = "For NetEase"),
        (name = "operation", description = "For whoever runs this")),
    modifiers(&Jwt)
)]
struct Document;

struct Jwt;

impl Modify for Jwt {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("jwt", SecurityScheme::Http(scheme));
    }
}

/// The document without its paths, which the router adds.
pub fn document() -> OpenApi {
    Document::openapi()
}
