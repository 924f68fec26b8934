//! `otc-im accounts`: tokens and accounts at NetEase, looked after by hand.

use std::time::Instant;

use clap::{Args, Subcommand};

use super::output::{complain, say};
use super::{ConfigFile, accid};
use crate::app::{AccountTools, StartError};
use crate::commands::refresh_token::refresh_token;
use crate::commands::register_account::RegisterError;
use crate::commands::verify_accounts::{Drift, Verified, VerifyError};
use crate::config::ConfigError;
use crate::domain::ids::{Accid, UserId};

/// `otc-im accounts`
#[derive(Debug, Args)]
pub struct Accounts {
    #[command(flatten)]
    file: ConfigFile,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give a user a new token, at NetEase and here; clients that log in with the old one are refused from then on
    Refresh {
        /// As the site writes it
        user: String,
    },
    /// Compare all accounts with NetEase, 200 at a time, and repair what has drifted
    Verify {
        /// Go on after this accid, the last one that an interrupted run named
        #[arg(long, value_name = "ACCID")]
        after: Option<String>,
        /// Also set every token anew: NetEase does not tell which one it has. One call for each account
        #[arg(long)]
        set_tokens: bool,
    },
}

impl Accounts {
    /// Answers whether everything is right now.
    pub async fn run(self) -> Result<bool, StartError> {
        let config = self.file.load()?;
        match self.action {
            Action::Refresh { user } => {
                let user = UserId::parse(&user).map_err(|rule| ConfigError(format!("USER {rule}")))?;
                refresh(&AccountTools::connect(&config, false).await?, &user).await
            }
            Action::Verify { after, set_tokens } => {
                let after = after.map(|after| accid("--after", &after)).transpose()?;
                verify(&AccountTools::connect(&config, set_tokens).await?, after).await
            }
        }
    }
}

async fn refresh(tools: &AccountTools, user: &UserId) -> Result<bool, StartError> {
    let AccountTools { verifier, ids } = tools;
    match refresh_token(&*verifier.accounts, &verifier.registrar, &**ids, user).await {
        Ok(Some(account)) => {
            say(format_args!("{}  has a new token; it comes with the next bind", account.accid))?;
            Ok(true)
        }
        Ok(None) => {
            say(format_args!("{}  has no account yet; the first bind makes one", user.accid()))?;
            Ok(false)
        }
        Err(error) => Err(refused(error)),
    }
}

async fn verify(tools: &AccountTools, mut after: Option<Accid>) -> Result<bool, StartError> {
    let began = Instant::now();
    let (mut seen, mut drifted, mut broken) = (0_u64, 0_u64, 0_u64);
    loop {
        let page = tools.verifier.page(after.as_ref()).await.map_err(|error| match error {
            VerifyError::Store(error) => error.into(),
            VerifyError::Gateway(error) => StartError::Store(error.to_string()),
        })?;
        let Some(last) = page.last() else { break };
        after = Some(last.accid.clone());
        for one in &page {
            seen += 1;
            drifted += u64::from(one.drift != Drift::None);
            broken += u64::from(one.repaired.is_err());
            tell(one)?;
        }
        complain(format_args!("{seen} accounts in {} s, up to {}", began.elapsed().as_secs(), last.accid));
    }
    say(format_args!("{seen} accounts: {drifted} had drifted, {broken} of all could not be put right"))?;
    Ok(broken == 0)
}

fn tell(one: &Verified) -> Result<(), StartError> {
    let drift = match one.drift {
        Drift::None if one.repaired.is_ok() => return Ok(()),
        Drift::None => "its token could not be set",
        Drift::Unfinished => "its registration was cut short",
        Drift::Missing => "NetEase does not know it",
        Drift::Name => "NetEase shows another name",
    };
    match &one.repaired {
        Ok(()) => say(format_args!("{}  {drift}: put right", one.accid)),
        Err(error) => say(format_args!("{}  {drift}: {error}", one.accid)),
    }
}

fn refused(error: RegisterError) -> StartError {
    match error {
        RegisterError::Store(error) => error.into(),
        other => StartError::Store(other.to_string()),
    }
}
