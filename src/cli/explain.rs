//! `otc-im explain`: why is this number what it is?

use clap::Args;

use super::{ConfigFile, accid, failed, refuse_memory};
use crate::app::{StartError, Stores};
use crate::domain::ids::{Accid, Millis};
use crate::queries::explain::{Explanation, explain};

/// `otc-im explain`
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    /// Whose unread messages
    reader: String,
    /// From whom
    peer: String,
}

impl Explain {
    /// Answers whether log and view agree.
    pub async fn run(self) -> Result<bool, StartError> {
        let config = self.file.load()?;
        refuse_memory(&config)?;
        let stores = Stores::connect_once(&config).await?;
        let (reader, peer) = (accid("READER", &self.reader)?, accid("PEER", &self.peer)?);
        let found = explain(&*stores.upkeep, &*stores.view, &reader, &peer).await.map_err(|e| failed(&e))?;
        tell(&reader, &peer, &found);
        Ok(found.answered.is_none() || found.missing() + found.surplus() == 0)
    }
}

fn tell(reader: &Accid, peer: &Accid, found: &Explanation) {
    let time = |at: Option<Millis>| at.map_or("never".to_owned(), |at| at.to_string());
    let answer = found.answered.map_or("not known: the next poll loads it".into(), |count| count.to_string());
    println!("messages from {peer} that {reader} has not read; times in milliseconds since 1970");
    println!("a poll is answered   {answer}");
    println!("the log counts       {}", found.messages.iter().filter(|m| m.in_log).count());
    println!("read up to           {} (log), {} (view)", time(found.log_mark), time(found.view_mark));
    println!("loaded last          {}", time(found.loaded_at));
    for entry in &found.messages {
        let held = match (entry.in_log, entry.in_view) {
            (true, true) => "log and view",
            (true, false) => "log only",
            _ => "view only",
        };
        println!("  {}  {}  {held}", entry.at, entry.id);
    }
    println!(
        "{}",
        match (found.answered, found.missing(), found.surplus()) {
            (None, ..) => "the view does not know this reader",
            (_, 0, 0) => "log and view agree",
            (_, _, 0) => "the view is behind: a recount, or the next recheck, adds what it lacks",
            _ => "the view counts what the log does not: a recount, or the next recheck, removes it",
        }
    );
}
