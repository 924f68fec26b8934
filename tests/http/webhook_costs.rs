//! What a copy may cost, and what the clocks of the two sides may differ by.

use serde_json::{Value, json};

use super::webhook::unread;
use crate::support::process::run;
use crate::support::raw::announce;
use crate::support::service::Site;
use crate::support::stores::{Stores, on_both_sets};
use crate::support::webhook::{PATH, SECRET, message, now, signature};

on_both_sets!(
    ten_thousand_bad_receipts_are_one_copy_like_any_other,
    no_badge_sticks_whatever_our_clock_says,
    what_netease_does_not_keep_is_acknowledged_and_not_kept_here,
);

async fn ten_thousand_bad_receipts_are_one_copy_like_any_other(stores: Stores) {
    let site = Site::new(stores).await;
    let process = site.spawn().await;
    let client = &process.client;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    let at = 1_700_000_000_000_i64;
    assert_eq!(client.copy(message(&bob, &alice, 9, at).to_string()).await.status, 200);
    let mut objects: Vec<Value> = (0..10_000).map(|n| json!({"x": n})).collect();
    objects.push(json!({"fromAccount": alice, "toAccount": bob, "timestamp": at}));
    let copy = json!({"eventType": "30", "objects": objects}).to_string();
    for _ in 0..2 {
        assert_eq!(client.copy(copy.clone()).await.status, 200);
    }
    assert_eq!(unread(client, &alice, &bob).await, 0, "the good one is taken");
    assert_eq!(client.counted("otc_im_dead_letters_total").await, 20_000);

    let ones = format!("{{\"eventType\":\"30\",\"objects\":[{}1]}}", "1,".repeat(519_999));
    assert_eq!(client.copy(ones).await.status, 200);
    let (code, out, _) = run(&["dead-letters", "list"], &site.settings(), site.stores.folder.path());
    assert_eq!(code, Some(0));
    // 100 and the rest of the first copy; one and the rest of the second, whose objects are all alike.
    assert!(out.starts_with("103 dead letters\n"), "{}", &out[..out.len().min(500)]);
    assert!(out.contains("9900 more objects of one copy"), "{out}");

    let (code, out, err) =
        run(&["dead-letters", "redrive", "--all"], &site.settings(), site.stores.folder.path());
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(out.lines().count(), 103, "what stays dead makes no further letters: {out}");
    let mut process = process;
    let lines = process.logged();
    let kept = lines.iter().filter(|line| line.contains("kept a copy that cannot be understood")).count();
    assert!((1..=3).contains(&kept), "{lines:#?}");
}

async fn no_badge_sticks_whatever_our_clock_says(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let client = &service.client;
    let our_now = now().parse::<i64>().unwrap();
    let minutes = |n: i64| n * 60_000;
    // NetEase's clock beside ours, and the message's beside NetEase's.
    for (n, (skew, ahead)) in [(5, 0), (-5, 0), (0, 60), (5, 60), (-5, 60)].into_iter().enumerate() {
        let (alice, bob) = (site.user(&format!("alice{n}")), site.user(&format!("bob{n}")));
        let netease_now = our_now + minutes(skew);
        let sent = netease_now + minutes(ahead);
        let post = async |copy: Value, at: i64| {
            let copy = copy.to_string();
            client.copy_under(signature(SECRET, copy.as_bytes(), &at.to_string()), copy).await.status
        };
        let id = 6_000_000_000 + n as u64;
        assert_eq!(post(message(&bob, &alice, id, sent), netease_now).await, 200);
        assert_eq!(unread(client, &alice, &bob).await, 1);
        let receipt = json!({"fromAccount": alice, "toAccount": bob, "timestamp": sent + 10_000});
        let copy = json!({"eventType": "30", "objects": [receipt]});
        assert_eq!(post(copy, netease_now + 10_000).await, 200);
        assert_eq!(unread(client, &alice, &bob).await, 0, "skew {skew}, ahead {ahead}");
    }
    // A receipt may come before its message: NetEase's own clock says then what may be.
    let (alice, bob) = (site.user("early"), site.user("bird"));
    let receipt = json!({"fromAccount": alice, "toAccount": bob, "timestamp": our_now + minutes(5)});
    let copy = json!({"eventType": "30", "objects": [receipt]}).to_string();
    let signed = signature(SECRET, copy.as_bytes(), &(our_now + minutes(5)).to_string());
    assert_eq!(client.copy_under(signed, copy).await.status, 200);
    let copy = message(&bob, &alice, 6_100_000_000, our_now + minutes(5)).to_string();
    assert_eq!(client.copy(copy).await.status, 200);
    assert_eq!(unread(client, &alice, &bob).await, 0);
    // A signature of another century says nothing, and the far future is pulled back as ever.
    let clamped = client.counted("receipts_clamped").await;
    let receipt = json!({"fromAccount": alice, "toAccount": bob, "timestamp": 99_999_999_999_990_i64});
    let copy = json!({"eventType": "30", "objects": [receipt]}).to_string();
    let signed = signature(SECRET, copy.as_bytes(), "99999999999999");
    assert_eq!(client.copy_under(signed, copy).await.status, 200);
    assert_eq!(client.counted("receipts_clamped").await, clamped + 1);
    let copy = message(&bob, &alice, 6_100_000_001, our_now + minutes(30)).to_string();
    assert_eq!(client.copy(copy).await.status, 200);
    assert_eq!(unread(client, &alice, &bob).await, 1, "the chat is not silenced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_of_ours_that_is_behind_is_told_and_an_old_copy_says_nothing() {
    let site = Site::new(Stores::embedded()).await;
    let process = site.spawn().await;
    let our_now = now().parse::<i64>().unwrap();
    for seconds in [-3_600, 20, 300] {
        let signed = signature(SECRET, b"{}", &(our_now + seconds * 1000).to_string());
        assert_eq!(process.client.copy_under(signed, "{}").await.status, 200);
    }
    // Whoever has no secret tells us no time.
    let forged = signature("another secret", b"{}", &(our_now + 900_000).to_string());
    assert_eq!(process.client.copy_under(forged, "{}").await.status, 401);
    process.terminate();
    let (_, log) = process.ended().await;
    let told: Vec<_> = log.lines().filter(|line| line.contains("is behind NetEase's")).collect();
    let [line] = told[..] else { panic!("{told:#?}") };
    assert!(
        line.contains("\"count\":1") && (270..=300).any(|s| line.contains(&format!("\"seconds\":{s}"))),
        "{line}"
    );
}

async fn what_netease_does_not_keep_is_acknowledged_and_not_kept_here(stores: Stores) {
    let site = Site::new(stores).await;
    let service = site.start().await;
    let (alice, bob) = (site.user("alice"), site.user("bob"));
    for zero in [json!("0"), json!(0)] {
        let mut copy = message(&bob, &alice, 9, 1_700_000_000_000);
        copy["msgidServer"] = zero;
        assert_eq!(service.client.copy(copy.to_string()).await.status, 200);
    }
    assert_eq!(service.client.counted("outcome=\"not_kept\"").await, 2);
    assert_eq!(service.client.counted("outcome=\"dead_letter\"").await, 0);
    assert_eq!(unread(&service.client, &alice, &bob).await, 0);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_unread() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let signed = signature(SECRET, b"{}", &now());
    let announced = announce(&service.client, PATH, signed, 1_048_577).await;
    assert!(announced.starts_with("HTTP/1.1 413 ") && announced.contains("\"too_large\""), "{announced}");
}

#[tokio::test]
async fn a_stranger_is_refused_before_a_byte_of_the_body_is_read() {
    let site = Site::new(Stores::embedded()).await;
    let service = site.start().await;
    let forged = signature("another secret", b"{}", &now());
    let answer = announce(&service.client, PATH, forged, 2).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("\"bad_signature\""), "{answer}");
    for path in ["/v1/unread", "/v1/accounts/bind", "/v1/notifications"] {
        let answer = announce(&service.client, path, [], 2).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("\"unauthorized\""), "{answer}");
    }
}
