//! A JSON body whose faults are told by field.

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::http::Problem;

/// A JSON body of this shape; unknown fields are refused by the shapes themselves.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = web::Bytes::from_request(request, payload);
        Box::pin(async move {
            let bytes = bytes.await.map_err(|error| {
                let status = error.as_response_error().status_code();
                let large = matches!(error.as_error(), Some(PayloadError::Overflow));
                Problem::new(if large { StatusCode::PAYLOAD_TOO_LARGE } else { status }, error.to_string())
            })?;
            parse(&bytes).map(Self)
        })
    }
}

/// Reads a body of this shape.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        fault(&path, &error.into_inner())
    })?;
    json.end().map_err(|error| fault("", &error))?;
    Ok(value)
}

fn fault(path: &str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return Problem::new(StatusCode::BAD_REQUEST, "the body is not valid JSON");
    }
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    for kind in ["unknown field", "missing field", "duplicate field"] {
        let rest = text.strip_prefix(kind).and_then(|rest| rest.trim_start().strip_prefix('`'));
        if let Some(name) = rest.and_then(|rest| rest.split('`').next()) {
            return Problem::field(name, kind);
        }
    }
    match (path, text.strip_prefix("invalid type: null, expected ")) {
        ("" | ".", _) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the body must be a JSON object"),
        (path, Some(wanted)) => {
            Problem::field(path, format!("must not be null, but {wanted}, or be left out"))
        }
        (path, None) => Problem::field(path, text),
    }
}

/// For a field that may be absent, `null` or a value: absent is `None`, `null` is `Some(None)`.
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Shape {
        name: String,
        #[serde(default, deserialize_with = "present")]
        note: Option<Option<String>>,
    }

    fn told(body: &str) -> (u16, String) {
        let problem = parse::<Shape>(body.as_bytes()).unwrap_err();
        (problem.status_code().as_u16(), serde_json::to_string(&problem).unwrap())
    }

    #[test]
    fn the_wrong_field_is_named() {
        for (body, field) in [
            (r#"{"name": 5}"#, "name"),
            (r#"{"nam": "x"}"#, "nam"),
            ("{}", "name"),
            (r#"{"name": "x", "note": []}"#, "note"),
        ] {
            let (status, text) = told(body);
            assert_eq!(status, 422, "{body}");
            assert!(text.contains(&format!("\"field\":\"{field}\"")), "{body}: {text}");
        }
        for body in ["null", "5"] {
            let (status, text) = told(body);
            assert!(status == 422 && text.contains("must be a JSON object"), "{body}: {text}");
        }
        assert!(told(r#"{"name": null}"#).1.contains("must not be null, but a string"));
        assert_eq!(told("{").0, 400);
        assert_eq!(told(r#"{"name":"x"} x"#).0, 400);
    }

    #[test]
    fn null_is_not_the_same_as_absent() {
        assert_eq!(parse::<Shape>(br#"{"name":"x"}"#).unwrap().note, None);
        assert_eq!(parse::<Shape>(br#"{"name":"x","note":null}"#).unwrap().note, Some(None));
    }
}
