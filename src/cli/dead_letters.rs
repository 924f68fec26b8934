//! `otc-im dead-letters`: what NetEase signed and nobody understood.

use std::sync::Arc;

use clap::{Args, Subcommand};

use super::ConfigFile;
use super::output::{complain, say};
use crate::app::{self, StartError, Stores};
use crate::commands::receive_copy::CopyReceiver;
use crate::commands::redrive::{Redriven, redrive};
use crate::ports::dead_letters::DeadLetter;

/// Dead letters that are read at once.
const PAGE: u32 = 100;

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
    /// Remove one that will never be understood
    Remove {
        /// Its id
        id: String,
    },
}

impl DeadLetters {
    /// Answers whether everything asked for was done.
    pub async fn run(self) -> Result<bool, StartError> {
        let config = self.file.load()?;
        let receiver = app::receiver(&config, &Stores::connect_once(&config).await?, Arc::default())?;
        match self.action {
            Action::List => list(&receiver).await,
            Action::Show { id } => show(&receiver, &id).await,
            Action::Redrive { id: Some(id), .. } => redrive_one(&receiver, &id).await,
            Action::Redrive { id: None, .. } => redrive_all(&receiver).await,
            Action::Remove { id } => remove(&receiver, &id).await,
        }
    }
}

async fn list(receiver: &CopyReceiver) -> Result<bool, StartError> {
    say(format_args!("{} dead letters", receiver.dead_letters.count().await?))?;
    let mut after = None;
    loop {
        let page = receiver.dead_letters.list(after.as_deref(), PAGE).await?;
        for letter in &page {
            say(format_args!("{}  {}  {}", letter.id, letter.received_at, letter.reason))?;
        }
        match page.last() {
            Some(last) => after = Some(last.id.clone()),
            None => return Ok(true),
        }
    }
}

async fn show(receiver: &CopyReceiver, id: &str) -> Result<bool, StartError> {
    let Some(letter) = receiver.dead_letters.find(id).await? else { return Ok(unknown(id)) };
    let DeadLetter { received_at, reason, raw, .. } = letter;
    say(format_args!("came at {received_at} ms since 1970: {reason}\n{raw}"))?;
    Ok(true)
}

async fn redrive_one(receiver: &CopyReceiver, id: &str) -> Result<bool, StartError> {
    Ok(match redrive(receiver, id).await? {
        Redriven::Done => {
            say(format_args!("{id}  taken in"))?;
            true
        }
        Redriven::StillDead => {
            say(format_args!("{id}  still cannot be understood"))?;
            false
        }
        Redriven::Unknown => unknown(id),
    })
}

async fn redrive_all(receiver: &CopyReceiver) -> Result<bool, StartError> {
    let (mut all, mut after) = (true, None);
    loop {
        let page = receiver.dead_letters.list(after.as_deref(), PAGE).await?;
        for letter in &page {
            all &= redrive_one(receiver, &letter.id).await?;
        }
        match page.last() {
            Some(last) => after = Some(last.id.clone()),
            None => return Ok(all),
        }
    }
}

async fn remove(receiver: &CopyReceiver, id: &str) -> Result<bool, StartError> {
    if receiver.dead_letters.find(id).await?.is_none() {
        return Ok(unknown(id));
    }
    receiver.dead_letters.remove(id).await?;
    say(format_args!("{id}  removed"))?;
    Ok(true)
}

fn unknown(id: &str) -> bool {
    complain(format_args!("otc-im: there is no dead letter {id}; `otc-im dead-letters list` names them all"));
    false
}
