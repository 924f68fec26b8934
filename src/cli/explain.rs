//! `otc-im explain`: why is this number what it is?

use clap::Args;

use super::output::say;
use super::{ConfigFile, refuse_memory, user};
use crate::app::{StartError, Stores};
use crate::config::ConfigError;
use crate::domain::ids::{Accid, Millis, ServerId};
use crate::domain::message::Ignored;
use crate::queries::explain::{Explanation, Standing, explain, standing};

/// `otc-im explain`
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    /// Whose unread messages
    reader: String,
    /// From whom
    peer: String,
    /// Say of this one message instead (its `msgidServer`) why it counts or does not
    #[arg(long, value_name = "ID")]
    message: Option<String>,
}

impl Explain {
    /// Answers whether log and view agree.
    pub async fn run(self) -> Result<bool, StartError> {
        let config = self.file.load()?;
        if self.message.is_none() {
            refuse_memory(&config)?;
        }
        let stores = Stores::connect_once(&config).await?;
        let reader = user(&config, "READER", &self.reader)?;
        let peer = user(&config, "PEER", &self.peer)?;
        let (reader, peer) = (reader.accid(), peer.accid());
        if let Some(id) = &self.message {
            let id = id.parse().ok().and_then(ServerId::new).ok_or_else(|| {
                ConfigError(format!("--message: `{id}` is not a msgidServer, a number from 1 to 2^63-1"))
            })?;
            say(sentence(standing(&*stores.upkeep, reader, peer, id).await?))?;
            return Ok(true);
        }
        let found = explain(&*stores.log, &*stores.upkeep, &*stores.view, reader, peer).await?;
        tell(reader, peer, &found)?;
        Ok(found.answered.is_none() || found.missing() + found.surplus() == 0)
    }
}

fn sentence(standing: Standing) -> &'static str {
    match standing {
        Standing::Unknown => "the log does not have this message",
        Standing::AnotherPair => "the log has this message, but of another pair",
        Standing::Unread => "it counts: it is not read",
        Standing::Read => "it does not count: it is read",
        Standing::Recalled => "it does not count: its sender took it back",
        Standing::Withheld => "it does not count: a review or a blacklist withheld it",
        Standing::ToOneself => "it does not count: it is a note to oneself",
        Standing::Ignored(Ignored::Type) => {
            "it does not count: unread.ignore_types named its msgType when it came"
        }
        Standing::Ignored(Ignored::Sender) => {
            "it does not count: unread.ignore_senders named its sender when it came"
        }
    }
}

fn tell(reader: &Accid, peer: &Accid, found: &Explanation) -> Result<(), StartError> {
    let time = |at: Option<Millis>| at.map_or("never".to_owned(), |at| at.to_string());
    let answer = found.answered.map_or("not known: the next poll loads it".into(), |count| count.to_string());
    let in_log = found.messages.iter().filter(|m| m.in_log).count();
    let (log_mark, view_mark) = (time(found.log_mark), time(found.view_mark));
    say(format_args!("messages from {peer} that {reader} has not read; times in milliseconds since 1970"))?;
    say(format_args!("a poll is answered   {answer}"))?;
    say(format_args!("the log counts       {in_log}"))?;
    say(format_args!("read up to           {log_mark} (log), {view_mark} (view)"))?;
    say(format_args!("loaded last          {}", time(found.loaded_at)))?;
    for entry in &found.messages {
        let held = match (entry.in_log, entry.in_view) {
            (true, true) => "log and view",
            (true, false) => "log only",
            _ if entry.unknown => "view only, unknown to the log",
            _ => "view only",
        };
        say(format_args!("  {}  {}  {held}", entry.at, entry.id))?;
    }
    if found.unknown() > 0 {
        say(format_args!(
            "the log knows nothing of {}: it may have been restored from a backup; more than unread.remove_unknown of them \
             stay until `otc-im recount --force`",
            found.unknown()
        ))?;
    }
    say(match (found.answered, found.missing(), found.surplus()) {
        (None, ..) => "the view does not know this reader",
        (_, 0, 0) => "log and view agree",
        (_, _, 0) => "the view is behind: a recount, or the next recheck, adds what it lacks",
        _ => "the view counts what the log does not: a recount, or the next recheck, removes it",
    })
}
