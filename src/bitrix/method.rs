//! The shape of a REST method: its name, its parameters and what its answer says. Pure, so that whoever
//! refreshes tokens and governs rates can carry any of them.

use serde_json::Value;

use super::client::Answer;
use super::error::CallError;

/// One call of a REST method.
pub trait Method {
    /// Name on the wire.
    const NAME: &'static str;
    /// What a good answer says.
    type Output;

    /// The call's parameters, without a token.
    fn params(&self) -> Value;

    /// Reads `result`, also of a call that travelled in a batch. HTTP 200 is not success (facts §11.8).
    fn read(&self, result: &Value) -> Result<Self::Output, CallError>;

    /// Reads the outcome of the call: as [`Method::read`], and where an error is as good as success
    /// (already there, say) it says so.
    fn settle(&self, outcome: Result<Answer, CallError>) -> Result<Self::Output, CallError> {
        outcome.and_then(|answer| self.read(&answer.result))
    }
}
