//! Compares account rows with NetEase, page by page, and repairs what has drifted apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::register_account::{RegisterError, Registrar};
use crate::domain::ids::Accid;
use crate::ports::StoreError;
use crate::ports::accounts::{Account, Accounts, Registration};
use crate::ports::gateway::{Gateway, GatewayError};

/// Accounts that NetEase is asked about at once.
const PAGE: u32 = 200;

/// What verifying needs.
pub struct AccountVerifier {
    /// The rows.
    pub accounts: Arc<dyn Accounts>,
    /// NetEase, for work that nobody waits for.
    pub gateway: Arc<dyn Gateway>,
    /// Makes accounts again.
    pub registrar: Arc<Registrar>,
    /// Whether our token is set anew for every account that is confirmed: NetEase does not tell which one it has.
    pub set_tokens: bool,
}

/// What was found about one account.
#[derive(Debug)]
pub struct Verified {
    /// Which.
    pub accid: Accid,
    /// How it stood.
    pub drift: Drift,
    /// Whether it is right now, and whether its token was set anew for that.
    pub repaired: Result<TokenSet, RegisterError>,
}

/// Whether NetEase was told a token that it may have had already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenSet(pub bool);

/// How a row and NetEase differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// Not at all.
    None,
    /// NetEase has it under a token that is not ours: nothing is to be done until its user binds.
    Foreign,
    /// The row does not say that NetEase has it: a registration was cut short.
    Unfinished,
    /// The row says that NetEase has it, and NetEase does not know it.
    Missing,
    /// NetEase shows another name.
    Name,
}

/// Why a page could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Our own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// NetEase did not say whom it knows.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

impl AccountVerifier {
    /// The next page after `after`, in the order of accids; empty at the end. What comes out last is where to go on.
    pub async fn page(&self, after: Option<&Accid>) -> Result<Vec<Verified>, VerifyError> {
        let accounts = self.accounts.page(after, PAGE).await?;
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let accids: Vec<Accid> = accounts.iter().map(|account| account.accid.clone()).collect();
        let names = self.gateway.names(&accids).await?;
        let mut verified = Vec::with_capacity(accounts.len());
        for account in accounts {
            let drift = drift(&account, &names);
            let repaired = self.repair(&account, drift).await;
            verified.push(Verified { accid: account.accid, drift, repaired });
        }
        Ok(verified)
    }

    async fn repair(&self, account: &Account, drift: Drift) -> Result<TokenSet, RegisterError> {
        let Account { accid, token, name, .. } = account;
        match drift {
            Drift::Missing => {
                self.accounts.forget_confirmation(accid).await?;
                self.registrar.ensure(&account.user, None).await?;
            }
            Drift::Unfinished => {
                self.registrar.ensure(&account.user, None).await?;
            }
            Drift::Name => {
                if let Some(name) = name {
                    self.gateway.set_name(accid, name).await?;
                    self.accounts.confirm(accid, token, Some(name)).await?;
                }
            }
            Drift::None | Drift::Foreign => {}
        }
        // A registration has just set it.
        let set = self.set_tokens && matches!(drift, Drift::None | Drift::Name);
        Ok(TokenSet(set && self.registrar.set_token_again(&account.user).await?))
    }
}

fn drift(account: &Account, names: &BTreeMap<Accid, String>) -> Drift {
    match names.get(&account.accid) {
        _ if account.registration == Registration::Unconfirmed => Drift::Unfinished,
        None => Drift::Missing,
        Some(_) if account.registration == Registration::ForeignToken => Drift::Foreign,
        Some(shown) if account.name.as_ref().is_some_and(|name| name != shown) => Drift::Name,
        Some(_) => Drift::None,
    }
}
