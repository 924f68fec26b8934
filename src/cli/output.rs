//! What a command prints. `println!` would panic where nobody reads any more, as in `otc-im explain … | head`.

use std::fmt::Display;
use std::io::{self, Write};

use crate::app::StartError;

/// A line on standard output. Once nobody reads it the command ends, without a word.
pub fn say(line: impl Display) -> Result<(), StartError> {
    writeln!(io::stdout(), "{line}").map_err(StartError::Output)
}

/// A line on standard error. If that cannot be written there is nobody to tell.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
