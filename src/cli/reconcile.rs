//! `otc-im reconcile`: fills the message log from NetEase's history.

use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use super::output::{complain, say};
use super::{ConfigFile, accid, stop_signal, user};
use crate::app::{ReconcileTools, StartError};
use crate::commands::reconcile::{Mode, PairsRead, ReconcileError, Reconciled, Window};
use crate::config::ConfigError;
use crate::domain::ids::{Accid, Millis};
use crate::infra::clock::System;
use crate::ports::accounts::Registration;
use crate::ports::clock::Clock;

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Accounts that are looked up at once.
const ACCOUNTS: u32 = 200;

/// `otc-im reconcile`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["user", "all"])))]
pub struct Reconcile {
    #[command(flatten)]
    file: ConfigFile,
    /// When the time begins of which copies may be missing: such as 2026-05-01T08:00:00+08:00, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Millis,
    /// When it ends; now, if not given
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Millis>,
    /// The conversations of one user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The conversations of everybody who has an account
    #[arg(long)]
    all: bool,
    /// With --all: go on after this accid, the last one that was shown
    #[arg(long, value_name = "ACCID", requires = "all")]
    after: Option<String>,
    /// Store nothing; tell what would be added
    #[arg(long)]
    dry_run: bool,
}

impl Reconcile {
    /// Answers whether everybody's conversations were read.
    pub async fn run(self) -> Result<bool, StartError> {
        let config = self.file.load()?;
        let window = Window { from: self.from, to: self.to.unwrap_or_else(|| System.now()) };
        if window.from >= window.to {
            return Err(ConfigError("--from must be earlier than --to, and than now".into()).into());
        }
        let one = self.user.map(|written| user(&config, "--user", &written)).transpose()?;
        let after = self.after.map(|after| accid("--after", &after)).transpose()?;
        let tools = ReconcileTools::connect(&config).await?;
        if config.unread.url.starts_with("memory:") && !self.dry_run {
            complain(
                "unread.url is memory:, inside the running service: it counts what is added here from each reader's next \
                 recheck on (unread.recheck_after)",
            );
        }
        let mode = if self.dry_run { Mode::DryRun } else { Mode::Store };
        let mut run = Run { tools, window, mode, read: PairsRead::default() };
        match one {
            Some(user) => {
                let found = run.user(user.accid()).await?;
                say(run.line(user.accid(), &found))?;
                Ok(found.refused == 0)
            }
            None => run.all(after).await,
        }
    }
}

struct Run {
    tools: ReconcileTools,
    window: Window,
    mode: Mode,
    read: PairsRead,
}

impl Run {
    async fn user(&mut self, user: &Accid) -> Result<Reconciled, StartError> {
        let found = self.tools.reconciler.user(user, self.window, self.mode, &mut self.read).await;
        found.map_err(|error| match error {
            ReconcileError::Store(error) => error.into(),
            other => StartError::Store(other.to_string()),
        })
    }

    /// Everybody after `after`, in the order of accids, until it is done or stopped.
    async fn all(&mut self, mut after: Option<Accid>) -> Result<bool, StartError> {
        let stop = stop_signal()?;
        let mut progress = Progress::of(self.tools.accounts.count(after.as_ref()).await?);
        loop {
            let accounts = self.tools.accounts.page(after.as_ref(), ACCOUNTS).await?;
            if accounts.is_empty() {
                break;
            }
            for account in accounts {
                // NetEase has no history of whom it does not know yet.
                if account.registration == Registration::Unconfirmed {
                    after = Some(account.accid);
                    continue;
                }
                let Some(found) = self.unless_stopped(&stop, &account.accid, after.as_ref()).await? else {
                    return Ok(false);
                };
                if found.added + found.conflicting + found.refused + found.not_in_history > 0 {
                    say(self.line(&account.accid, &found))?;
                }
                progress.done(&account.accid, found);
                after = Some(account.accid);
            }
        }
        let Progress { users, all, .. } = progress;
        say(format_args!("users: {users}; {}", self.words(&all)))?;
        Ok(all.refused == 0)
    }

    /// `None` if it was stopped; what was stored until then is found again.
    async fn unless_stopped(
        &mut self,
        stop: &CancellationToken,
        user: &Accid,
        after: Option<&Accid>,
    ) -> Result<Option<Reconciled>, StartError> {
        let resume = || after.map(|last| format!("; go on with --after {last}")).unwrap_or_default();
        match stop.run_until_cancelled(self.user(user)).await {
            Some(Ok(found)) => Ok(Some(found)),
            Some(Err(error)) => Err(StartError::Store(format!("{user}: {error}{}", resume()))),
            None => {
                complain(format_args!("stopped{}", resume()));
                Ok(None)
            }
        }
    }

    fn line(&self, user: &Accid, found: &Reconciled) -> String {
        format!("{user}: {}", self.words(found))
    }

    fn words(&self, found: &Reconciled) -> String {
        let Reconciled { pairs, seen, added, conflicting, unreadable, refused, not_in_history } = found;
        let verb = if self.mode == Mode::DryRun { "missing" } else { "added" };
        let all = format!("{added} {verb}, of {seen} messages in {pairs} conversations");
        let odd = [
            (conflicting, "are stored with another sender, recipient or time"),
            (unreadable, "could not be understood"),
            (refused, "histories that NetEase refuses to show: the log says why"),
            (not_in_history, "count as unread here and are not in NetEase's history"),
        ];
        let odd = odd.into_iter().filter(|(count, _)| **count > 0);
        odd.fold(all, |words, (count, what)| format!("{words}; {count} {what}"))
    }
}

/// How far `--all` has come.
struct Progress {
    total: u64,
    users: u64,
    all: Reconciled,
    began: Instant,
    shown: Instant,
}

impl Progress {
    fn of(total: u64) -> Self {
        let now = Instant::now();
        Self { total, users: 0, all: Reconciled::default(), began: now, shown: now }
    }

    fn done(&mut self, last: &Accid, found: Reconciled) {
        self.users += 1;
        self.all = self.all.and(found);
        if self.shown.elapsed() >= PROGRESS_EVERY {
            self.shown = Instant::now();
            let (users, total, added) = (self.users, self.total.max(self.users), self.all.added);
            let left = self.began.elapsed().as_secs() * (total - users) / users;
            let end = System.now().0 / 1_000 + i64::try_from(left).unwrap_or_default();
            let end = OffsetDateTime::from_unix_timestamp(end).ok().and_then(|end| end.format(&Rfc3339).ok());
            complain(format_args!(
                "{users} of {total} users, {added} messages so far; done at about {}; the last one was {last}",
                end.unwrap_or_default()
            ));
        }
    }
}

/// A time on the command line.
fn moment(written: &str) -> Result<Millis, String> {
    if let Ok(ms) = written.parse() {
        return Ok(Millis(ms));
    }
    let moment = OffsetDateTime::parse(written, &Rfc3339).map_err(|_| {
        "is no time: write it such as 2026-05-01T08:00:00+08:00, or as milliseconds since 1970".to_owned()
    })?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000)
        .map(Millis)
        .map_err(|_| "lies too far away".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_its_zone_or_in_milliseconds() {
        assert_eq!(moment("1700000000123"), Ok(Millis(1_700_000_000_123)));
        assert_eq!(moment("2023-11-15T06:13:20+08:00"), Ok(Millis(1_700_000_000_000)));
        assert_eq!(moment("2023-11-14T22:13:20.5Z"), Ok(Millis(1_700_000_000_500)));
        for odd in ["yesterday", "2023-11-14", "2023-11-14T22:13:20"] {
            assert!(moment(odd).unwrap_err().contains("milliseconds"), "{odd}");
        }
    }
}
