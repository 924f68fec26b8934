//! Servers whose certificates an authority of the site's own has signed: with `tls.ca_file` they are trusted, without it
//! each refusal names it.

use std::fs;

use axum::Router;
use axum::routing::get;
use serde_json::json;

use crate::support::own_maria::OwnMaria;
use crate::support::own_redis::OwnRedis;
use crate::support::process::run;
use crate::support::service::{Site, eventually};
use crate::support::stores::Stores;
use crate::support::tls;

/// A key set, served in plain text.
pub async fn issuer() -> String {
    let keys = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let app = Router::new().route("/keys", get(move || async move { keys }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// MariaDB with its own TLS; it is asked to prove who it is.
async fn maria() -> (OwnMaria, String) {
    let (certificate, key) =
        (tls::fixture("test-only-server.pem"), tls::fixture("test-only-server.private.pem"));
    let (certificate, key) =
        (format!("--ssl-cert={}", certificate.display()), format!("--ssl-key={}", key.display()));
    let own = OwnMaria::start(&[&certificate, &key]).await;
    let url = format!("{}?ssl-mode=VERIFY_IDENTITY", own.url());
    (own, url)
}

/// Everything over TLS; the path of the authority's file has characters that are none of a URL.
async fn site(maria: &OwnMaria, maria_url: &str) -> (Site, String) {
    let stores = Stores::servers().await.with("accounts.url", maria.url());
    let (mongo, redis) = (stores.url("messages.url").to_owned(), stores.url("unread.url").to_owned());
    let site = Site::new(stores).await;
    let name = mongo.split('/').nth(3).unwrap().split('?').next().unwrap();
    let mongo = format!("mongodb://{}/{name}?directConnection=true&tls=true", tls::before(&mongo).await);
    let netease = format!("https://{}/nimserver", tls::before(&site.netease.base_url()).await);
    let keys = format!("https://{}/keys", tls::before(&issuer().await).await);
    let redis = format!("rediss://{}", tls::before(&redis).await);
    let folder = site.stores.folder.path().join("a & b");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("authority.pem");
    fs::copy(tls::fixture("test-only-authority.pem"), &file).unwrap();
    let site = site.set("accounts.url", maria_url).set("messages.url", &mongo).set("unread.url", &redis);
    let site = site.set("netease.base_url", &netease).unset("auth.hs256_secret").set("auth.jwks_url", &keys);
    (site, file.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_a_private_authority_are_trusted_with_its_file_and_else_refused() {
    let (own, url) = maria().await;
    let (site, file) = site(&own, &url).await;
    let check = |site: &Site| run(&["check"], &site.settings(), site.stores.folder.path());
    let (code, out, log) = check(&site);
    assert_eq!(code, Some(1), "{out}{log}");
    for step in ["accounts.url", "messages.url", "unread.url", "auth.jwks_url"] {
        let line = out.lines().find(|line| line.starts_with(&format!("FAILED  {step}")));
        assert!(line.is_some_and(|line| line.contains("set tls.ca_file")), "{step}: {out}");
    }
    let line = out.lines().find(|line| line.starts_with("note    netease.base_url"));
    assert!(line.is_some_and(|line| line.contains("set tls.ca_file")), "{out}");

    let site = site.set("tls.ca_file", &file);
    let (code, out, log) = check(&site);
    assert_eq!(code, Some(0), "{out}{log}");
    assert!(out.lines().all(|line| line.starts_with("ok      ")), "{out}");
    assert_eq!(run(&["migrate"], &site.settings(), site.stores.folder.path()).0, Some(0));
    let site = site.unset("auth.jwks_url").set("auth.mode", "none");
    let process = site.spawn().await;
    let polled = process.client.post("/v1/unread", &json!({"self": "alice", "users": ["bob"]})).await;
    assert_eq!(polled.status, 200, "{}", polled.text);
    let bound = json!({"buyer": site.user("alice"), "seller": site.user("bob")});
    let bound = process.client.post("/v1/accounts/bind", &bound).await;
    assert_eq!(bound.status, 200, "{}", bound.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_a_private_authority_is_trusted_with_its_file_and_else_refused() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let [certificate, key, authority] =
        ["test-only-server.pem", "test-only-server.private.pem", "test-only-authority.pem"]
            .map(|name| tls::fixture(name).display().to_string());
    let own = OwnRedis::start_with(&[
        "--cluster-enabled",
        "yes",
        "--tls-port",
        &port,
        "--tls-cluster",
        "yes",
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
    ]);
    own.run::<()>(redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383)).await;
    eventually("the cluster is whole", async || {
        own.run::<String>(redis::cmd("CLUSTER").arg("INFO")).await.contains("cluster_state:ok")
    })
    .await;
    let stores = Stores::embedded().with("unread.url", format!("rediss-cluster://127.0.0.1:{port}"));
    let site = Site::new(stores).await;
    let check = |site: &Site| run(&["check"], &site.settings(), site.stores.folder.path());
    let (code, out, log) = check(&site);
    assert_eq!((code, out.contains("set tls.ca_file")), (Some(1), true), "{out}{log}");
    let site = site.set("tls.ca_file", &authority);
    let (code, out, log) = check(&site);
    assert_eq!(code, Some(0), "{out}{log}");
}

#[tokio::test]
async fn a_file_without_an_authority_ends_with_2_and_names_the_key() {
    let site = Site::new(Stores::embedded()).await;
    let empty = site.stores.folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    for (file, words) in
        [("none.pem", "cannot be read"), ("empty.pem", "holds no certificate"), ("", "is empty")]
    {
        let settings = [site.settings(), vec![("tls.ca_file", file.to_owned())]].concat();
        for command in ["serve", "check", "migrate"] {
            let (code, _, log) = run(&[command], &settings, site.stores.folder.path());
            assert_eq!(code, Some(2), "{command}: {log}");
            let said = log.lines().next_back().unwrap_or_default();
            assert!(said.starts_with("otc-im: tls.ca_file") && said.contains(words), "{command}: {said}");
        }
    }
}
