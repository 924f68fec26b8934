//! `otc-im recount`: compares the unread view with the log and puts the view right.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use futures_util::TryStreamExt;

use super::output::{complain, say};
use super::{ConfigFile, accid, refuse_memory, user};
use crate::app::{StartError, Stores};
use crate::commands::projector::{LoadBounds, Projector};
use crate::commands::recount::{Recounted, Recounter};
use crate::domain::ids::Accid;
use crate::infra::clock::System;

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// `otc-im recount`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["reader", "all"])))]
pub struct Recount {
    #[command(flatten)]
    file: ConfigFile,
    /// Recount one reader
    #[arg(long, value_name = "USER")]
    reader: Option<String>,
    /// Recount every reader whom the view knows
    #[arg(long)]
    all: bool,
    /// With --all: go on after this accid, the last one that was shown
    #[arg(long, value_name = "ACCID", requires = "all")]
    after: Option<String>,
    /// Remove also what the log knows nothing of, however much it is: more than `unread.remove_unknown`
    #[arg(long)]
    force: bool,
}

impl Recount {
    /// Answers whether every reader could be recounted.
    pub async fn run(self) -> Result<bool, StartError> {
        let config = self.file.load()?;
        refuse_memory(&config)?;
        let stores = Stores::connect_once(&config).await?;
        let remove_unknown = (!self.force).then_some(config.unread.remove_unknown);
        let bounds = LoadBounds { at_once: config.unread.loads_at_once, remove_unknown };
        let view = Arc::clone(&stores.view);
        let projector =
            Projector::new(Arc::clone(&stores.log), view, Arc::new(System), Arc::new(System), bounds);
        let recounter = Recounter { projector, log: stores.log, upkeep: stores.upkeep, view: stores.view };
        match self.reader {
            Some(reader) => {
                let reader = user(&config, "READER", &reader)?.accid().clone();
                let Some(done) = recounter.reader(reader.clone()).await? else { return nobody(&reader) };
                say(line(&done))?;
                Ok(done.known)
            }
            None => recount_all(recounter, self.after.as_deref()).await,
        }
    }
}

/// Says that nobody is there, perhaps because the id is mistyped.
fn nobody(reader: &Accid) -> Result<bool, StartError> {
    say(format_args!("{reader}: the log knows nobody of that name: no unread message, and nothing read"))?;
    Ok(false)
}

async fn recount_all(recounter: Recounter, after: Option<&str>) -> Result<bool, StartError> {
    let after = after.map(|after| accid("--after", after)).transpose()?;
    let total = recounter.upkeep.count_readers(after.as_ref()).await?;
    let (began, mut shown) = (Instant::now(), Instant::now());
    let (mut readers, mut drifted) = (0_u64, 0_u64);
    let mut last = after.clone();
    let mut done = pin!(recounter.all(after));
    loop {
        let next = done.try_next().await.map_err(|error| {
            let resume = last.as_ref().map(|last| format!("; go on with --after {last}")).unwrap_or_default();
            StartError::Store(format!("{}{resume}", StartError::from(error)))
        })?;
        let Some(recounted) = next else { break };
        readers += 1;
        let drift = recounted.added + recounted.removed > 0;
        drifted += u64::from(drift);
        if drift || recounted.kept_unknown > 0 {
            say(line(&recounted))?;
        }
        if shown.elapsed() >= PROGRESS_EVERY {
            shown = Instant::now();
            complain(progress(readers, total, began.elapsed(), &recounted.reader));
        }
        last = Some(recounted.reader);
    }
    say(format_args!("readers: {readers}; had drifted, and are right now: {drifted}"))?;
    Ok(true)
}

fn progress(readers: u64, total: u64, elapsed: Duration, last: &Accid) -> String {
    let total = total.max(readers);
    let left = elapsed.as_secs() * (total - readers) / readers.max(1);
    format!("{readers} of {total} readers, about {left} s left; the last one was {last}")
}

fn line(done: &Recounted) -> String {
    let Recounted { reader, added, removed, kept_unknown, known } = done;
    match known {
        true if *kept_unknown > 0 => format!(
            "{reader}: {added} added, {removed} removed; {kept_unknown} kept that the log knows nothing of: if the log is \
             right, run this again with --force"
        ),
        true => format!("{reader}: {added} added, {removed} removed"),
        false => format!("{reader}: the view was lost or changed hands; run this again"),
    }
}
