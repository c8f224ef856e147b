//! The JSON Schema of the plan file, derived from the types that list its keys.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::PlanFile;

/// The JSON Schema of the plan file, for editors and for [`super::read`].
pub fn json_schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<PlanFile>();
    let mut schema = Value::from(schema);
    forget_null(&mut schema);
    schema
}

/// A key that may be left out may not be empty: takes `null` out of every type.
fn forget_null(schema: &mut Value) {
    match schema {
        Value::Array(parts) => {
            parts.retain(|part| !is_null(part));
            parts.iter_mut().for_each(forget_null);
        }
        Value::Object(parts) => {
            parts.values_mut().for_each(forget_null);
            let only = parts.get("type").and_then(Value::as_array);
            if let Some([only]) = only.map(Vec::as_slice) {
                let only = only.clone();
                parts.insert("type".to_owned(), only);
            }
            lift_only_branch(parts);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_null(part: &Value) -> bool {
    part.is_null() || part == "null" || part.get("type").is_some_and(|kind| kind == "null")
}

/// `anyOf` with one branch left is that branch; descriptions of the outside stay.
fn lift_only_branch(parts: &mut serde_json::Map<String, Value>) {
    let branches = parts.get("anyOf").and_then(Value::as_array);
    let Some([Value::Object(only)]) = branches.map(Vec::as_slice) else {
        return;
    };
    let only = only.clone();
    parts.remove("anyOf");
    for (key, value) in only {
        parts.entry(key).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key, with the keys of lists under `[]` and of free maps under `*`.
    fn keys(schema: &Value, path: &str, out: &mut Vec<String>) {
        let branches = ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array());
        for branch in branches.flatten() {
            keys(branch, path, out);
        }
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            let required =
                schema["required"].as_array().is_some_and(|all| all.contains(&key[..].into()));
            out.push(format!("{path}{key}{}", if required { " (required)" } else { "" }));
            keys(inner, &format!("{path}{key}."), out);
        }
        if schema["items"].is_object() {
            keys(&schema["items"], &format!("{path}[]."), out);
        }
    }

    #[test]
    fn the_schema_knows_every_key() {
        let mut all = Vec::new();
        keys(&json_schema(), "", &mut all);
        insta::assert_snapshot!(all.join("\n"));
    }

    fn described(schema: &Value) {
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            assert!(inner["description"].is_string(), "{key} is described");
            described(inner);
        }
        for inner in schema.as_object().into_iter().flatten().map(|(_, inner)| inner) {
            inner.as_array().into_iter().flatten().for_each(described);
        }
    }

    #[test]
    fn the_schema_describes_every_key_and_allows_no_null() {
        let schema = json_schema();
        assert!(!schema.to_string().contains("null"));
        described(&schema);
    }
}
