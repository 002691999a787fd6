//! Which events a subscription takes beside their topic: conditions on what they say. Pure.

use crate::{
    error::{Error, Result},
    events::Event,
    json::Json,
};
use serde_json::Value;
use std::cmp::Ordering;

/// How many conditions there may be.
const MOST: usize = 32;
const FORM: &str = r#"{"all": [["payload.pr", "exists"], ["payload.n", "gt", 3]]} or the same with "any"; operators eq, in, exists, lt, gt"#;
const FIELDS: &str = "topic, source, task_id, task_type, correlation_id, or payload and names with dots between them: payload.pr";

/// Conditions all of which hold, or any.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conditions {
    all: bool,
    each: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
struct Condition {
    /// The field of an event, and of the payload the way in it.
    path: Vec<String>,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq)]
enum Operator {
    Exists,
    Eq(Value),
    In(Vec<Value>),
    Lt(Value),
    Gt(Value),
}

impl Conditions {
    /// `{"all": [[field, operator, value], ...]}`, or `any`. Errors: `input.invalid`.
    pub(crate) fn read(json: &Json) -> Result<Self> {
        let value = json.value();
        let wrong = || Error::invalid("where", json.as_str(), FORM);
        let object = value.as_object().filter(|object| object.len() == 1).ok_or_else(wrong)?;
        let (kind, conditions) = object.iter().next().ok_or_else(wrong)?;
        let all = match kind.as_str() {
            "all" => true,
            "any" => false,
            _ => return Err(wrong()),
        };
        let conditions = conditions.as_array().filter(|all| (1..=MOST).contains(&all.len()));
        let conditions =
            conditions.ok_or_else(|| Error::invalid("where", json.as_str(), "1 to 32 conditions"))?;
        let each =
            conditions.iter().map(|one| Condition::read(one).ok_or_else(wrong)?).collect::<Result<_>>()?;
        Ok(Conditions { all, each })
    }

    pub(crate) fn hold(&self, event: &Event) -> bool {
        // Read once, and only where a condition asks for it.
        let asks = self.each.iter().any(|one| one.path[0] == "payload");
        let payload = event.payload.as_ref().filter(|_| asks).map(Json::value);
        let mut each = self.each.iter().map(|one| one.holds(event, payload.as_ref()));
        if self.all { each.all(|holds| holds) } else { each.any(|holds| holds) }
    }
}

impl Condition {
    /// `None` where it has another form.
    fn read(condition: &Value) -> Option<Result<Self>> {
        let parts = condition.as_array()?;
        let (field, word) = (parts.first()?.as_str()?, parts.get(1)?.as_str()?);
        let value = parts.get(2).cloned();
        let operator = match (word, value, parts.len()) {
            ("exists", None, 2) => Operator::Exists,
            ("eq", Some(value), 3) => Operator::Eq(value),
            ("in", Some(Value::Array(values)), 3) => Operator::In(values),
            ("lt", Some(value), 3) => Operator::Lt(value),
            ("gt", Some(value), 3) => Operator::Gt(value),
            _ => return None,
        };
        let path: Vec<String> = field.split('.').map(str::to_owned).collect();
        let plain = ["topic", "source", "task_id", "task_type", "correlation_id"];
        let sound = match path[0].as_str() {
            "payload" => path.iter().all(|word| !word.is_empty()),
            name => path.len() == 1 && plain.contains(&name),
        };
        Some(if sound {
            Ok(Condition { path, operator })
        } else {
            Err(Error::invalid("where", field, FIELDS))
        })
    }

    fn holds(&self, event: &Event, payload: Option<&Value>) -> bool {
        let text = |text: Option<&String>| text.map(|text| Value::String(text.clone()));
        let found = match self.path[0].as_str() {
            "topic" => text(Some(&event.topic)),
            "source" => text(event.source.as_ref()),
            "task_id" => text(event.task_id.as_ref()),
            "task_type" => text(event.task_type.as_ref()),
            "correlation_id" => text(event.correlation_id.as_ref()),
            _ => self.path[1..]
                .iter()
                .try_fold(payload, |value, name| Some(value?.get(name)))
                .flatten()
                .cloned(),
        };
        let Some(found) = found else { return false };
        match &self.operator {
            Operator::Exists => !found.is_null(),
            Operator::Eq(value) => is(&found, value),
            Operator::In(values) => values.iter().any(|value| is(&found, value)),
            Operator::Lt(value) => order(&found, value) == Some(Ordering::Less),
            Operator::Gt(value) => order(&found, value) == Some(Ordering::Greater),
        }
    }
}

/// 1 and 1.0 are the same number.
fn is(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => order(one, other) == Some(Ordering::Equal),
        _ => one == other,
    }
}

/// Of two numbers or two texts; of others there is none.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::time;
    use serde_json::json;

    fn holds(conditions: Value) -> bool {
        let event = Event {
            seq: 7,
            topic: "deploy.done".into(),
            source: Some("jochi".into()),
            task_id: None,
            task_type: None,
            correlation_id: Some("c".into()),
            payload: Some(
                json!({"pr": 7, "n": 3.5, "who": {"name": "ögedei"}, "none": null, "list": [1]}).into(),
            ),
            created_at: time(0),
        };
        Conditions::read(&conditions.into()).unwrap().hold(&event)
    }

    #[test]
    fn each_operator_says_what_it_says() {
        for (condition, expected) in [
            (json!(["payload.pr", "exists"]), true),
            (json!(["payload.none", "exists"]), false),
            (json!(["payload.pr.deep", "exists"]), false),
            (json!(["task_id", "exists"]), false),
            (json!(["payload", "exists"]), true),
            (json!(["payload.pr", "eq", 7.0]), true),
            (json!(["payload.pr", "eq", "7"]), false),
            (json!(["payload.list", "eq", [1]]), true),
            (json!(["payload.none", "eq", null]), true),
            (json!(["payload.absent", "eq", null]), false),
            (json!(["payload.who.name", "eq", "ögedei"]), true),
            (json!(["topic", "in", ["deploy.done", "x"]]), true),
            (json!(["source", "in", []]), false),
            (json!(["payload.n", "gt", 3]), true),
            (json!(["payload.n", "lt", 3.5]), false),
            (json!(["payload.n", "gt", "3"]), false),
            (json!(["payload.pr", "lt", 9_007_199_254_740_993_i64]), true),
            (json!(["correlation_id", "gt", "b"]), true),
        ] {
            assert_eq!(holds(json!({ "all": [condition] })), expected, "{condition}");
        }
    }

    #[test]
    fn all_is_every_one_and_any_is_one() {
        let (yes, no) = (json!(["payload.pr", "eq", 7]), json!(["payload.pr", "eq", 8]));
        assert!(holds(json!({"all": [yes, yes]})) && !holds(json!({"all": [yes, no]})));
        assert!(holds(json!({"any": [no, yes]})) && !holds(json!({"any": [no, no]})));
    }

    #[test]
    fn another_form_is_refused() {
        let many = vec![json!(["payload.a", "exists"]); 33];
        for wrong in [
            json!([]),
            json!({}),
            json!({"all": []}),
            json!({"all": many}),
            json!({"none": [["payload.a", "exists"]]}),
            json!({"all": [["payload.a", "exists"]], "any": [["payload.a", "exists"]]}),
            json!({"all": [["payload.a"]]}),
            json!({"all": [["payload.a", "like", 1]]}),
            json!({"all": [["payload.a", "exists", 1]]}),
            json!({"all": [["payload.a", "eq"]]}),
            json!({"all": [["payload.a", "in", 1]]}),
            json!({"all": [{"any": []}]}),
            json!({"all": [["payload..a", "exists"]]}),
            json!({"all": [["seq", "exists"]]}),
            json!({"all": [["topic.x", "exists"]]}),
        ] {
            let error = Conditions::read(&wrong.clone().into()).unwrap_err();
            assert_eq!(error.code(), "input.invalid", "{wrong}");
        }
    }
}
