//! What both server APIs make their calls with.

use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, refused};
use super::call::Call;
use super::quota::Urgency;
use super::transport::Transport;
use crate::ports::gateway::{BeforeSend, GatewayError};

/// The way to NetEase for calls of one urgency.
#[derive(Clone)]
pub(super) struct Caller {
    /// Shared with the other urgency: connections, breakers and quotas are of the process.
    pub transport: Arc<Transport>,
    /// Whether somebody waits for the answers.
    pub urgency: Urgency,
}

impl Caller {
    /// The final answer to a call, whatever its code.
    pub async fn call(&self, call: &Call) -> Result<Answer, GatewayError> {
        self.transport.call(call, self.urgency, None).await
    }

    /// The answer to a call whose only good code is 200.
    pub async fn succeed(&self, call: &Call) -> Result<Answer, GatewayError> {
        good(call, self.call(call).await?)
    }

    /// The same of a call that must happen once.
    pub async fn succeed_once(&self, call: &Call, before: &dyn BeforeSend) -> Result<Answer, GatewayError> {
        good(call, self.transport.call(call, self.urgency, Some(before)).await?)
    }

    /// How long calls will be refused without being sent.
    pub fn circuit_open_for(&self) -> Option<Duration> {
        self.transport.circuit_open_for()
    }
}

fn good(call: &Call, answer: Answer) -> Result<Answer, GatewayError> {
    if answer.code == 200 { Ok(answer) } else { Err(refused(call, &answer)) }
}
