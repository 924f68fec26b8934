//! The OpenAPI document, collected from the handlers, and the page that shows it.

use std::collections::BTreeMap;
use std::future::ready;

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};
use utoipa::{Modify, OpenApi as _};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::{Code, Problem};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "otc-im", description = "The chat back end of an OTC trading site on NetEase IM (云信).\n\n\
        Errors are RFC 9457 problems; programs decide by `code`. A 429 or 503 always carries `Retry-After`.\n\n\
        To try calls on this page: start `otc-im dev`, run `otc-im token alice`, press Authorize, paste what it printed."),
    servers((url = "/", description = "The service that this document comes from")),
    tags(
        (name = "chat", description = "For the site's pages and services, by a generated client too; but for the stream"),
        (name = "netease", description = "For NetEase alone, which signs its calls"),
        (name = "operation", description = "For whoever runs this; no token is looked at")),
    modifiers(&Jwt)
)]
struct Document;

struct Jwt;

impl Modify for Jwt {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(
            "`sub` is the user; `scope` has `notify` for notifications, `unread` to ask for anybody's counts.",
        ));
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("jwt", SecurityScheme::Http(scheme.build()));
    }
}

/// The document without its paths, which the router adds.
pub fn document() -> OpenApi {
    Document::openapi()
}

/// `/openapi.json`, and the page at `/docs`.
pub fn routes<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    let json = written(document)
        .map(|text| ([(header::CONTENT_TYPE, "application/json")], Bytes::from(text)))
        .map_err(|error| Problem::new(Code::Internal, format!("the document could not be written: {error}")));
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    Router::from(page)
        .layer(map_response(problem_of_page))
        .route("/openapi.json", get(move || ready(json.clone())))
}

async fn problem_of_page(response: Response) -> Response {
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
            Problem::new(Code::NotFound, "the page at /docs/ has no such file").into_response()
        }
        _ => response,
    }
}

/// The document in the order in which it is shown.
#[derive(Serialize, Deserialize)]
struct Written {
    paths: BTreeMap<String, Calls>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The calls of one path. A GET that stands beside a POST is a variant of it, so it comes later.
#[derive(Serialize, Deserialize)]
struct Calls {
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

fn written(document: &OpenApi) -> serde_json::Result<Vec<u8>> {
    let mut document: Written = serde_json::from_value(serde_json::to_value(document)?)?;
    for calls in document.paths.values_mut() {
        for call in calls.post.iter_mut().chain(calls.others.values_mut()) {
            for (status, response) in call["responses"].as_object_mut().into_iter().flatten() {
                describe_problem(status, response)?;
            }
        }
    }
    serde_json::to_vec(&document)
}

/// A response that is a problem gets the media type of problems, an example of each code that its description names, and
/// the headers of its status.
fn describe_problem(status: &str, response: &mut Value) -> serde_json::Result<()> {
    let json = &response["content"]["application/json"];
    if json["schema"]["$ref"] != "#/components/schemas/Problem" {
        return Ok(());
    }
    let mut content = json.clone();
    let description = response["description"].as_str().unwrap_or_default().to_owned();
    for example in examples() {
        let value = serde_json::to_value(&example)?;
        let code = value["code"].as_str().unwrap_or_default().to_owned();
        if description.contains(&format!("`{code}`")) {
            content["examples"][code]["value"] = value;
        }
    }
    if status == "429" || status == "503" {
        let seconds = json!({"type": "integer", "minimum": 1});
        response["headers"]["Retry-After"] =
            json!({"description": "Try again after so many seconds", "required": true, "schema": seconds});
    }
    if description.contains("`unauthorized`") {
        response["headers"]["WWW-Authenticate"] = json!({"required": true, "schema": {"type": "string"}});
    }
    response["content"] = Value::Object(Map::from_iter([("application/problem+json".to_owned(), content)]));
    Ok(())
}

/// One of each code.
fn examples() -> [Problem; 20] {
    [
        Problem::new(Code::Unreadable, "the body is not JSON: expected value at line 1 column 1"),
        Problem::new(Code::Unauthorized, "the token has expired"),
        Problem::new(Code::Forbidden, "the token's `scope` lacks `notify`"),
        Problem::new(Code::NotFound, "there is no notification of this id, or it is forgotten"),
        Problem::new(
            Code::MethodNotAllowed,
            "/v1/unread does not take this method; /docs lists what it takes",
        ),
        Problem::new(Code::BodyTimeout, "the body did not arrive in time"),
        Problem::new(Code::AccountTaken, "another user has the account that this user id maps to"),
        Problem::new(Code::TooLarge, "the body must have at most 65536 bytes"),
        Problem::invalid("self", "is missing"),
        Problem::new(Code::BadSignature, "the checksum is not NetEase's"),
        Problem::new(Code::NeteaseBusy, "too many calls of user/create: it is closed for another 10 s"),
        Problem::new(Code::TooManyStreams, "this reader has 20 streams, and may not have more: close one"),
        Problem::new(
            Code::TooManyBinds,
            "this caller has made as many new accounts as a minute allows: try again in 20 s",
        ),
        Problem::new(Code::Internal, "this service failed; see its log"),
        Problem::new(Code::NeteaseRejected, "NetEase refused user/create: code 403, forbidden"),
        Problem::new(Code::NeteaseUnavailable, "NetEase is out of reach: it did not answer in time"),
        Problem::new(Code::StoreUnavailable, "the unread store is out of reach; try again shortly"),
        Problem::new(Code::Overloaded, "this took too long; try again shortly"),
        Problem::new(Code::Stopping, "this instance is about to stop; ask another one"),
        Problem::new(Code::KeysUnavailable, "the keys that verify tokens are out of reach"),
    ]
}
