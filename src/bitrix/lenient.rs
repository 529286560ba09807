//! Reading PHP's JSON and forms: integers as strings, `"Y"`/`"1"`/`true`, empty objects as `[]`, keys in
//! any case (bitrix24 facts §0).

use serde_json::Value;

/// Text of a string, number or boolean (`1`/`0`); anything else is `None`.
pub fn text(value: &Value) -> Option<String> {
    match value {
        // A NUL says nothing, and PostgreSQL takes none.
        Value::String(text) => Some(text.replace('\0', "")),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(if *flag { "1" } else { "0" }.to_owned()),
        _ => None,
    }
}

/// As [`text`], without the empty ones.
pub fn filled(value: &Value) -> Option<String> {
    text(value).filter(|text| !text.is_empty())
}

/// A whole number, also from a string or a float.
pub fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A number, also from a string.
pub fn float(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// Whether the value says yes in any of PHP's ways.
pub fn yes(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => {
            matches!(text.trim().to_ascii_lowercase().as_str(), "y" | "yes" | "1" | "true" | "on")
        }
        _ => false,
    }
}

/// Member of an object, its key compared without regard to case; of an array by its index.
pub fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| {
            map.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, member)| member)
        }),
        Value::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get(index)),
        _ => None,
    }
}

/// Follows several keys, see [`get`].
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| get(value, key))
}

/// Non-empty text under a path.
pub fn text_at(value: &Value, path: &[&str]) -> Option<String> {
    at(value, path).and_then(filled)
}

/// Whole number under a path.
pub fn int_at(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).and_then(int)
}

/// Whether the value under a path says yes.
pub fn yes_at(value: &Value, path: &[&str]) -> bool {
    at(value, path).is_some_and(yes)
}

/// Elements of a list, which PHP may have sent as an object with numeric keys (then by those numbers).
pub fn items(value: &Value) -> Vec<&Value> {
    keyed(value).into_iter().map(|(_, member)| member).collect()
}

/// As [`items`], with the keys.
pub fn keyed(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, member)| (index.to_string(), member)).collect()
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().map(|(key, member)| (key.clone(), member)).collect();
            members.sort_by_key(|(key, _)| key.parse::<u64>().unwrap_or(u64::MAX));
            members
        }
        _ => Vec::new(),
    }
}

/// Texts of a list, or the one text that stands in its place.
pub fn texts(value: &Value) -> Vec<String> {
    match filled(value) {
        Some(text) => vec![text],
        None => items(value).into_iter().filter_map(filled).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_of_php_to_say_yes_is_understood() {
        for value in [json!(true), json!(1), json!("1"), json!("Y"), json!("y"), json!("true")] {
            assert!(yes(&value), "{value}");
        }
        for value in [json!(false), json!(0), json!("0"), json!("N"), json!(""), json!(null), json!([])] {
            assert!(!yes(&value), "{value}");
        }
    }

    #[test]
    fn objects_with_numeric_keys_are_lists_in_the_order_of_the_numbers() {
        let value = json!({"10": "c", "2": "b", "1": "a"});
        assert_eq!(items(&value), vec![&json!("a"), &json!("b"), &json!("c")]);
        assert!(items(&json!([])).is_empty());
        assert!(items(&json!(null)).is_empty());
    }

    #[test]
    fn keys_are_found_in_any_case_and_numbers_in_texts() {
        let value = json!({"CONNECTOR": "wabridge", "line": "107", "size": 1.0});
        assert_eq!(text_at(&value, &["connector"]).as_deref(), Some("wabridge"));
        assert_eq!(int_at(&value, &["LINE"]), Some(107));
        assert_eq!(int_at(&value, &["size"]), Some(1));
        assert_eq!(text_at(&value, &["absent", "too"]), None);
        assert_eq!(filled(&json!("\0a\0b")).as_deref(), Some("ab"));
        assert_eq!(filled(&json!("\0")), None);
    }
}
