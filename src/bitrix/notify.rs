//! A notice to a user of the portal: `im.notify.system.add` (bitrix24 facts §8).

use serde_json::{Value, json};

use super::error::CallError;
use super::lenient::int;
use super::method::Method;

/// `im.notify.system.add`; wants the scope `im`.
#[derive(Clone, Debug)]
pub struct NotifySystem<'a> {
    /// The user.
    pub user: &'a str,
    /// BBCode.
    pub message: &'a str,
}

impl Method for NotifySystem<'_> {
    const NAME: &'static str = "im.notify.system.add";
    type Output = ();

    fn params(&self) -> Value {
        let user = self.user.parse::<u64>().map_or_else(|_| json!(self.user), |number| json!(number));
        json!({"USER_ID": user, "MESSAGE": self.message})
    }

    fn read(&self, result: &Value) -> Result<(), CallError> {
        match result {
            Value::Bool(true) => Ok(()),
            // The number of the notice.
            other if int(other).is_some_and(|id| id > 0) => Ok(()),
            _ => Err(CallError::refused("RESULT_FALSE", "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_a_number() {
        let notice = NotifySystem { user: "1", message: "x" };
        assert_eq!(notice.params(), json!({"USER_ID": 1, "MESSAGE": "x"}));
        assert!(notice.read(&json!(15)).is_ok());
        assert!(notice.read(&json!(true)).is_ok());
        assert!(notice.read(&json!(false)).is_err());
        assert!(notice.read(&json!(0)).is_err());
    }
}
