//! `batch`: up to fifty commands in one hit (bitrix24 facts §1.2).

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::rest::{Args, Caller, execute, fail, text, time_block};
use super::{Inner, form};

/// Commands beyond this are answered with an error in their slot.
const MAX_COMMANDS: usize = 50;

/// The commands in the order in which they were written; entries that are no text are skipped.
pub(super) fn commands(query: &str, body: &[u8], json: bool) -> Vec<(String, String)> {
    let mut all = of_form(query.as_bytes());
    if json {
        all.extend(serde_json::from_slice::<Body>(body).map(|body| body.0).unwrap_or_default());
    } else {
        all.extend(of_form(body));
    }
    all
}

fn of_form(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded)
        .filter_map(|(key, value)| {
            let name = key.strip_prefix("cmd[")?.strip_suffix(']')?;
            Some((name.to_owned(), value.into_owned()))
        })
        .collect()
}

pub(super) async fn run(
    inner: &Arc<Inner>,
    caller: &Caller,
    commands: Vec<(String, String)>,
    halt: bool,
) -> Value {
    let [mut result, mut errors, mut totals, mut nexts, mut times] = [(); 5].map(|()| Map::new());
    for (index, (key, command)) in commands.into_iter().enumerate() {
        let start = inner.options.clock.now();
        let (method, query) = command.split_once('?').unwrap_or((&command, ""));
        let method = method.trim().to_lowercase();
        let outcome = if index >= MAX_COMMANDS {
            Err(fail(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded"))
        } else if ["batch", "upload", "download"].contains(&method.as_str()) {
            Err(fail(400, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage"))
        } else {
            let mut args = Value::Object(form::parse(query.as_bytes()));
            fill_in(&mut args, &result);
            let args = if let Value::Object(map) = args { map } else { Map::new() };
            // An async function that calls itself through `execute` must be boxed.
            Box::pin(execute(inner, caller, &method, Args::new(args))).await
        };
        match outcome {
            Ok(reply) => {
                times.insert(key.clone(), time_block(inner, &caller.client_id, &method, start));
                reply.total.map(|total| totals.insert(key.clone(), json!(total)));
                reply.next.map(|next| nexts.insert(key.clone(), json!(next)));
                result.insert(key, reply.result);
            }
            Err(error) => {
                errors.insert(key, error.body());
                if halt {
                    break;
                }
            }
        }
    }
    let [result, errors, totals, nexts, times] = [result, errors, totals, nexts, times].map(form::php_array);
    json!({"result": result, "result_error": errors, "result_total": totals,
           "result_next": nexts, "result_time": times})
}

/// Replaces `$result[key][field]` by what an earlier command gave.
fn fill_in(value: &mut Value, results: &Map<String, Value>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, results)),
        Value::Object(map) => map.values_mut().for_each(|item| fill_in(item, results)),
        Value::String(string) => {
            let Some(filled) = filled(string, results) else { return };
            *value = filled;
        }
        _ => {}
    }
}

fn filled(string: &str, results: &Map<String, Value>) -> Option<Value> {
    let (before, rest) = string.split_once("$result[")?;
    let mut steps = Vec::new();
    let mut rest = rest;
    loop {
        let (step, after) = rest.split_once(']')?;
        steps.push(step);
        rest = after;
        match rest.strip_prefix('[') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let (first, path) = steps.split_first()?;
    let found = path.iter().try_fold(results.get(*first)?, |at, step| match at {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(*step),
    });
    let found = found.cloned().unwrap_or_default();
    if before.is_empty() && rest.is_empty() {
        return Some(found);
    }
    let tail = filled(rest, results).and_then(|tail| text(&tail)).unwrap_or_else(|| rest.to_owned());
    Some(Value::String(format!("{before}{}{tail}", text(&found).unwrap_or_default())))
}

/// `cmd` of a JSON body with its order kept, which a map of ours would lose.
#[derive(Default)]
struct Body(Vec<(String, String)>);

struct BodyVisitor;

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with cmd")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
        let mut found = Body::default();
        while let Some(key) = map.next_key::<String>()? {
            if key.eq_ignore_ascii_case("cmd") {
                found = Body(map.next_value::<Commands>()?.0);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct Commands(Vec<(String, String)>);

struct CommandsVisitor;

impl<'de> Deserialize<'de> for Commands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CommandsVisitor)
    }
}

impl<'de> Visitor<'de> for CommandsVisitor {
    type Value = Commands;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("commands by key, or a list of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Commands, A::Error> {
        let mut all = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if let Value::String(command) = value {
                all.push((key, command));
            }
        }
        Ok(Commands(all))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Commands, A::Error> {
        let mut all = Vec::new();
        let mut index = 0;
        while let Some(value) = list.next_element::<Value>()? {
            if let Value::String(command) = value {
                all.push((index.to_string(), command));
            }
            index += 1;
        }
        Ok(Commands(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_commands_is_kept() {
        let body = br#"{"halt":1,"cmd":{"z":"profile","a":"scope","n":5}}"#;
        let expected = vec![("z".to_owned(), "profile".to_owned()), ("a".to_owned(), "scope".to_owned())];
        assert_eq!(commands("", body, true), expected);
        assert_eq!(commands("", b"cmd%5Bz%5D=profile&cmd%5Ba%5D=scope", false), expected);
    }

    #[test]
    fn a_reference_takes_the_earlier_result() {
        let results = json!({"line": 15, "list": [{"ID": "7"}]});
        let results = results.as_object().unwrap();
        for (written, expected) in [
            ("$result[line]", json!(15)),
            ("$result[list][0][ID]", json!("7")),
            ("x$result[line]y", json!("x15y")),
            ("plain", json!("plain")),
        ] {
            let mut value = json!(written);
            fill_in(&mut value, results);
            assert_eq!(value, expected);
        }
    }
}
