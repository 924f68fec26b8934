//! One process at a time serves from an embedded database.

use crate::support::process::{Process, run};
use crate::support::service::Site;
use crate::support::stores::{Folder, Stores};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_database_refuses_with_one_sentence() {
    let site = Site::new(Stores::embedded()).await;
    let folder = site.stores.folder.path();
    let process = site.spawn().await;
    let (code, _, log) = run(&["serve"], &site.settings(), folder);
    assert_eq!(code, Some(1), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    for word in ["otc-im.db.lock", "another otc-im", "stop that one first"] {
        assert!(log.contains(word), "`{word}` is not in: {log}");
    }
    for command in ["check", "migrate"] {
        let (code, _, log) = run(&[command], &site.settings(), folder);
        assert_eq!(code, Some(0), "{command} runs beside the service: {log}");
    }
    process.terminate();
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    drop(site.spawn().await);
    drop(site.spawn().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_dev_in_the_same_folder_refuses_and_changes_nothing() {
    let folder = Folder::new();
    let settings = vec![("http.listen", "127.0.0.1:0".to_owned())];
    let args = ["dev", "--simulator-listen", "127.0.0.1:0"];
    let mut first = Process::spawn(&args, &settings, folder.path());
    first.out_line("otc-im is running").await;
    let (code, out, log) = run(&args, &settings, folder.path());
    assert_eq!((code, out.as_str()), (Some(1), ""), "{log}");
    assert!(log.contains("another otc-im"), "{log}");
}
