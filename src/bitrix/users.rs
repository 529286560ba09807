//! Who stands behind a token, and for which app: `profile` and `app.info` of the portal (bitrix24 facts
//! §2.2, §2.5).

use serde_json::{Value, json};

use super::error::CallError;
use super::lenient::{text_at, texts, yes_at};
use super::method::Method;
use super::oauth::AppInfo;

/// `profile`; needs no scope.
#[derive(Clone, Copy, Debug)]
pub struct ProfileGet;

/// The user of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Portal's user.
    pub id: String,
    /// An administrator of the portal.
    pub admin: bool,
    /// First and last name, may be empty.
    pub name: String,
}

impl Method for ProfileGet {
    const NAME: &'static str = "profile";
    type Output = Profile;

    fn params(&self) -> Value {
        json!({})
    }

    fn read(&self, result: &Value) -> Result<Profile, CallError> {
        let names = [text_at(result, &["NAME"]), text_at(result, &["LAST_NAME"])];
        Ok(Profile {
            id: text_at(result, &["ID"]).ok_or(CallError::Shape { what: "the user's id" })?,
            admin: yes_at(result, &["ADMIN"]),
            name: names.into_iter().flatten().collect::<Vec<_>>().join(" "),
        })
    }
}

/// `app.info` of the portal: whether the installation is finished, and the plan.
#[derive(Clone, Copy, Debug)]
pub struct AppInfoGet;

impl Method for AppInfoGet {
    const NAME: &'static str = "app.info";
    type Output = AppInfo;

    fn params(&self) -> Value {
        json!({})
    }

    fn read(&self, result: &Value) -> Result<AppInfo, CallError> {
        if result.is_object() { Ok(AppInfo::read(result)) } else { Err(CallError::Shape { what: "the app" }) }
    }
}

/// `scope`: what is granted to the application.
#[derive(Clone, Copy, Debug)]
pub struct ScopeGet;

impl Method for ScopeGet {
    const NAME: &'static str = "scope";
    type Output = Vec<String>;

    fn params(&self) -> Value {
        json!({})
    }

    fn read(&self, result: &Value) -> Result<Vec<String>, CallError> {
        if !(result.is_array() || result.is_object()) {
            return Err(CallError::Shape { what: "the scopes" });
        }
        Ok(texts(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_are_known_in_every_spelling() {
        for (admin, expected) in [
            (json!(true), true),
            (json!("Y"), true),
            (json!(1), true),
            (json!("N"), false),
            (json!(null), false),
        ] {
            let profile =
                ProfileGet.read(&json!({"ID": 1, "ADMIN": admin, "NAME": "Anna", "LAST_NAME": "Lee"}));
            assert_eq!(
                profile.unwrap(),
                Profile { id: "1".into(), admin: expected, name: "Anna Lee".into() }
            );
        }
        assert!(ProfileGet.read(&json!({"ADMIN": true})).is_err());
    }

    #[test]
    fn the_portal_says_when_the_installation_is_finished() {
        assert!(AppInfoGet.read(&json!({"INSTALLED": true})).unwrap().installed);
        assert!(!AppInfoGet.read(&json!({"INSTALLED": false})).unwrap().installed);
        assert!(AppInfoGet.read(&json!(null)).is_err());
    }
}
