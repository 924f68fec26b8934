//! A background task that ends, and work that does not end in time.

use super::*;
use crate::infra::clock::System;
use crate::ports::clock::Ids;

/// An embedded service, its listener, and the folder of its database.
async fn embedded() -> (App, TcpListener, std::path::PathBuf) {
    let folder = std::env::temp_dir().join(format!("otc-im-{}", System.fresh()));
    let mut config = Config::default();
    config.accounts.url = format!("sqlite:{}", folder.join("otc-im.db").display());
    config.messages.url.clone_from(&config.accounts.url);
    config.http.listen.set_port(0);
    config.auth.hs256_secret = Some("a secret of at least thirty-two bytes".into());
    config.netease.base_url = "http://127.0.0.1:1/nimserver".into();
    config.netease.app_key = "key".into();
    config.netease.app_secret = "secret".into();
    config.limits.drain = Duration::from_mins(5);
    migrate(&config).await.unwrap();
    (App::build(&config).await.unwrap(), listen(&config).await.unwrap(), folder)
}

#[tokio::test]
async fn a_background_task_that_ends_by_itself_ends_the_service_with_an_error() {
    let (mut app, listener, folder) = embedded().await;
    app.background.watch("broken", tokio::spawn(async { panic!("on purpose") }));
    let ended = timeout(Duration::from_secs(10), app.serve(listener, CancellationToken::new())).await;
    let error = ended.expect("nobody has to stop it, and it does not wait for the drain").unwrap_err();
    assert!(matches!(&error, StartError::Background { task: "broken", .. }), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn work_that_cannot_end_in_time_is_told_of() {
    let (mut app, listener, folder) = embedded().await;
    app.bounds = ServeLimits { drain: Duration::ZERO, shutdown: Duration::from_millis(50), ..app.bounds };
    app.tasks.spawn(std::future::pending::<()>());
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(!app.serve(listener, stop).await.unwrap());
    std::fs::remove_dir_all(folder).unwrap();
}
