//! The OpenAPI document and its page.
//!
//! Every answer that any test gets is held to `docs/openapi.json` too: see [`crate::support::client::send`].

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::architecture::all_sources;
use crate::support::client::{Client, OPENAPI, send};
use crate::support::service::{Service, Site};
use crate::support::stores::Stores;

async fn service() -> (Site, Service) {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    (site, service)
}

async fn document(client: &Client) -> Value {
    client.get("/openapi.json").await.ok()
}

/// Every call of the document: method and path.
fn calls(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let calls =
        paths.flat_map(|(path, calls)| calls.as_object().unwrap().keys().map(|m| (m.clone(), path.clone())));
    calls.collect()
}

/// Every call that a handler is annotated with, whether or not the router has that handler.
fn annotated() -> BTreeSet<(String, String)> {
    let of_file = |text: &str| -> Vec<(String, String)> {
        let annotations = text.split("#[utoipa::path(").skip(1);
        let call = |annotation: &str| {
            let (method, rest) = annotation.split_once(", path = \"").expect("method, then path");
            (method.to_owned(), rest.split('"').next().unwrap().to_owned())
        };
        annotations.map(call).collect()
    };
    let http = all_sources().into_iter().filter(|(path, _)| path.starts_with("src/http"));
    http.flat_map(|(_, text)| of_file(&text)).collect()
}

/// To bring the file up to date: `UPDATE_OPENAPI=1 cargo nextest run openapi_json_in_docs`.
#[tokio::test]
async fn openapi_json_in_docs_is_what_is_served() {
    let (_site, service) = service().await;
    let served = document(&service.client).await;
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says so")]
    if std::env::var("UPDATE_OPENAPI").is_ok() {
        std::fs::write(OPENAPI, serde_json::to_string_pretty(&served).unwrap() + "\n").unwrap();
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(OPENAPI).unwrap()).unwrap();
    assert!(
        served == kept,
        "run UPDATE_OPENAPI=1 cargo nextest run openapi_json_in_docs and look at the diff"
    );
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_route_is_there() {
    let (_site, service) = service().await;
    let document = document(&service.client).await;
    let documented = calls(&document);
    assert_eq!(documented, annotated(), "what is annotated is in the router, too");
    for (method, path) in documented {
        let method: Method = method.to_uppercase().parse().unwrap();
        let answer = send(service.client.request(method.clone(), &path)).await;
        assert!(![404, 405].contains(&answer.status), "{method} {path} is not there");
    }
}

#[tokio::test]
async fn errors_are_documented_as_problems_and_nothing_points_nowhere() {
    let (_site, service) = service().await;
    let document = document(&service.client).await;
    for (method, path) in calls(&document) {
        for (status, response) in document["paths"][&path][&method]["responses"].as_object().unwrap() {
            let content = &response["content"];
            if ["414", "431"].contains(&status.as_str()) {
                assert!(content.is_null(), "it is answered before this service sees the request");
                continue;
            }
            assert_eq!(status.as_str() >= "400", content.to_string().contains("Problem"), "{path} {status}");
            if status.as_str() < "400" {
                continue;
            }
            let content = content.as_object().unwrap();
            assert_eq!(content.keys().collect::<Vec<_>>(), ["application/problem+json"], "{path} {status}");
            let problem = &content["application/problem+json"];
            assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem");
            let examples = problem["examples"].as_object();
            let examples =
                examples.unwrap_or_else(|| panic!("{method} {path} {status} names no code of docs.rs"));
            for (code, example) in examples {
                assert_eq!(example["value"]["status"].to_string(), *status, "{path}");
                assert_eq!(example["value"]["code"], **code);
                assert!(!example["value"]["detail"].as_str().unwrap().is_empty());
            }
        }
    }
    let described = document["paths"].to_string();
    for code in document["components"]["schemas"]["Code"]["enum"].as_array().unwrap() {
        let shown = described.contains(&format!("\"code\":{code}"));
        assert!(shown || code == "method_not_allowed", "{code} has no example");
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference} is nowhere");
    }
    assert!(text.contains("\"bearerFormat\":\"JWT\""));
}

#[tokio::test]
async fn the_example_of_a_notice_can_be_sent_as_it_is() {
    let (site, service) = service().await;
    let document = document(&service.client).await;
    let body = &document["paths"]["/v1/notifications"]["post"]["requestBody"]["content"]["application/json"];
    let example = &body["example"];
    let fields: Vec<_> = example.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["attach", "pushContent", "to"], "what is left out cannot do harm");
    let sent = service.client.as_user("shop").post("/v1/notifications", example).await.ok();
    assert_eq!(sent["state"], "sent");
    let [notice] = &super::notifications::notices(&site, "alice").await[..] else { panic!("one notice") };
    assert_eq!((&notice["from"], &notice["pushcontent"]), (&"otc-system".into(), &example["pushContent"]));
    assert_eq!(notice["attach"], example["attach"].to_string());
    let schema = &document["components"]["schemas"]["NotificationRequest"];
    assert_eq!(schema["required"], serde_json::json!(["attach"]));
}

#[tokio::test]
async fn the_examples_of_all_calls_of_a_site_can_be_sent_as_they_are() {
    let (_site, service) = service().await;
    let document = document(&service.client).await;
    let alice = service.client.as_user("alice");
    for path in ["/v1/accounts/bind", "/v1/notifications", "/v1/unread", "/v1/read"] {
        let example =
            &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"];
        alice.post(path, example).await.ok();
        alice.post(path, example).await.ok();
    }
    let parameters = &document["paths"]["/v1/unread"]["get"]["parameters"];
    let query = |at: usize| parameters[at]["example"].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let users: Vec<String> = query(1).as_array().unwrap().iter().map(text).collect();
    let path = format!("/v1/unread?self={}&users={}", text(&query(0)), users.join("&users="));
    assert_eq!(alice.get(&path).await.ok(), serde_json::json!({"bob": 0, "carol": 0}));
}

#[tokio::test]
async fn every_user_is_documented_with_the_bounds_of_one() {
    let (_site, service) = service().await;
    let document = document(&service.client).await;
    let schemas = &document["components"]["schemas"];
    let bounds = |schema: &Value| (schema["minLength"].as_u64(), schema["maxLength"].as_u64());
    assert_eq!(bounds(&schemas["UserId"]), (Some(1), Some(128)));
    let is_user = |schema: &Value| assert_eq!(schema["$ref"], "#/components/schemas/UserId", "{schema}");
    let are_users = |schema: &Value, most: u64| {
        is_user(&schema["items"]);
        assert_eq!((&schema["minItems"], &schema["maxItems"]), (&1.into(), &most.into()));
    };
    let unread = &schemas["UnreadRequest"]["properties"];
    is_user(&unread["self"]);
    are_users(&unread["users"], 500);
    let bind = &schemas["BindRequest"]["properties"];
    is_user(&bind["buyer"]);
    is_user(&bind["seller"]);
    let notice = &schemas["NotificationRequest"]["properties"];
    is_user(&notice["to"]["oneOf"][0]);
    are_users(&notice["to"]["oneOf"][1], 5000);
    is_user(&notice["from"]["oneOf"][0]);
    let key = &document["paths"]["/v1/notifications"]["post"]["parameters"][0];
    assert_eq!(bounds(&key["schema"]), (Some(1), Some(255)));
    for path in ["/v1/unread", "/v1/unread/stream"] {
        let parameters = &document["paths"][path]["get"]["parameters"];
        is_user(&parameters[0]["schema"]);
        let users = &parameters[1];
        are_users(&users["schema"], 500);
        assert_eq!((&users["style"], &users["explode"]), (&"form".into(), &true.into()), "{path}");
    }
}

/// Null is for requests alone, whose optional fields take it: what an answer lacks is left out, and a header is text.
#[tokio::test]
async fn neither_answers_nor_headers_are_ever_null() {
    let (_site, service) = service().await;
    let document = document(&service.client).await;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let request = name.ends_with("Request") || name == "NotificationOption";
        assert!(request || !schema.to_string().contains("\"null\""), "{name}: {schema}");
    }
    let paths = document["paths"].to_string();
    assert!(!paths.contains("\"null\""), "{paths}");
    let bind = service.client.as_user("alice");
    let nulls = serde_json::json!({"buyer": "alice", "buyerName": null, "seller": "bob", "sellerName": null});
    bind.post("/v1/accounts/bind", &nulls).await.ok();
}

#[tokio::test]
async fn every_call_has_a_name_of_its_own_and_says_when_to_come_again() {
    let (_site, service) = service().await;
    let document = document(&service.client).await;
    let calls = calls(&document);
    let call = |(method, path): &(String, String)| &document["paths"][path][method];
    let names: BTreeSet<_> = calls.iter().map(|at| call(at)["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), calls.len(), "{names:?}");
    assert!(names.iter().all(|name| name.chars().all(|char| char.is_ascii_alphabetic())), "{names:?}");
    for at in &calls {
        for (status, response) in call(at)["responses"].as_object().unwrap() {
            let told = response["headers"]["Retry-After"]["required"] == true;
            assert_eq!(told, ["429", "503"].contains(&status.as_str()), "{at:?} {status}");
        }
    }
    for status in ["200", "304"] {
        let etag = &document["paths"]["/v1/unread"]["get"]["responses"][status]["headers"]["ETag"];
        assert_eq!(etag["schema"]["type"], "string", "{status}");
    }
}

#[tokio::test]
async fn a_post_is_listed_before_the_get_that_is_a_variant_of_it() {
    let (_site, service) = service().await;
    let text = service.client.get("/openapi.json").await.text;
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is not there"));
    let path = at("\"/v1/unread\":{");
    assert!(text[path..].starts_with("\"/v1/unread\":{\"post\":"), "{}", &text[path..path + 100]);
    assert!(text[path..].contains("\"get\":"));
}

#[tokio::test]
async fn the_page_loads_from_this_service_alone() {
    let (_site, service) = service().await;
    let page = service.client.get("/docs/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    let after = |attribute| page.text.split(attribute).skip(1);
    let links = after("src=\"").chain(after("href=\""));
    let links: Vec<&str> = links.map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.len() >= 3, "{links:?}");
    assert!(!page.text.contains("://"), "{}", page.text);
    for link in links {
        assert!(!link.contains("//"), "{link} is elsewhere");
        let asset = service.client.get(&format!("/docs/{}", link.trim_start_matches("./"))).await;
        assert!(asset.status == 200 && !asset.text.is_empty(), "{link}");
    }
    let set_up = service.client.get("/docs/swagger-initializer.js").await.text;
    assert!(set_up.contains("/openapi.json") && !set_up.contains("http"), "{set_up}");
    let short = service.client.get("/docs").await;
    assert_eq!((short.status, short.header("location")), (303, "/docs/"));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let (_site, service) = service().await;
    let paths =
        ["/", "/v1", "/v1/unread/", "/v2/unread", "/receiveMsg", "/%00", "/%ff", "/docs/none", "/docs/%ff"];
    for path in paths {
        service.client.get(path).await.problem(404, "not_found");
    }
    for (method, path) in calls(&document(&service.client).await) {
        let other = if method == "get" { Method::DELETE } else { Method::PUT };
        let answer = send(service.client.request(other, &path)).await;
        answer.problem(405, "method_not_allowed");
        assert!(answer.header("allow").contains(&method.to_uppercase()), "{path}: {:?}", answer.headers);
    }
}
