//! Tokens of forms: each hangs on a cookie that only our own pages are given back with, so that a page of
//! somebody else cannot make one up.

use subtle::ConstantTimeEq as _;

use crate::domain::Secret;
use crate::secrets::{hash_token, random_token};

/// A new anchor for somebody who is not logged in yet.
pub fn new_anchor() -> Secret {
    Secret::new(random_token(32))
}

/// The token for the forms of whoever has this cookie.
pub fn form_token(anchor: &Secret) -> String {
    hash_token(&format!("form.{}", anchor.expose()))
}

/// Whether a form bears the token of this cookie.
pub fn is_form_token(anchor: &Secret, given: &str) -> bool {
    !anchor.is_empty() && bool::from(form_token(anchor).as_bytes().ct_eq(given.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_token_fits_its_cookie_alone() {
        let (one, other) = (new_anchor(), new_anchor());
        assert!(is_form_token(&one, &form_token(&one)));
        assert!(!is_form_token(&other, &form_token(&one)));
        assert!(!is_form_token(&one, ""));
        assert!(!is_form_token(&Secret::default(), &form_token(&Secret::default())));
    }
}
