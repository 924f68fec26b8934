//! Pages of other sites, which a browser lets post to this machine.

use serde_json::{Value, json};

use super::Bench;

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let bench = Bench::new().await;
    let login = async |origin: Option<&str>| {
        let url = format!("{}/login", bench.simulator.control_url());
        let mut request = bench.http.post(url).header("content-type", "text/plain");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let body = json!({"accid": "alice", "token": "x"}).to_string();
        request.body(body).send().await.unwrap()
    };
    for origin in ["https://evil.example", "http://127.0.0.1.evil.example:8081", "http://[::2]", "null", ""] {
        let answer = login(Some(origin)).await;
        assert_eq!(answer.status(), 403, "{origin}");
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string());
    }
    for origin in
        [None, Some("http://127.0.0.1:8080"), Some("http://localhost:3000"), Some("http://[::1]:8080")]
    {
        assert_eq!(login(origin).await.status(), 200, "{origin:?}");
    }
}
