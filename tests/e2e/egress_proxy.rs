//! Calls to NetEase and to the issuer by way of a proxy: of the one that is configured, and of no other.

use serde_json::json;

use super::private_authority::issuer;
use crate::support::process::{command, run};
use crate::support::service::Site;
use crate::support::stores::Stores;
use crate::support::tls;
use crate::support::tunnels::Tunnels;

/// Nobody listens there: only the proxy knows where these lead.
const NETEASE: &str = "localhost:1";
const ISSUER: &str = "localhost:2";

/// A site whose NetEase and issuer are behind the proxy.
async fn site() -> (Site, Tunnels) {
    let site = Site::new(Stores::embedded()).await;
    let netease = tls::before(&site.netease.base_url()).await.to_string();
    let keys = tls::before(&issuer().await).await.to_string();
    let proxy = Tunnels::to(&[(NETEASE, netease), (ISSUER, keys)]).await;
    let authority = tls::fixture("test-only-authority.pem").display().to_string();
    let site = site.set("tls.ca_file", &authority).unset("auth.hs256_secret");
    let site = site.set("netease.base_url", &format!("https://{NETEASE}/nimserver"));
    (site.set("auth.jwks_url", &format!("https://{ISSUER}/keys")), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_pass_the_proxy_that_is_configured_for_them() {
    let (site, proxy) = site().await;
    let (code, out, log) = run(&["check"], &site.settings(), site.stores.folder.path());
    assert_eq!((code, proxy.heads().len()), (Some(1), 0), "{out}{log}");
    let url = format!("http://otc:h%40sh@{}", proxy.place);
    let site = site.set("netease.proxy", &url).set("auth.proxy", &format!("http://{}", proxy.place));
    let (code, out, log) = run(&["check"], &site.settings(), site.stores.folder.path());
    assert_eq!(code, Some(0), "{out}{log}");
    assert!(out.lines().all(|line| line.starts_with("ok      ")), "{out}");
    let heads = proxy.heads();
    let of = |name: &str| heads.iter().find(|head| head.starts_with(&format!("CONNECT {name} "))).unwrap();
    let basic = "proxy-authorization: basic b3rjomhac2g="; // otc:h@sh, in lower case
    assert!(of(NETEASE).to_lowercase().contains(basic), "{heads:?}");
    assert!(!of(ISSUER).to_lowercase().contains("authorization"), "{heads:?}");
    assert!(
        !of(NETEASE).to_lowercase().contains("appkey"),
        "what is signed is in the tunnel alone: {heads:?}"
    );

    let site = site.unset("auth.jwks_url").set("auth.mode", "none");
    let process = site.spawn().await;
    let pair = json!({"buyer": site.user("alice"), "seller": site.user("bob")});
    let bound = process.client.post("/v1/accounts/bind", &pair).await;
    assert_eq!(bound.status, 200, "{}", bound.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_named_and_its_password_is_not() {
    let (site, _) = site().await;
    let nowhere = Tunnels::to(&[]).await;
    let url = format!("http://otc:hush@{}", nowhere.place);
    let site = site.set("netease.proxy", &url).set("auth.proxy", &url);
    let (code, out, log) = run(&["check"], &site.settings(), site.stores.folder.path());
    assert_eq!(code, Some(1), "{out}{log}");
    assert!(out.contains("note    netease.base_url: ") && out.contains("netease.proxy"), "{out}");
    assert!(out.contains("FAILED  auth.jwks_url") && out.contains("auth.proxy"), "{out}");
    assert!(!format!("{out}{log}").contains("hush"), "{out}{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_only_the_environment_names_is_not_used() {
    let site = Site::new(Stores::embedded()).await;
    let proxy = Tunnels::to(&[]).await;
    let url = format!("https://{}/nimserver", tls::before(&site.netease.base_url()).await);
    let authority = tls::fixture("test-only-authority.pem").display().to_string();
    let encrypted = [("tls.ca_file", authority), ("netease.base_url", url)];
    for settings in [site.settings(), [site.settings(), encrypted.into()].concat()] {
        let mut check = command(&["check"], &settings, site.stores.folder.path());
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            check.env(name, format!("http://{}", proxy.place));
        }
        let done = check.output().unwrap();
        let out = String::from_utf8(done.stdout).unwrap();
        assert!(out.contains("ok      netease.base_url: NetEase takes our calls"), "{out}");
        assert_eq!(proxy.heads(), [] as [String; 0]);
    }
}
