//! The description of the API against the server it describes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::Ask;
use super::world::Controller;

/// Every operation: method, path, description.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

/// Every reference, wherever it stands.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

async fn document(controller: &Controller) -> Value {
    controller.ask(Ask::get("/api/openapi.json")).await.json()
}

#[tokio::test]
async fn the_document_lists_every_operation_and_each_one_answers() {
    let mut controller = Controller::without_proxy().await;
    let document = document(&controller).await;
    let listed: Vec<String> =
        operations(&document).iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(
        listed,
        [
            "POST /api/proxies/{name}/sync",
            "GET /api/rollouts",
            "POST /api/rollouts",
            "GET /api/rollouts/{id}",
            "GET /api/rollouts/{id}/events",
            "POST /api/rollouts/{id}/pause",
            "POST /api/rollouts/{id}/promote",
            "GET /api/rollouts/{id}/report",
            "POST /api/rollouts/{id}/resume",
            "POST /api/rollouts/{id}/rollback",
            "GET /api/rollouts/{id}/stream",
            "GET /api/stream",
            "GET /api/traffic-weights",
            "POST /api/traffic-weights",
            "GET /healthz",
        ]
    );
    for (method, path, _) in
        operations(&document).iter().filter(|(_, path, _)| path != "/api/stream")
    {
        let path = path.replace("{id}", "none-1").replace("{name}", "edge");
        let ask = Ask::new(method, &path).json(&json!({ "why": "" }));
        let answer = controller.ask(ask.clone()).await;
        assert!(![401, 405].contains(&answer.status), "{method} {path}: {answer:?}");
        assert!(!answer.body.contains("openapi.json"), "{method} {path} has no route: {answer:?}");
        let stranger = ask.send(controller.address).await.status;
        assert_eq!(stranger == 401, path != "/healthz", "{method} {path}");
    }
    controller.stop().await;
}

#[tokio::test]
async fn the_document_is_whole() {
    let mut controller = Controller::without_proxy().await;
    let document = document(&controller).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let mut references = BTreeSet::new();
    self::references(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} is there twice");
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty(), "{method} {path} is not described");
        for placeholder in path.split('/').filter_map(|part| part.strip_prefix('{')) {
            let name = placeholder.trim_end_matches('}');
            let parameters = operation["parameters"].as_array().unwrap();
            let named = |parameter: &Value| parameter["name"] == name && parameter["in"] == "path";
            assert!(parameters.iter().any(named), "{method} {path}: {name} is not described");
        }
    }
    controller.stop().await;
}
