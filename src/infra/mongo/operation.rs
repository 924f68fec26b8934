//! One operation of the driver: run to its end, bounded for those who wait for it, and what its failure means.

use std::io;
use std::time::Duration;

use mongodb::error::{Error, ErrorKind, Result, WriteFailure};

use super::document::STORE;
use crate::ports::StoreError;

/// How long anybody waits for one operation, whatever the network does; the driver itself would wait for ever on a peer
/// that stalls.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(3);
/// Reading one reader whole may take longer: nobody's webhook waits for it.
const LONG_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an operation may go on after those who waited for it were told that it is late. What has not ended by then
/// never will, and costs its connection.
const GRACE: Duration = Duration::from_secs(5);

/// `DuplicateKey`
pub(super) const DUPLICATE_KEY: i32 = 11_000;
/// What a server says of a command that is wrong as it is: `BadValue`, `FailedToParse`, `Unauthorized`, `TypeMismatch`,
/// `CommandNotFound`, `InvalidNamespace`, `DocumentValidationFailure`, `BSONObjectTooLarge`.
const WRONG: [i32; 8] = [2, 9, 13, 14, 59, 73, 121, 10_334];

/// An operation, in a task of its own: the driver wants its futures to come to their end, even if nobody waits for them
/// any more, because the connection of one that is dropped half-way is lost.
pub(super) async fn bounded<T: Send + 'static>(
    operation: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    run(operation, OPERATION_TIMEOUT).await
}

/// The same for one that reads or deletes much.
pub(super) async fn long<T: Send + 'static>(
    operation: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    run(operation, LONG_TIMEOUT).await
}

async fn run<T: Send + 'static>(
    operation: impl Future<Output = Result<T>> + Send + 'static,
    patience: Duration,
) -> Result<T> {
    let task = tokio::spawn(tokio::time::timeout(patience + GRACE, operation));
    match tokio::time::timeout(patience, task).await {
        Ok(Ok(Ok(outcome))) => outcome,
        Ok(Ok(Err(_))) | Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        Ok(Err(ended)) => Err(io::Error::other(ended).into()),
    }
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(refusal)) => Some(refusal.code),
        ErrorKind::Command(refusal) => Some(refusal.code),
        _ => None,
    }
}

/// What a refusal with this code means.
pub(super) fn refusal(
    code: Option<i32>,
    said: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    match code.is_some_and(|code| WRONG.contains(&code)) {
        true => StoreError::refused(STORE, said),
        false => StoreError::unavailable(STORE, said),
    }
}

/// Tells a server that is out of reach from one that refuses, and from a document that was never written.
pub(super) fn store_error(error: Error) -> StoreError {
    match error.get_custom::<StoreError>() {
        Some(odd) => odd.again(),
        None => refusal(code(&error), error),
    }
}
