//! `otc-im check`: one line for each step, and the first failure once more as the last word.

use clap::Args;

use super::ConfigFile;
use super::output::say;
use crate::app::{App, StartError, Step};

/// `otc-im check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    file: ConfigFile,
    /// Ask nobody but the site's own stores: neither NetEase nor the issuer's key set
    #[arg(long)]
    offline: bool,
}

impl Check {
    /// Whether all is well.
    pub async fn run(self) -> Result<bool, StartError> {
        let mut failure = None;
        for step in App::check(&self.file.load()?, self.offline).await? {
            match step {
                Step::Fine(what) => say(format_args!("ok      {what}"))?,
                Step::Note(what) => say(format_args!("note    {what}"))?,
                Step::Failed(error) => {
                    say(format_args!("FAILED  {error}"))?;
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(true), Err)
    }
}
