//! Puts readers into the view in Redis, through the service's own adapter, as a load from the log would.

use std::sync::Arc;

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use otc_im::domain::ids::{Accid, Millis, ServerId};
use otc_im::domain::unread::Snapshot;
use otc_im::infra::redis::{Connection, RedisView};
use otc_im::ports::unread_view::UnreadView;

use crate::Outcome;
use crate::copies::user;

/// Readers that are written at once.
const AT_ONCE: usize = 64;
/// When these readers are said to have been loaded: far ahead, so that no poll compares them with the log.
const LOADED_AT: Millis = Millis(9_000_000_000_000);

/// `fill`
#[derive(Args)]
pub struct Fill {
    /// `redis://…`
    #[arg(long)]
    redis: String,
    /// How many readers, from `r0000000` on
    #[arg(long)]
    readers: u64,
    /// The number of the first reader
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// From how many peers each has unread messages, from `p0000000` on
    #[arg(long)]
    peers: u64,
    /// How many of each
    #[arg(long)]
    per_pair: i64,
}

impl Fill {
    /// Writes them all.
    pub async fn run(self) -> Outcome {
        let view = Arc::new(RedisView::new(Connection::open(&self.redis).await?));
        let accid = |letter, number| Accid::of_user(&user(letter, number));
        let message =
            |peer: &Accid, n| Some((peer.clone(), ServerId::new(n + 1)?, Millis(1_700_000_000_000 + n)));
        let peers: Vec<Accid> = (0..self.peers).map(|number| accid('p', number)).collect();
        let unread = peers
            .iter()
            .enumerate()
            .flat_map(|(at, peer)| {
                let first = i64::try_from(at).unwrap_or_default() * self.per_pair;
                (first..first + self.per_pair).filter_map(move |n| message(peer, n))
            })
            .collect();
        let snapshot = &Snapshot { unread, marks: Vec::new(), recalled: Vec::new() };
        stream::iter(self.from..self.from + self.readers)
            .map(|number| {
                let (view, reader) = (Arc::clone(&view), accid('r', number));
                async move {
                    let load = view.begin_load(&reader, "bench").await?;
                    view.merge(&reader, &load, snapshot, LOADED_AT).await.map(|_| ())
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(())
    }
}
