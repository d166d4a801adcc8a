//! Links of OpenAPI: from an answer that holds an id to the operations that read and steer what has the id.

use serde_json::{Value, json};

/// The parameters of the operation that a link leads to, each with its place in the answer.
type Parameters = &'static [(&'static str, &'static str)];

/// The operation and the status of its answer, the link's name, where it leads.
#[rustfmt::skip]
const LINKS: [(&str, &str, &str, &str, Parameters); 25] = [
    ("startRun", "201", "run", "getRun", &[("run", "$response.body#/id")]),
    ("startRun", "200", "run", "getRun", &[("run", "$response.body#/id")]),
    ("startRun", "201", "events", "listRunEvents", &[("run", "$response.body#/id")]),
    ("startRun", "201", "cancel", "cancelRun", &[("run", "$response.body#/id")]),
    ("retryRun", "201", "run", "getRun", &[("run", "$response.body#/id")]),
    ("restartRun", "201", "run", "getRun", &[("run", "$response.body#/id")]),
    ("forkRun", "201", "run", "getRun", &[("run", "$response.body#/id")]),
    ("listRuns", "200", "run", "getRun", &[("run", "$response.body#/items/0/id")]),
    ("listTasks", "200", "decide", "decideTask", &[("task", "$response.body#/items/0/id")]),
    ("listTasks", "200", "run", "getRun", &[("run", "$response.body#/items/0/run")]),
    ("savePipeline", "201", "pipeline", "getPipeline", &[("name", "$response.body#/name")]),
    ("savePipeline", "200", "pipeline", "getPipeline", &[("name", "$response.body#/name")]),
    ("savePipeline", "201", "versions", "listPipelineVersions", &[("name", "$response.body#/name")]),
    ("savePipeline", "200", "versions", "listPipelineVersions", &[("name", "$response.body#/name")]),
    ("addSchedule", "201", "schedule", "getSchedule", &[("name", "$response.body#/name")]),
    ("addSchedule", "201", "remove", "removeSchedule", &[("name", "$response.body#/name")]),
    ("createToken", "201", "revoke", "revokeToken", &[("name", "$response.body#/name")]),
    ("deliver", "201", "delivery", "getDelivery", &[("source", "$response.body#/source"), ("id", "$response.body#/id")]),
    ("deliver", "200", "delivery", "getDelivery", &[("source", "$response.body#/source"), ("id", "$response.body#/id")]),
    ("receiveDelivery", "202", "delivery", "getDelivery", &[("source", "$response.body#/source"), ("id", "$response.body#/id")]),
    ("receiveDelivery", "200", "delivery", "getDelivery", &[("source", "$response.body#/source"), ("id", "$response.body#/id")]),
    ("pollWork", "200", "heartbeat", "extendLease", &[("id", "$response.body#/attempts/0/id")]),
    ("pollWork", "200", "complete", "completeAttempt", &[("id", "$response.body#/attempts/0/id")]),
    ("pollWork", "200", "fail", "failAttempt", &[("id", "$response.body#/attempts/0/id")]),
    ("openSession", "201", "session", "getSession", &[]),
];

/// Writes the links into the answers of an operation.
pub(super) fn write(operation: &mut Value) {
    let own = operation["operationId"].as_str().unwrap_or_default().to_owned();
    for (_, status, name, target, parameters) in LINKS.iter().filter(|(of, ..)| *of == own) {
        let Some(response) = operation["responses"].get_mut(*status) else {
            debug_assert!(false, "{own} does not answer {status}");
            continue;
        };
        let parameters: serde_json::Map<String, Value> =
            parameters.iter().map(|(name, place)| ((*name).to_owned(), json!(place))).collect();
        response["links"][*name] = json!({ "operationId": target, "parameters": parameters });
    }
}
