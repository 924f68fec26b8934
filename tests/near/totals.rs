//! Totals from memory: of a reader who is kept whole, and of one who is too large for that.

use std::time::Duration;

use futures_util::future::join_all;
use otc_im::ports::unread_view::UnreadView;

use super::Rig;
use crate::contract::facts::{NOW, Pair, apply, known_pair, total};
use crate::support::near;

impl Rig {
    /// The total, and whether it came from memory.
    async fn total(&self, pair: &Pair) -> (Option<(u64, u64)>, bool) {
        let before = self.counted().hits.get();
        (total(&*self.near, &pair.reader).await, self.counted().hits.get() > before)
    }

    /// A reader with an unread message from each of three hundred peers, of whom memory has heard everything.
    async fn large(&self) -> Vec<Pair> {
        let pair = known_pair(&*self.other).await;
        let many: Vec<Pair> = (0..300).map(|_| pair.with_another()).collect();
        apply(&*self.other, many.iter().map(|pair| pair.arrived(1, 10))).await;
        near::heard_everything(&self.near, &mut self.beside().await).await;
        many
    }
}

#[tokio::test]
async fn pages_and_totals_of_a_reader_who_is_kept_whole_share_one_read() {
    let rig = Rig::new(Duration::from_secs(5)).await;
    let pair = rig.kept_pair().await;
    let misses = rig.counted().misses.get();
    assert_eq!(rig.total(&pair).await, (Some((1, 1)), true));
    assert_eq!(rig.counted().misses.get(), misses);
    rig.near.apply(&pair.arrived(2, 20), NOW).await.unwrap();
    assert_eq!(rig.total(&pair).await.0, Some((2, 1)), "an own change is in the next total");
    rig.other.apply(&pair.with_another().arrived(3, 20), NOW).await.unwrap();
    near::heard_everything(&rig.near, &mut rig.beside().await).await;
    assert_eq!(rig.total(&pair).await.0, Some((3, 2)), "and so is one that Redis tells of");
}

#[tokio::test]
async fn the_total_of_a_large_reader_is_summed_once_and_kept_beside_the_page() {
    let rig = Rig::new(Duration::from_secs(5)).await;
    let many = rig.large().await;
    let misses = rig.counted().misses.get();
    let answers = join_all((0..20).map(|_| total(&*rig.near, &many[0].reader))).await;
    assert_eq!(answers, [Some((300, 300)); 20]);
    assert_eq!(rig.counted().misses.get(), misses + 1, "who come together share it");
    assert_eq!(rig.ask(&many[7]).await, Some(1));
    assert_eq!(rig.counted().misses.get(), misses + 2);
    for _ in 0..3 {
        assert_eq!(rig.total(&many[0]).await, (Some((300, 300)), true), "a page does not drive it out");
        assert_eq!(rig.ask(&many[7]).await, Some(1));
    }
    assert_eq!(rig.counted().misses.get(), misses + 2, "nor it the page");
    // It says nothing of who is not on that page.
    assert_eq!(rig.ask(&many[8].with_another()).await, Some(0));
    assert_eq!(rig.counted().misses.get(), misses + 3);

    rig.near.apply(&many[7].read(10), NOW).await.unwrap();
    assert_eq!(rig.total(&many[0]).await, (Some((299, 299)), false));
    rig.other.apply(&many[8].arrived(2, 20), NOW).await.unwrap();
    near::heard_everything(&rig.near, &mut rig.beside().await).await;
    assert_eq!(rig.total(&many[0]).await, (Some((300, 299)), false));
}

#[tokio::test]
async fn without_tracking_totals_come_from_redis_and_an_outage_is_an_error() {
    let rig = Rig::new(Duration::from_secs(1)).await;
    let many = rig.large().await;
    rig.tracking.cut();
    let unsure = async || rig.counted().active.get() == 0;
    crate::support::service::eventually("the loss is noticed", unsure).await;
    rig.other.apply(&many[0].arrived(2, 20), NOW).await.unwrap();
    assert_eq!(rig.total(&many[0]).await, (Some((301, 300)), false));
    rig.polls.cut();
    assert!(rig.near.total(&many[0].reader).await.is_err());
}
