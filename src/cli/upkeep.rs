//! `otc-im recount`, `explain` and `dead-letters`: looking after the counts.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use futures_util::TryStreamExt;

use super::ConfigFile;
use crate::app::{StartError, Stores};
use crate::commands::receive_copy::Inbox;
use crate::commands::recount::{Recounted, Recounter};
use crate::commands::redrive::{Redriven, redrive};
use crate::config::{Config, ConfigError};
use crate::domain::ids::{Accid, Millis, UserId};
use crate::infra::clock::System;
use crate::ports::StoreError;
use crate::queries::explain::{Explanation, explain};

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Dead letters that are read at once.
const PAGE: u32 = 100;

/// `otc-im recount`
#[derive(Debug, Args)]
pub struct Recount {
    #[command(flatten)]
    file: ConfigFile,
    /// Recount one reader
    #[arg(long, value_name = "USER", required_unless_present = "all", conflicts_with = "all")]
    reader: Option<String>,
    /// Recount every reader whom the view knows
    #[arg(long)]
    all: bool,
    /// With --all: go on after this accid, the last one that was shown
    #[arg(long, value_name = "ACCID", requires = "all")]
    after: Option<String>,
}

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

/// `otc-im dead-letters`
#[derive(Debug, Args)]
pub struct DeadLetters {
    #[command(flatten)]
    file: ConfigFile,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// One line for each
    List,
    /// One of them, whole
    Show {
        /// Its id
        id: String,
    },
    /// Take one in again, or all of them
    Redrive {
        /// Its id
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Every one
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

fn failed(error: &StoreError) -> StartError {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    StartError::Store(format!("{error}{source}"))
}

fn accid(argument: &str, user: &str) -> Result<Accid, StartError> {
    let user = UserId::parse(user).map_err(|rule| ConfigError(format!("{argument} {rule}")))?;
    Ok(user.accid())
}

impl Recount {
    /// Answers whether every reader could be recounted.
    pub async fn run(self) -> Result<bool, StartError> {
        let config = self.file.load()?;
        if config.unread.url.starts_with("memory:") {
            let why =
                "unread.url is memory:, and that view lives inside the running service: restart it instead";
            return Err(ConfigError(why.into()).into());
        }
        let stores = Stores::connect(&config).await?;
        let recounter = Recounter {
            log: stores.log,
            upkeep: stores.upkeep,
            view: stores.view,
            clock: Arc::new(System),
            ids: Arc::new(System),
        };
        match self.reader {
            Some(user) => {
                let done = recounter.reader(accid("READER", &user)?).await.map_err(|e| failed(&e))?;
                println!("{}", line(&done));
                Ok(done.known)
            }
            None => recount_all(recounter, self.after.as_deref()).await,
        }
    }
}

async fn recount_all(recounter: Recounter, after: Option<&str>) -> Result<bool, StartError> {
    let after =
        after.map(Accid::from_nim).transpose().map_err(|rule| ConfigError(format!("--after {rule}")))?;
    let total = recounter.upkeep.count_readers(after.as_ref()).await.map_err(|e| failed(&e))?;
    let (began, mut shown) = (Instant::now(), Instant::now());
    let (mut readers, mut drifted) = (0_u64, 0_u64);
    let mut last = after.clone();
    let mut done = pin!(recounter.all(after));
    loop {
        let next = done.try_next().await.map_err(|error| {
            let resume = last.as_ref().map(|last| format!("; go on with --after {last}")).unwrap_or_default();
            StartError::Store(format!("{}{resume}", failed(&error)))
        })?;
        let Some(recounted) = next else { break };
        readers += 1;
        if recounted.added + recounted.removed > 0 {
            drifted += 1;
            println!("{}", line(&recounted));
        }
        if shown.elapsed() >= PROGRESS_EVERY {
            shown = Instant::now();
            eprintln!("{}", progress(readers, total, began.elapsed(), &recounted.reader));
        }
        last = Some(recounted.reader);
    }
    println!("{readers} readers, {drifted} of them had drifted and are right now");
    Ok(true)
}

fn progress(readers: u64, total: u64, elapsed: Duration, last: &Accid) -> String {
    let total = total.max(readers);
    let left = elapsed.as_secs() * (total - readers) / readers.max(1);
    format!("{readers} of {total} readers, about {left} s left; the last one was {last}")
}

fn line(done: &Recounted) -> String {
    let Recounted { reader, added, removed, known } = done;
    match known {
        true => format!("{reader}: {added} added, {removed} removed"),
        false => format!("{reader}: the view changed hands meanwhile; run this again"),
    }
}

impl Explain {
    /// Answers whether log and view agree.
    pub async fn run(self) -> Result<bool, StartError> {
        let stores = Stores::connect(&self.file.load()?).await?;
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

impl DeadLetters {
    /// Answers whether everything asked for was done.
    pub async fn run(self) -> Result<bool, StartError> {
        let config = self.file.load()?;
        let inbox = inbox(&config).await?;
        let outcome = match self.action {
            Action::List => list(&inbox).await,
            Action::Show { id } => show(&inbox, &id).await,
            Action::Redrive { id: Some(id), .. } => redrive_one(&inbox, &id).await,
            Action::Redrive { id: None, .. } => redrive_all(&inbox).await,
        };
        outcome.map_err(|e| failed(&e))
    }
}

async fn inbox(config: &Config) -> Result<Inbox, StartError> {
    let stores = Stores::connect(config).await?;
    Ok(Inbox {
        log: stores.log,
        view: stores.view,
        letters: stores.letters,
        clock: Arc::new(System),
        receipt_allowance_ms: i64::try_from(config.unread.receipt_allowance.as_millis()).unwrap_or(i64::MAX),
    })
}

async fn list(inbox: &Inbox) -> Result<bool, StoreError> {
    println!("{} dead letters", inbox.letters.count().await?);
    let mut after = None;
    loop {
        let page = inbox.letters.list(after.as_deref(), PAGE).await?;
        for letter in &page {
            println!("{}  {}  {}", letter.id, letter.received_at, letter.reason);
        }
        match page.last() {
            Some(last) => after = Some(last.id.clone()),
            None => return Ok(true),
        }
    }
}

async fn show(inbox: &Inbox, id: &str) -> Result<bool, StoreError> {
    let Some(letter) = inbox.letters.find(id).await? else { return Ok(unknown(id)) };
    println!("came at {} ms since 1970: {}\n{}", letter.received_at, letter.reason, letter.raw);
    Ok(true)
}

async fn redrive_one(inbox: &Inbox, id: &str) -> Result<bool, StoreError> {
    Ok(match redrive(inbox, id).await? {
        Redriven::Done => {
            println!("{id}  taken in");
            true
        }
        Redriven::StillDead => {
            println!("{id}  still cannot be understood");
            false
        }
        Redriven::Unknown => unknown(id),
    })
}

async fn redrive_all(inbox: &Inbox) -> Result<bool, StoreError> {
    let (mut all, mut after) = (true, None);
    loop {
        let page = inbox.letters.list(after.as_deref(), PAGE).await?;
        for letter in &page {
            all &= redrive_one(inbox, &letter.id).await?;
        }
        match page.last() {
            Some(last) => after = Some(last.id.clone()),
            None => return Ok(all),
        }
    }
}

fn unknown(id: &str) -> bool {
    // Standard error may be closed; there is nobody left to tell then.
    let _ = writeln!(
        io::stderr(),
        "otc-im: there is no dead letter {id}; `otc-im dead-letters list` names them all"
    );
    false
}
