//! `otc-im accounts`: tokens and accounts at NetEase, looked after by hand.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::output::{complain, say};
use super::{ConfigFile, accid, user};
use crate::app::{AccountTools, StartError};
use crate::commands::refresh_token::refresh_token;
use crate::commands::register_account::RegisterError;
use crate::commands::verify_accounts::{Drift, TokenSet, Verified, VerifyError};
use crate::domain::ids::{Accid, UserId};
use crate::ports::accounts::{Account, Registration};

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
    /// What is known of a user's account, but for its token
    Show {
        /// As the site writes it
        user: String,
    },
    /// Forget a user's account and its friendships here, not at NetEase: the user's next bind makes it, or takes it over
    Release {
        /// As the site writes it
        user: String,
    },
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
        /// Also set every token of ours anew: NetEase does not tell which one it has. One call for each account
        #[arg(long)]
        set_tokens: bool,
    },
}

impl Accounts {
    /// Answers whether everything is right now.
    pub async fn run(self) -> Result<bool, StartError> {
        let config = self.file.load()?;
        match self.action {
            Action::Show { user: written } => {
                let user = user(&config, "USER", &written)?;
                show(&AccountTools::connect(&config, false).await?, &user).await
            }
            Action::Release { user: written } => {
                let user = user(&config, "USER", &written)?;
                release(&AccountTools::connect(&config, false).await?, &user).await
            }
            Action::Refresh { user: written } => {
                let user = user(&config, "USER", &written)?;
                let cache_ttl = config.accounts.cache_ttl;
                refresh(&AccountTools::connect(&config, false).await?, &user, cache_ttl).await
            }
            Action::Verify { after, set_tokens } => {
                let after = after.map(|after| accid("--after", &after)).transpose()?;
                verify(&AccountTools::connect(&config, set_tokens).await?, after).await
            }
        }
    }
}

async fn show(tools: &AccountTools, user: &UserId) -> Result<bool, StartError> {
    let Some(account) = tools.verifier.accounts.find(user.accid()).await? else { return nobody(user) };
    let Account { accid, user: owner, name, registration, confirmed_name, .. } = account;
    let or_none = |name: Option<String>| name.unwrap_or_else(|| "none".to_owned());
    let at_netease = match registration {
        Registration::Confirmed => "this account, with the token that is kept here",
        Registration::ForeignToken => {
            "this account, with a token that is not ours: its user's next bind sets ours"
        }
        Registration::Unconfirmed => "not confirmed this account yet: the next bind asks again",
    };
    say(format_args!("accid           {accid}"))?;
    say(format_args!("user            {}", owner.as_str()))?;
    say(format_args!("name            {}", or_none(name)))?;
    say(format_args!("name at NetEase {}", or_none(confirmed_name)))?;
    say(format_args!("NetEase has     {at_netease}"))?;
    if owner != *user {
        say("it is kept for a user id in another letter case: `otc-im accounts release` frees it")?;
    }
    Ok(true)
}

async fn release(tools: &AccountTools, user: &UserId) -> Result<bool, StartError> {
    let (accounts, accid) = (&tools.verifier.accounts, user.accid());
    let Some(account) = accounts.find(accid).await? else { return nobody(user) };
    if !accounts.release(accid).await? {
        return nobody(user);
    }
    say(format_args!(
        "{accid}  is released: the account of {} and its friendships are forgotten here, and NetEase keeps them; the next \
         bind of its user takes it over with a new token",
        account.user.as_str()
    ))?;
    Ok(true)
}

/// Says that nobody is there, perhaps because the id is mistyped.
fn nobody(user: &UserId) -> Result<bool, StartError> {
    say(format_args!("{}  has no account yet: nobody has bound or named {}", user.accid(), user.as_str()))?;
    Ok(false)
}

async fn refresh(tools: &AccountTools, user: &UserId, cache_ttl: Duration) -> Result<bool, StartError> {
    let AccountTools { verifier, ids } = tools;
    match refresh_token(&*verifier.accounts, &verifier.registrar, &**ids, user).await {
        Ok(Some(account)) => {
            say(format_args!(
                "{}  has a new token; it comes with the next bind: instances may hand out the old one, which NetEase refuses, \
                 for another {cache_ttl:?} (accounts.cache_ttl)",
                account.accid
            ))?;
            Ok(true)
        }
        Ok(None) => nobody(user),
        Err(error) => Err(refused(error)),
    }
}

async fn verify(tools: &AccountTools, mut after: Option<Accid>) -> Result<bool, StartError> {
    let began = Instant::now();
    let (mut seen, mut drifted, mut broken, mut foreign, mut set) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    loop {
        let page = tools.verifier.page(after.as_ref()).await.map_err(|error| match error {
            VerifyError::Store(error) => error.into(),
            VerifyError::Gateway(error) => StartError::Store(error.to_string()),
        })?;
        let Some(last) = page.last() else { break };
        after = Some(last.accid.clone());
        for one in &page {
            seen += 1;
            drifted += u64::from(!matches!(one.drift, Drift::None | Drift::Foreign));
            foreign += u64::from(one.drift == Drift::Foreign);
            broken += u64::from(one.repaired.is_err());
            set += u64::from(one.repaired.as_ref().is_ok_and(|token| *token == TokenSet(true)));
            tell(one)?;
        }
        complain(format_args!("{seen} accounts in {} s, up to {}", began.elapsed().as_secs(), last.accid));
    }
    let set = match tools.verifier.set_tokens {
        true => format!("; tokens set: {set}"),
        false => String::new(),
    };
    say(format_args!(
        "{seen} accounts: {drifted} had drifted, {broken} of all could not be put right; {foreign} have a token that is \
         not ours{set}"
    ))?;
    Ok(broken == 0)
}

fn tell(one: &Verified) -> Result<(), StartError> {
    let drift = match one.drift {
        Drift::None if one.repaired.is_ok() => return Ok(()),
        Drift::Foreign => return Ok(()),
        Drift::None => "its token could not be set",
        Drift::Unfinished => "its registration was cut short",
        Drift::Missing => "NetEase does not know it",
        Drift::Name => "NetEase shows another name",
    };
    match &one.repaired {
        Ok(_) => say(format_args!("{}  {drift}: put right", one.accid)),
        Err(error) => say(format_args!("{}  {drift}: {error}", one.accid)),
    }
}

fn refused(error: RegisterError) -> StartError {
    match error {
        RegisterError::Store(error) => error.into(),
        other => StartError::Store(other.to_string()),
    }
}
