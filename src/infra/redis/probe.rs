//! Whether Redis does for this user what the view is here for.

use redis::{RedisResult, Script};

use super::{Keys, NOBODY, RedisView};

impl RedisView {
    /// Does what polls, copies and loads do, on keys that are nobody's: a right that the user lacks is found, and so is a
    /// server that takes no writes.
    pub(super) async fn probe(&self) -> RedisResult<()> {
        let keys = &Keys::of(NOBODY);
        let script = async |script: &Script, own: &[&str]| {
            let mut call = script.prepare_invoke();
            call.key(&keys.counts).key(&keys.marks).key(&keys.gone).key(keys.unread(NOBODY)).arg(own);
            call.invoke_async::<()>(&mut self.connection()).await
        };
        let (mut poll, mut list) = (redis::cmd("HMGET"), redis::cmd("ZRANGE"));
        poll.arg(&keys.counts).arg("!at");
        list.arg(keys.unread(NOBODY)).arg(0).arg(0);
        let done = tokio::try_join!(
            script(&self.begin_load, &["!"]),
            script(&self.merge_pair, &["!", NOBODY, "0", "0", "0", "0", "0"]),
            script(&self.apply, &[NOBODY, "0", "1", "1", "1", "0", "0"]),
            script(&self.end_load, &["!", "0", "0"]),
            script(&self.whole, &["8"]),
            async { poll.query_async::<()>(&mut self.connection()).await },
            async { list.query_async::<()>(&mut self.connection()).await },
        );
        done.map(|_| ())
    }
}
