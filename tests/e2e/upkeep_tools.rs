//! `otc-im recount`, `otc-im explain --message` and `otc-im dead-letters`, as an operator types them, mistakes included.

use crate::support::process::run;
use crate::support::service::Site;
use crate::support::stores::{Folder, Settings, Stores, on_both_sets};
use crate::support::webhook::message;

on_both_sets!(a_dead_letter_that_is_given_up_is_removed, a_message_that_does_not_count_says_why);

#[tokio::test(flavor = "multi_thread")]
async fn a_recount_of_a_mistyped_reader_says_that_there_is_none() {
    let site = Site::new(Stores::servers().await).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    assert_eq!(
        service.client.copy(message(&bob, &alice, 9, 1_700_000_000_000).to_string()).await.status,
        200
    );
    let recount = |reader: &str| {
        let (code, out, _) =
            run(&["recount", "--reader", reader], &site.settings(), site.stores.folder.path());
        (code, out)
    };
    let typo = site.user("alcie");
    for _ in 0..2 {
        let (code, out) = recount(&typo);
        assert_eq!((code, out.contains("the log knows nobody of that name")), (Some(1), true), "{out}");
    }
    assert_eq!(recount(&alice), (Some(0), format!("{alice}: 0 added, 0 removed\n")));
}

#[test]
fn a_recount_of_nobody_in_particular_names_both_ways() {
    let folder = Folder::new();
    let (code, _, said) = run(&["recount"], &Settings::new(), folder.path());
    assert_eq!(code, Some(2));
    assert!(said.contains("--reader <USER>") && said.contains("--all"), "{said}");
    let both = ["recount", "--reader", "alice", "--all"];
    let (code, _, said) = run(&both, &Settings::new(), folder.path());
    assert_eq!((code, said.contains("cannot be used with")), (Some(2), true), "{said}");
}

async fn a_message_that_does_not_count_says_why(stores: Stores) {
    let site = Site::new(stores).await.set("unread.ignore_types", "TIPS");
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    for (id, msg_type) in [(1, "TIPS"), (2, "TEXT")] {
        let mut copy = message(&bob, &alice, id, 1_700_000_000_000);
        copy["msgType"] = msg_type.into();
        assert_eq!(service.client.copy(copy.to_string()).await.status, 200);
    }
    let explain = |id: &str| {
        let words = ["explain", &alice, &bob, "--message", id];
        run(&words, &site.settings(), site.stores.folder.path())
    };
    for (id, said) in [
        ("1", "it does not count: unread.ignore_types named its msgType when it came\n"),
        ("2", "it counts: it is not read\n"),
        ("3", "the log does not have this message\n"),
    ] {
        let (code, out, log) = explain(id);
        assert_eq!((code, out.as_str()), (Some(0), said), "{log}");
    }
    let (code, _, log) = explain("zero");
    assert!(code == Some(2) && log.contains("--message: `zero` is not a msgidServer"), "{code:?} {log}");
}

async fn a_dead_letter_that_is_given_up_is_removed(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    for body in ["not JSON", "not JSON either"] {
        assert_eq!(service.client.copy(body).await.status, 200);
    }
    let letters = |arguments: &[&str]| {
        run(&[&["dead-letters"], arguments].concat(), &site.settings(), site.stores.folder.path())
    };
    let (_, out, _) = letters(&["list"]);
    let ids: Vec<_> = out.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    let [first, second] = ids[..] else { panic!("{out}") };
    assert_eq!(letters(&["remove", first]).0, Some(0));
    let (code, _, log) = letters(&["remove", first]);
    assert_eq!((code, log.contains(&format!("there is no dead letter {first}"))), (Some(1), true), "{log}");
    let (_, out, _) = letters(&["list"]);
    assert!(out.starts_with("1 dead letters\n") && out.contains(second), "{out}");
}
