//! The account in whose name a call is made.

use super::params::Answer;
use crate::world::World;
use crate::world::accounts::Account;

/// The account that acts: 414 if the field names nobody, 422 if it is blocked (user/block).
pub fn actor<'a>(world: &'a World, field: &str, accid: &str) -> Result<&'a Account, Answer> {
    let account = world.accounts.get(accid).ok_or_else(|| Answer::unknown(field))?;
    if account.blocked {
        return Err(Answer::refused(422, &format!("{field} is blocked")));
    }
    Ok(account)
}
