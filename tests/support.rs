//! What the tests share: the servers they run against, services under test, and a NetEase.

pub mod backends;
pub mod client;
pub mod events;
pub mod near;
pub mod netease;
pub mod outboxes;
pub mod own_maria;
pub mod own_mongo;
pub mod own_redis;
pub mod own_sentinels;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod service;
pub mod stores;
pub mod tls;
pub mod tunnels;
pub mod webhook;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The URL of a real server. A test without its server fails; it is never skipped.
pub fn server(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "tests are told where the servers are")]
    let url = std::env::var(name);
    url.unwrap_or_else(|_| {
        panic!("{name} is not set: run scripts/test, or `scripts/servers start DIR` by hand")
    })
}

/// A name that no other test of any run has had: for databases and users. `otc_` and at most 24 characters.
pub fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    #[expect(clippy::disallowed_methods, reason = "a name must differ from those of earlier runs")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("otc_{:x}_{:x}_{next:x}", now.as_micros() & 0xff_ffff_ffff, std::process::id())
}
